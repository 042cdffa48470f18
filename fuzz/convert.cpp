// convert.cpp - any JSON as config.json of a checkpoint with a few tensors: a conversion, or an
// Error.
#include "models/convert.h"
#include "base/error.h"

#include <string_view>

namespace {

std::shared_ptr<const cria::formats::ModelFile> checkpoint() {
  auto file = std::make_shared<cria::formats::ModelFile>();
  for (const char* name : {"model.embed_tokens.weight", "model.layers.0.self_attn.q_proj.weight",
                           "model.layers.0.self_attn.k_proj.bias", "model.norm.weight"})
    file->tensors.push_back({.name = name,
                             .dtype = cria::quant::DType::kF32,
                             .shape = {8, 8, 1, 1},
                             .rank = std::string_view(name).ends_with("bias") ? 1 : 2});
  return file;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const auto file = checkpoint();
  try {
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    cria::models::convert(cria::parse_json(text), file);
  } catch (const cria::Error&) {
  }
  return 0;
}
