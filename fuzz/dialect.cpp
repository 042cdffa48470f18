// dialect.cpp - bodies of the OpenAI and Anthropic dialects: whatever they are, only cria::Error
// may escape.
#include "api/anthropic.h"
#include "api/fields.h"
#include "api/openai.h"
#include "api/openai_responses.h"
#include "base/error.h"

#include <cstdint>
#include <string_view>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 1) return 0;
  const std::string_view body(reinterpret_cast<const char*>(data) + 1, size - 1);
  try {
    const cria::Json json = cria::api::parse_body(body);
    switch (data[0] % 4) {
      case 0:
        cria::api::parse_openai_chat(json);
        break;
      case 1:
        cria::api::parse_openai_completion(json);
        break;
      case 2:
        cria::api::parse_openai_responses(json);
        break;
      default:
        cria::api::parse_anthropic_messages(json);
    }
  } catch (const cria::Error&) {
  }
  return 0;
}
