// A model file's chat template: what its text tells, what it writes, and its conversion.
#include "text/chat/chat_template.h"
#include "base/error.h"
#include "text/chat/convert.h"
#include "text/chat/detect.h"
#include "text/chat/jinja_prompt.h"

#include <cstdint>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace cria;
  const text::JinjaSource source{.text{reinterpret_cast<const char*>(data), size},
                                 .bos = "<s>",
                                 .eos = "</s>",
                                 .adds_bos = size % 2 == 0};
  text::jinja_capabilities(source.text);
  text::jinja_marks(source.text);
  text::detect_template(source.text);
  text::convert_chat_template(source);
  return 0;
}
