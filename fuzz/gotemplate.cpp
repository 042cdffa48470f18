// A Go template from a model: parsed, and run over a small conversation with tight limits.
#include "base/error.h"
#include "text/chat/prompt.h"

#include <cstdint>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace cria;
  const std::string_view source(reinterpret_cast<const char*>(data), size);
  static const Json input = parse_json(
      R"({"System":"s","Prompt":"p","Response":"","Messages":[{"Role":"user","Content":"c"},
          {"Role":"assistant","ToolCalls":[1,2]}],"Tools":[{"a":1.5}],"M":{"k":null},"N":null})");
  try {
    const auto t = text::Template::parse(source);
    t.variables();
    t.execute(input, {.max_steps = 20'000, .max_output = 1 << 18});
  } catch (const Error&) {
  }
  try {
    text::PromptTemplate::parse(source);
  } catch (const Error&) {
  }
  return 0;
}
