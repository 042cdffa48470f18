// openai_responses.h - requests of OpenAI's responses, checked, as native chats. Facts: spec
// api-and-cli.md 2.6. Nothing is kept between requests, so what refers to earlier ones is refused.
//
// Beside OpenAI's fields `options` and `keep_alive` mean what they mean natively.
#pragma once

#include "api/dialect.h"

namespace cria::api {

struct OpenAiResponses : DialectChat {
  Json echo = Json::object();  // fields of the answer that repeat what was asked
};

// Throws Error{kInvalidInput}.
OpenAiResponses parse_openai_responses(const Json& body);

}  // namespace cria::api
