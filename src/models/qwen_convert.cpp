// qwen_convert.cpp - Qwen 2, 2.5 and 3: names only, the tensors stay as they are.

#include "base/error.h"
#include "models/convert_parts.h"

namespace cria::models {

Conversion convert_qwen(const Checkpoint& checkpoint) {
  const Json& config = checkpoint.config;
  if (json_bool(config, "use_sliding_window").value_or(false))
    fail(ErrorKind::kUnsupported, "qwen models with a sliding window are not supported");
  const std::string name = config["architectures"].front().get<std::string>();
  Conversion out = begin_decoder(checkpoint, name == "Qwen3ForCausalLM" ? "qwen3" : "qwen2");
  add_decoder_tensors(checkpoint, {}, out);
  return out;
}

}  // namespace cria::models
