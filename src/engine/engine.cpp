#include "engine/engine.h"

#include "base/error.h"
#include "base/log.h"
#include "base/log_context.h"
#include "engine/guarded.h"

#include <algorithm>
#include <chrono>
#include <ranges>
#include <utility>

namespace cria::engine {
namespace {

// How long a step may take: shorter when somebody waits for the next token of a running answer.
constexpr double kAloneSeconds = 0.5, kSharedSeconds = 0.15;

bool only_loads(const protocol::Generate& request) {
  return request.chat ? request.messages.empty()
                      : request.prompt.empty() && request.suffix.empty() &&
                            request.images.empty() && request.context.empty();
}

void refuse_unsupported(const protocol::Generate& request) {
  bool images = !request.images.empty();
  for (const Json& message : request.messages) {
    const Json* list = json_find(message, "images");
    images = images || (list != nullptr && !list->empty());
  }
  if (images) fail(ErrorKind::kInvalidInput, "this model does not support images");
}

// What the messages that went take along.
protocol::Truncation truncation_of(const RenderedPrompt& rendered, const text::Tokenizer& tokenizer,
                                   int64_t context) {
  if (rendered.truncated_messages == 0) return {};
  const auto length = [&](const std::string& text) {
    return std::ssize(tokenizer.encode(text, {.add_special = false}));
  };
  const int64_t whole = length(rendered.untruncated), left = length(rendered.text);
  log::warn("the prompt of {} tokens loses its {} oldest messages and has {}: num_ctx is {}", whole,
            rendered.truncated_messages, left, context);
  return {.messages = rendered.truncated_messages, .tokens = std::max<int64_t>(whole - left, 0)};
}

}  // namespace

Engine::Engine(LoadedEngine& loaded, Render render, Emit emit)
    : loaded_(loaded),
      speculation_(loaded.speculation),
      render_(std::move(render)),
      shared_{.tokenizer = *loaded.tokenizer,
              .memory = *loaded.memory,
              .vocabulary = loaded.model.vocabulary,
              .speculation = loaded.speculation != Speculation::kOff,
              .emit = std::move(emit)},
      batcher_(*loaded.plan, loaded.memory->store(), loaded.model.vocabulary),
      embedder_(loaded, shared_.emit),
      sizer_(loaded.capacity),
      formats_(*loaded.tokenizer) {}

void Engine::submit(protocol::Generate request) {
  waiting_.push_back(std::move(request));
}

void Engine::cancel(uint64_t id) {
  const auto gone = [&](uint64_t other) {
    if (other != id) return false;
    shared_.emit(protocol::Failure{
        .id = id, .kind = ErrorKind::kCancelled, .message = "the request was cancelled"});
    return true;
  };
  if (embedder_.cancel(id)) return;
  std::erase_if(waiting_, [&](const protocol::Generate& request) { return gone(request.id); });
  for (auto it = running_.begin(); it != running_.end();) {
    if (!gone(it->id())) {
      ++it;
      continue;
    }
    const log::RequestScope scope(it->request_id());
    log::debug("request {}: cancelled", id);
    it->publish();  // what was computed may still serve others
    it = running_.erase(it);
  }
}

void Engine::start(const protocol::Generate& request) {
  GenerationOptions options = parse_options(request.options);
  options.num_ctx = loaded_.context_for(options.num_ctx);
  if (only_loads(request)) return shared_.emit(protocol::Done{.id = request.id, .reason = "load"});
  if (loaded_.model.result != models::Result::kLogits)
    fail(ErrorKind::kInvalidInput, "this model was loaded to embed, not to generate");
  refuse_unsupported(request);
  for (const auto& [token, bias] : options.sampling.logit_bias)
    if (token >= loaded_.model.vocabulary)
      fail(ErrorKind::kInvalidInput, "logit_bias names token {}, but this model has tokens 0 to {}",
           token, loaded_.model.vocabulary - 1);
  const PromptLimits limits{.context = options.num_ctx, .vocabulary = loaded_.model.vocabulary};
  const Fits fits = [&](const std::string& text) {
    return !request.truncate ||
           std::ssize(loaded_.tokenizer->encode(text, {.add_special = false})) <= limits.context;
  };
  RenderedPrompt rendered = render_(request, fits);
  const protocol::Truncation truncated =
      truncation_of(rendered, *loaded_.tokenizer, limits.context);
  Prompt prompt = tokenize_prompt(request, std::move(rendered.text), *loaded_.tokenizer, limits);
  prompt.truncated = truncated;
  if (request.debug_render_only)
    return shared_.emit(protocol::Done{.id = request.id,
                                       .prompt_tokens = std::ssize(prompt.ids),
                                       .truncated = prompt.truncated,
                                       .rendered = std::move(prompt.rendered)});
  if (prompt.ids.empty()) return shared_.emit(protocol::Done{.id = request.id, .reason = "load"});
  fit_prompt(prompt, request, options, limits);
  std::optional<grammar::ThinkingMarks> thinking;
  if (rendered.parser) thinking = rendered.parser->thinking_marks();
  AnswerRules answer{.parser = std::move(rendered.parser),
                     .constraint = formats_.constraint(request.format, thinking)};
  running_.emplace_back(shared_, request, options, std::move(prompt), std::move(answer));
}

bool Engine::has_pages_for(const Generation& paused) const {
  const int64_t others =
      std::ranges::count_if(running_, [](const Generation& g) { return !g.paused(); });
  if (others == 0 && !embedder_.begun()) return true;
  // One more for each that runs, or it would soon be paused again.
  const int64_t wanted = paused.sequence().size() / ml::kPageTokens + 1;
  return loaded_.memory->available() > wanted + others;
}

// Those that are older than `self` go on, so that somebody always does.
Generation* Engine::to_pause(Generation& self) {
  bool behind = true, others = embedder_.begun();
  for (Generation& one : std::views::reverse(running_)) {
    const bool holds = !one.sequence().pages().empty();
    if (&one == &self)
      behind = false;
    else if (behind && holds && one.sequence().can_pause())
      return &one;
    else
      others = others || holds;
  }
  return others && self.sequence().can_pause() ? &self : nullptr;
}

bool Engine::with_pages(Generation& self, const std::function<void()>& body) {
  for (;;) {
    try {
      body();
      return true;
    } catch (const OutOfPages&) {
      Generation* const one = to_pause(self);
      if (one == nullptr) throw;
      const log::RequestScope scope(one->request_id());
      one->pause();
      if (one == &self) return false;
    }
  }
}

void Engine::make_room() {
  bool one_waits = false;
  for (auto it = running_.begin(); it != running_.end();) {
    const log::RequestScope scope(it->request_id());
    if (it->paused()) {
      one_waits = one_waits || !has_pages_for(*it);
      if (one_waits) {  // and those behind it are not served before it
        ++it;
        continue;
      }
      it->resume();
    }
    const bool alive =
        guarded(shared_.emit, it->id(), [&] { with_pages(*it, [&] { it->make_room(); }); });
    if (alive && !it->finished()) {
      ++it;
      continue;
    }
    it->publish();
    it = running_.erase(it);
  }
}

std::vector<BatchItem> Engine::choose_rows() {
  make_room();
  std::vector<Generation*> ready;
  std::vector<int64_t> pending;
  for (Generation& one : running_) {
    if (one.paused()) continue;
    ready.push_back(&one);
    pending.push_back(one.sequence().pending());
  }
  const bool somebody_waits = std::ranges::find(pending, 1) != pending.end();
  const int64_t decoding = std::ranges::count(pending, 1);
  const int64_t prompt_rows = sizer_.rows(somebody_waits ? kSharedSeconds : kAloneSeconds);
  const std::vector<int64_t> rows =
      share_rows(pending, std::min(decoding + prompt_rows, loaded_.capacity), turn_++);
  // While prompts are read, steps are long enough.
  const bool all_generate = decoding == std::ssize(ready);
  const std::vector<int64_t> guesses =
      all_generate ? choose_guesses(ready) : std::vector<int64_t>(ready.size(), 0);
  std::vector<BatchItem> items;
  for (size_t i = 0; i < ready.size(); ++i) {
    Generation& one = *ready[i];
    const int64_t count = std::min(rows[i], one.most_rows());
    if (count == 0 || one.paused()) continue;
    bool has_pages = false;
    const auto reserve = [&] {
      has_pages = with_pages(one, [&] { one.sequence().reserve(count + guesses[i]); });
    };
    if (!guarded(shared_.emit, one.id(), reserve))
      std::erase_if(running_, [&](const Generation& g) { return &g == &one; });
    else if (has_pages)
      items.push_back({.sequence = &one.sequence(),
                       .rows = count,
                       .guesses = one.verify(guesses[i]),
                       .best = one.looks_at()});
  }
  return items;
}

std::vector<int64_t> Engine::choose_guesses(std::span<Generation* const> ready) const {
  std::vector<std::span<const Guess>> guesses;
  for (Generation* generation : ready) guesses.push_back(generation->guess());
  const int64_t budget = loaded_.capacity - std::ssize(ready);
  return speculation_ == Speculation::kAlways ? share_all_guesses(guesses, budget)
                                              : share_guesses(guesses, costs_, budget);
}

void Engine::record(std::span<const BatchItem> items, double seconds) {
  int64_t rows = 0, guesses = 0;
  for (const BatchItem& item : items) {
    rows += item.rows;
    guesses += std::ssize(item.guesses);
  }
  if (rows == std::ssize(items))
    costs_.record(rows + guesses, rows, seconds);
  else
    sizer_.record(rows, seconds);
}

void Engine::run_step() {
  const std::vector<BatchItem> items = choose_rows();
  if (items.empty()) return;
  const auto start = std::chrono::steady_clock::now();
  const std::vector<std::span<float>> logits = batcher_.run(items);
  record(items, std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  size_t next = 0;
  for (auto it = running_.begin(); it != running_.end() && next < items.size();) {
    if (&it->sequence() != items[next].sequence) {
      ++it;
      continue;
    }
    const std::span<float> row = logits[next++];
    if (row.empty()) {
      ++it;
      continue;
    }
    const log::RequestScope scope(it->request_id());
    const bool alive = guarded(shared_.emit, it->id(), [&] { it->take(row); });
    if (alive && !it->finished()) {
      ++it;
      continue;
    }
    it->publish();
    it = running_.erase(it);
  }
}

int64_t Engine::places() const {
  return loaded_.parallel - std::ssize(running_) - (embedder_.begun() ? 1 : 0);
}

void Engine::start_waiting() {
  while (!waiting_.empty() && places() > 0) {
    if (std::ranges::any_of(running_, &Generation::paused)) return;  // no page is free
    if (embeds_next_ && embedder_.busy() && !embedder_.begun()) return;
    embeds_next_ = true;
    const protocol::Generate request = std::move(waiting_.front());
    waiting_.pop_front();
    const log::RequestScope scope(request.request_id);
    shared_.emit(protocol::Begun{.id = request.id});
    guarded(shared_.emit, request.id, [&] { start(request); });
  }
}

void Engine::embed() {
  // While an answer waits for a place or for pages, no more texts begin, so that theirs becomes
  // free.
  const bool begins = std::ranges::none_of(running_, &Generation::paused) &&
                      (embedder_.begun() ? waiting_.empty() : places() > 0);
  if (begins) embeds_next_ = false;
  if (begins || embedder_.begun()) embedder_.step(begins);
}

void Engine::step() {
  start_waiting();
  if (generates()) run_step();
  if (embedder_.busy()) embed();
}

}  // namespace cria::engine
