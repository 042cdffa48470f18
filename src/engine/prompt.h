// prompt.h - from a request to the token ids that the model reads.
#pragma once

#include "engine/options.h"
#include "protocol/protocol.h"
#include "text/tokenizer/tokenizer.h"

#include <cstdint>
#include <string>
#include <vector>

namespace cria::engine {

using text::TokenId;

struct Prompt {
  std::vector<TokenId> ids;
  std::string rendered;
  bool has_bos = false;  // ids begins with a token that the tokenizer added
  protocol::Truncation truncated;
};

// What a prompt has to fit into.
struct PromptLimits {
  int64_t context = 0;     // positions of a sequence
  int64_t vocabulary = 0;  // ids are below it
};

// How many tokens at the beginning stay when the middle of the text gives way: num_keep and the
// begin-of-text token, less than the context.
int64_t kept_tokens(const GenerationOptions& options, bool has_bos, int64_t prompt,
                    int64_t context);

// Text of a prompt that is complete, with the ids of an earlier conversation before it. Throws
// Error{kInvalidInput} for ids that the model does not have.
Prompt tokenize_prompt(const protocol::Generate& request, std::string text,
                       const text::Tokenizer& tokenizer, const PromptLimits& limits);

// Cuts the middle out of a prompt that is too long, or throws Error{kInvalidInput} with both
// lengths when the request does not allow it.
void fit_prompt(Prompt& prompt, const protocol::Generate& request, const GenerationOptions& options,
                const PromptLimits& limits);

}  // namespace cria::engine
