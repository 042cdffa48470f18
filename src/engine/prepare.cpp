#include "engine/prepare.h"

#include "base/error.h"
#include "base/log.h"
#include "base/log_context.h"
#include "engine/guarded.h"

#include <algorithm>
#include <utility>

namespace cria::engine {
namespace {

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

// The texts have become a prompt and rules; many of them may wait for a place.
void drop_texts(protocol::Generate& request) {
  request.model = {};
  request.messages = request.tools = Json::array();
  for (std::string* text :
       {&request.prompt, &request.suffix, &request.system, &request.template_text})
    *text = {};
  request.context = {};
  request.format = {};
}

void stop_if(const Cancelled& cancelled) {
  if (cancelled()) fail(ErrorKind::kCancelled, "the request was cancelled");
}

}  // namespace

Preparer::Preparer(const LoadedEngine& loaded, Render render)
    : loaded_(loaded), render_(std::move(render)), formats_(*loaded.tokenizer) {}

Prepared Preparer::operator()(Unprepared request, const Cancelled& cancelled) {
  return std::visit(
      [&](auto& one) {
        const log::RequestScope scope(one.request_id);
        Prepared out;
        const Emit end = [&](const protocol::Event& event) {
          log::debug("request {}: {}", one.id, std::get<protocol::Failure>(event).message);
          out = event;
        };
        guarded(end, one.id, [&] { out = prepare(one, cancelled); });
        return out;
      },
      request);
}

Prepared Preparer::prepare(protocol::Generate& request, const Cancelled& cancelled) {
  const auto done = [&](protocol::Done end) {
    end.id = request.id;
    return protocol::Event(std::move(end));
  };
  GenerationOptions options = parse_options(request.options);
  options.num_ctx = loaded_.context_for(options.num_ctx);
  if (only_loads(request)) return done({.reason = "load"});
  if (loaded_.model.result != models::Result::kLogits)
    fail(ErrorKind::kInvalidInput, "this model was loaded to embed, not to generate");
  refuse_unsupported(request);
  for (const auto& [token, bias] : options.sampling.logit_bias)
    if (token >= loaded_.model.vocabulary)
      fail(ErrorKind::kInvalidInput, "logit_bias names token {}, but this model has tokens 0 to {}",
           token, loaded_.model.vocabulary - 1);
  const PromptLimits limits{.context = options.num_ctx, .vocabulary = loaded_.model.vocabulary};
  const Fits fits = [&](const std::string& text) {
    stop_if(cancelled);
    return !request.truncate ||
           std::ssize(loaded_.tokenizer->encode(text, {.add_special = false})) <= limits.context;
  };
  RenderedPrompt rendered = render_(request, fits);
  stop_if(cancelled);
  const protocol::Truncation truncated =
      truncation_of(rendered, *loaded_.tokenizer, limits.context);
  Prompt prompt = tokenize_prompt(request, std::move(rendered.text), *loaded_.tokenizer, limits);
  prompt.truncated = truncated;
  if (request.debug_render_only)
    return done({.prompt_tokens = std::ssize(prompt.ids),
                 .truncated = prompt.truncated,
                 .rendered = std::move(prompt.rendered)});
  if (prompt.ids.empty()) return done({.reason = "load"});
  fit_prompt(prompt, request, options, limits);
  prompt.ids.shrink_to_fit();
  prompt.rendered = {};
  stop_if(cancelled);
  std::optional<grammar::ThinkingMarks> thinking;
  if (rendered.parser) thinking = rendered.parser->thinking_marks();
  AnswerRules rules{.parser = std::move(rendered.parser),
                    .constraint = formats_.constraint(request.format, thinking)};
  drop_texts(request);
  return PreparedAnswer{.request = std::move(request),
                        .options = std::move(options),
                        .prompt = std::move(prompt),
                        .rules = std::move(rules)};
}

Prepared Preparer::prepare(protocol::Embed& request, const Cancelled& cancelled) const {
  const auto start = std::chrono::steady_clock::now();
  const bool ranks = loaded_.model.result == models::Result::kScore;
  if (ranks != request.query.has_value())
    fail(ErrorKind::kUnsupported, "{}",
         ranks ? "this model ranks pairs of texts; it gives no embeddings"
               : "this model embeds single texts; it does not rank pairs");
  if (request.inputs.empty())
    return protocol::Event(protocol::Done{.id = request.id, .reason = "stop"});
  std::vector<PreparedTexts::Text> texts;
  texts.reserve(request.inputs.size());
  for (std::string& input : request.inputs) {
    stop_if(cancelled);
    texts.push_back(request.query ? tokenize_pair(request, input) : tokenize(request, input));
    texts.back().tokens.shrink_to_fit();
    check(texts.back().tokens);
    input = {};
  }
  request.inputs = {};
  return PreparedTexts{.request = std::move(request), .texts = std::move(texts), .start = start};
}

int64_t Preparer::excess(const protocol::Embed& request, int64_t length) const {
  const int64_t limit = loaded_.context_for(request.num_ctx);
  if (length > limit && !request.truncate)
    fail(ErrorKind::kInvalidInput,
         "the input length exceeds the context length: {} tokens, but the context is {}", length,
         limit);
  return std::max<int64_t>(length - limit, 0);
}

// What is too long loses its end, but not the tokens that the vocabulary puts around a text.
PreparedTexts::Text Preparer::tokenize(const protocol::Embed& request,
                                       const std::string& input) const {
  const text::Tokenizer& tokenizer = *loaded_.tokenizer;
  PreparedTexts::Text text;
  std::vector<TokenId>& ids = text.tokens;
  ids = tokenizer.encode(input, {});
  text.truncated = excess(request, std::ssize(ids));
  if (text.truncated > 0) {
    const std::vector<TokenId> around = tokenizer.encode("", {});
    const int64_t before = tokenizer.adds_bos() && !around.empty() ? 1 : 0;
    const int64_t behind = std::ssize(around) - before;
    ids.erase(ids.end() - behind - text.truncated, ids.end() - behind);
  }
  if (ids.empty())
    fail(ErrorKind::kInvalidInput, "an input is empty, and this model adds no tokens of its own");
  return text;
}

void Preparer::check(const std::vector<TokenId>& ids) const {
  for (const TokenId id : ids)
    if (id < 0 || id >= loaded_.model.vocabulary)
      fail(ErrorKind::kInvalidInput, "the tokenizer gives token {}, but the model has only {}", id,
           loaded_.model.vocabulary);
}

// [CLS] query [SEP] text [SEP], as BERT's cross-encoders were trained. What is too long loses the
// text's end.
PreparedTexts::Text Preparer::tokenize_pair(const protocol::Embed& request,
                                            const std::string& input) const {
  const text::Tokenizer& tokenizer = *loaded_.tokenizer;
  constexpr text::EncodeOptions kPlain{.add_special = false, .parse_special = false};
  PreparedTexts::Text text;
  std::vector<TokenId>& ids = text.tokens;
  ids = tokenizer.encode(*request.query, {.add_special = true, .parse_special = false});
  const std::vector<TokenId> around = tokenizer.encode("", {});
  if (around.size() < 2)
    fail(ErrorKind::kUnsupported,
         "this model's vocabulary puts no token between the texts of a pair");
  const int64_t context = loaded_.context_for(request.num_ctx);
  const int64_t room = context - std::ssize(ids) - 1;
  if (room <= 0)
    fail(ErrorKind::kInvalidInput,
         "the query is too long: {} tokens leave no room for a document in a context of {}",
         ids.size(), context);
  std::vector<TokenId> second = tokenizer.encode(input, kPlain);
  if (std::ssize(second) > room) {
    if (!request.truncate)
      fail(ErrorKind::kInvalidInput,
           "query and document exceed the context length: {} tokens, but the context is {}",
           std::ssize(ids) + std::ssize(second) + 1, context);
    text.truncated = std::ssize(second) - room;
    second.resize(static_cast<size_t>(room));
  }
  text.second = std::ssize(ids);
  ids.insert(ids.end(), second.begin(), second.end());
  ids.push_back(around.back());
  return text;
}

}  // namespace cria::engine
