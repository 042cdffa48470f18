// text_requests.h - requests that need the tokenizer alone. They run beside the engine's steps: a
// long text does not hold up the answers of others.
#pragma once

#include "engine/generation.h"
#include "protocol/protocol.h"
#include "text/tokenizer/tokenizer.h"

namespace cria::engine {

// Send Tokens, or a Text, and Done. Throw Error{kInvalidInput} naming a token that the vocabulary
// does not have.
void answer(const protocol::Tokenize& request, const text::Tokenizer& tokenizer, const Emit& emit);
void answer(const protocol::Detokenize& request, const text::Tokenizer& tokenizer,
            const Emit& emit);

}  // namespace cria::engine
