// openai.h - requests of OpenAI's chat and text completions, checked, as native ones. Facts: spec
// api-and-cli.md 2. What cannot be honoured and would change the answer is refused by name.
//
// Beside OpenAI's fields `options` and `keep_alive` mean what they mean natively.
#pragma once

#include "api/dialect.h"

namespace cria::api {

struct OpenAiChat : DialectChat {
  bool include_usage = false;  // at the end of a stream
  int64_t count = 1;           // answers
};

struct OpenAiCompletion : GenerateRequest {
  bool include_usage = false;
  bool echo = false;  // the prompt comes before the answer
  int64_t count = 1;
};

// Throw Error{kInvalidInput}.
OpenAiChat parse_openai_chat(const Json& body);
OpenAiCompletion parse_openai_completion(const Json& body);

}  // namespace cria::api
