// request.cpp - bodies of the native API: whatever they are, only cria::Error may escape.
#include "api/fields.h"
#include "api/ollama.h"
#include "base/error.h"

#include <cstdint>
#include <string_view>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 1) return 0;
  const std::string_view body(reinterpret_cast<const char*>(data) + 1, size - 1);
  try {
    const cria::Json json = cria::api::parse_body(body);
    switch (data[0] % 5) {
      case 0:
        cria::api::parse_generate(json);
        break;
      case 1:
        cria::api::parse_chat(json);
        break;
      case 2:
        cria::api::parse_show(json);
        break;
      case 3:
        cria::api::parse_create(json);
        break;
      default:
        cria::api::parse_model_name("DeleteRequest", json);
    }
  } catch (const cria::Error&) {
  }
  return 0;
}
