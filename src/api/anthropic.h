// anthropic.h - requests of Anthropic's messages, checked, as native chats. Facts: spec
// api-and-cli.md 3. What cannot be honoured and would change the answer is refused by name.
//
// Beside Anthropic's fields `options` and `keep_alive` mean what they mean natively.
#pragma once

#include "api/dialect.h"

#include <string>
#include <vector>

namespace cria::api {

struct AnthropicMessages : DialectChat {
  std::vector<std::string> stop_sequences;  // of the request, not of the model
};

// Throw Error{kInvalidInput}. A request for a count needs no max_tokens.
AnthropicMessages parse_anthropic_messages(const Json& body);
AnthropicMessages parse_anthropic_count(const Json& body);

}  // namespace cria::api
