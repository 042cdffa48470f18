#include "engine/prompt.h"

#include "base/error.h"
#include "base/log.h"

#include <algorithm>
#include <utility>

namespace cria::engine {

int64_t kept_tokens(const GenerationOptions& options, bool has_bos, int64_t prompt,
                    int64_t context) {
  const int64_t asked = options.num_keep < 0 ? prompt : options.num_keep + (has_bos ? 1 : 0);
  return std::min({asked, prompt, context - 1});
}

Prompt tokenize_prompt(const protocol::Generate& request, std::string text,
                       const text::Tokenizer& tokenizer, const PromptLimits& limits) {
  Prompt out;
  const bool adds_bos = tokenizer.adds_bos() && tokenizer.bos() >= 0;
  std::vector<TokenId> ids = tokenizer.encode(text, {.add_special = request.context.empty()});
  for (const TokenId id : request.context)
    if (id < 0 || id >= limits.vocabulary)
      fail(ErrorKind::kInvalidInput, "context holds token {}, but this model has tokens 0 to {}",
           id, limits.vocabulary - 1);
  if (request.context.empty()) {
    out.ids = std::move(ids);
  } else {
    out.ids.reserve(request.context.size() + ids.size() + 1);
    if (adds_bos && request.context.front() != tokenizer.bos()) out.ids.push_back(tokenizer.bos());
    out.ids.insert(out.ids.end(), request.context.begin(), request.context.end());
    out.ids.insert(out.ids.end(), ids.begin(), ids.end());
  }
  out.has_bos = adds_bos && !out.ids.empty() && out.ids.front() == tokenizer.bos();
  const auto strange =
      std::ranges::find_if(out.ids, [&](TokenId id) { return id < 0 || id >= limits.vocabulary; });
  if (strange != out.ids.end())
    fail(ErrorKind::kInvalidInput, "the tokenizer gives token {}, but the model has only {}",
         *strange, limits.vocabulary);
  out.rendered = std::move(text);
  return out;
}

void fit_prompt(Prompt& prompt, const protocol::Generate& request, const GenerationOptions& options,
                const PromptLimits& limits) {
  const int64_t length = std::ssize(prompt.ids), context = limits.context;
  if (!request.truncate) {
    if (length <= context) return;
    fail(ErrorKind::kInvalidInput,
         "the input length exceeds the context length: {} tokens, but num_ctx is {}", length,
         context);
  }
  if (length <= context - 1) return;
  if (!request.shift)
    fail(
        ErrorKind::kInvalidInput,
        "the prompt is longer than the context length currently available to the model ({} tokens, "
        "num_ctx is {}); shorten the prompt, adjust the context length in settings, or use a model "
        "with a longer context length",
        length, context);
  const int64_t keep = kept_tokens(options, prompt.has_bos, length, context);
  const int64_t kept = context - std::max<int64_t>((context - keep) / 2, 1);
  log::warn("prompt of {} tokens is cut to {}: the first {} and the last {}", length, kept, keep,
            kept - keep);
  prompt.truncated.tokens += length - kept;
  prompt.ids.erase(prompt.ids.begin() + keep, prompt.ids.end() - (kept - keep));
}

}  // namespace cria::engine
