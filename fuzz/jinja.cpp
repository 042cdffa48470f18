// A Jinja template from a model: parsed, and run over a small conversation with tight limits.
#include "base/error.h"
#include "text/jinja/template.h"

#include <cstdint>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace cria;
  static const Json variables = parse_json(
      R"({"messages":[{"role":"system","content":"s"},{"role":"user","content":" ü😀 "},
          {"role":"assistant","content":"","tool_calls":[{"id":"1","type":"function",
           "function":{"name":"f","arguments":{"a":1,"b":[1.5,null,true]}}}]}],
          "tools":[{"type":"function","function":{"name":"f","parameters":{"type":"object"}}}],
          "bos_token":"<s>","eos_token":"</s>","add_generation_prompt":true,"l":[3,1,2],"d":{"k":1},
          "s":"text","n":7,"x":-2.5,"none_value":null})");
  try {
    jinja::Template::parse({reinterpret_cast<const char*>(data), size})
        .render(variables,
                {.limits = {.max_steps = 20'000, .max_output = 1 << 18, .max_memory = 1 << 22}});
  } catch (const Error&) {
  }
  return 0;
}
