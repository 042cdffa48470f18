#include "engine/engine.h"

#include "base/error.h"
#include "base/log.h"
#include "base/log_context.h"
#include "engine/guarded.h"

#include <algorithm>
#include <chrono>
#include <optional>
#include <ranges>
#include <utility>

namespace cria::engine {
namespace {

// How long a step may take: shorter when somebody waits for the next token of a running answer.
constexpr double kAloneSeconds = 0.5, kSharedSeconds = 0.15;
// Of prompts, in a first step that computes from the file: that takes nearly as long for one row.
constexpr int64_t kRowsFromFile = 128;

}  // namespace

Engine::Engine(LoadedEngine& loaded, Render render, Emit emit, PrepareQueue::Watchers watchers)
    : loaded_(loaded),
      speculation_(loaded.speculation),
      shared_{.tokenizer = *loaded.tokenizer,
              .memory = *loaded.memory,
              .vocabulary = loaded.model.vocabulary,
              .speculation = loaded.speculation != Speculation::kOff,
              .emit = std::move(emit)},
      batcher_(*loaded.plan, loaded.memory->store(), loaded.model.vocabulary),
      embedder_(loaded, shared_.emit),
      sizer_(loaded.capacity),
      preparer_(loaded, std::move(render)),
      queue_(
          [this](Unprepared request, const Cancelled& cancelled) {
            return preparer_(std::move(request), cancelled);
          },
          std::move(watchers)) {}

void Engine::cancel(uint64_t id) {
  const auto gone = [&](uint64_t other) {
    if (other != id) return false;
    shared_.emit(protocol::Failure{
        .id = id, .kind = ErrorKind::kCancelled, .message = "the request was cancelled"});
    return true;
  };
  if (embedder_.cancel(id)) return;
  if (queue_.cancel(id)) {
    gone(id);
    return;
  }
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
    else if (behind && holds)
      return &one;
    else
      others = others || holds;
  }
  return others ? &self : nullptr;
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

void Engine::take_turns() {
  const bool texts_wait = embedder_.wants_pages() && places() > 0;
  if (!texts_wait && std::ranges::none_of(running_, &Generation::paused)) return;
  const auto it = std::ranges::find_if(
      running_, [](const Generation& one) { return !one.paused() && one.turn_is_over(); });
  if (it == running_.end()) return;
  {
    const log::RequestScope scope(it->request_id());
    it->pause();
  }
  running_.splice(running_.end(), running_, it);
  if (texts_wait) embedder_.step(true);  // before answers take the pages
}

// Those that have shifted have had their share, and are served in turns: so many begin before one
// that is paused as there are places.
bool Engine::new_ones_wait() const {
  return std::ranges::any_of(running_, [&](const Generation& one) {
    return one.paused() && (!one.sequence().shifted() || one.overtaken() >= loaded_.parallel);
  });
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
  const int64_t prompt_rows = loaded_.plan->unread_bytes() > 0
                                  ? kRowsFromFile
                                  : sizer_.rows(somebody_waits ? kSharedSeconds : kAloneSeconds);
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
  const bool reads_weights = loaded_.plan->unread_bytes() > 0;
  const auto start = std::chrono::steady_clock::now();
  const std::vector<std::span<float>> logits = batcher_.run(items);
  if (!reads_weights)  // the next steps will take another time
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

void Engine::take_prepared() {
  for (Prepared& prepared : queue_.take_others())
    if (auto* texts = std::get_if<PreparedTexts>(&prepared))
      embedder_.submit(std::move(*texts));
    else
      shared_.emit(std::get<protocol::Event>(prepared));
}

void Engine::start_waiting() {
  while (places() > 0) {
    if (new_ones_wait()) return;  // no page is free
    if (embeds_next_ && embedder_.busy() && !embedder_.begun()) return;
    std::optional<PreparedAnswer> next = queue_.take_answer();
    if (!next) return;
    embeds_next_ = true;
    for (Generation& one : running_) one.note_begun();
    const protocol::Generate& request = next->request;
    const log::RequestScope scope(request.request_id);
    shared_.emit(protocol::Begun{.id = request.id});
    guarded(shared_.emit, request.id, [&] {
      running_.emplace_back(shared_, request, next->options, std::move(next->prompt),
                            std::move(next->rules));
    });
  }
}

void Engine::embed() {
  // While an answer waits for a place or for pages, no more texts begin, so that theirs becomes
  // free.
  const bool begins = !new_ones_wait() && (embedder_.begun() ? !queue_.has_answer() : places() > 0);
  if (begins) {
    embeds_next_ = false;
    for (Generation& one : running_) one.note_begun();
  }
  if (begins || embedder_.begun()) embedder_.step(begins);
}

// The first step computes from the file, if it ends its prompts.
bool Engine::reads_weights() const {
  if (loaded_.plan->unread_bytes() == 0) return false;
  int64_t rows = 0;
  for (const Generation& one : running_) rows += one.paused() ? 0 : one.sequence().pending();
  return stepped_ || rows > kRowsFromFile;
}

void Engine::step() {
  if (!has_work()) queue_.wait_for_one();
  take_prepared();
  start_waiting();
  take_turns();
  if (reads_weights() && (!running_.empty() || embedder_.busy()))
    return loaded_.plan->load(kReadAtOnce);
  stepped_ = stepped_ || !running_.empty() || embedder_.busy();
  if (!running_.empty()) run_step();
  if (embedder_.busy()) embed();
}

}  // namespace cria::engine
