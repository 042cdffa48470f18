// convert_parts.h - what the converters share: keys of config.json, names of tensors, transforms.
#pragma once

#include "models/convert.h"

#include <cstdint>
#include <optional>

namespace cria::models {

struct Checkpoint {
  Json config;  // with text_config merged over the top level
  std::shared_ptr<const formats::ModelFile> tensors;
};

// "self_attn.q_proj" of a layer becomes "attn_q" of a block.
struct Rename {
  std::string_view from, to;
};

// Metadata keys, prefixed by the architecture.
class MetadataWriter {
 public:
  explicit MetadataWriter(Conversion& out) : out_(out) {}
  void size(std::string_view key, int64_t value);
  void number(std::string_view key, double value);
  void text(std::string_view key, std::string value);
  void flag(std::string_view key, bool value);
  void flags(std::string_view key, std::vector<bool> value);

 private:
  void add(std::string_view key, formats::Value value);
  Conversion& out_;
};

// Throws Error{kInvalidInput} naming the key when it is absent.
int64_t config_size(const Json& config, std::string_view key);
double config_number(const Json& config, std::string_view key);

// A conversion with the keys general.*.
Conversion begin_conversion(const Checkpoint& checkpoint, std::string_view architecture);
// Adds a tensor under its new name: vectors stay exact, matrices keep bfloat16 and become float16
// otherwise.
void add_tensor(const formats::TensorInfo& source, std::string name, Conversion& out);
// The part of "3.attention" behind a layer's number, which goes to `layer`; empty when there is
// none.
std::string_view behind_layer(std::string_view path, int64_t& layer);
std::optional<std::string_view> renamed(std::string_view name, std::span<const Rename> table);

// The keys that all decoders have, and rope scaling "linear" and "yarn".
Conversion begin_decoder(const Checkpoint& checkpoint, std::string_view architecture);
// Adds every text tensor under its GGUF name: the names all decoders share, and `more` for layers.
void add_decoder_tensors(const Checkpoint& checkpoint, std::span<const Rename> more,
                         Conversion& out);

// Rows of q or k: halves of each head become neighbouring pairs, which RopeLayout::kInterleaved
// turns.
std::function<void(std::span<float>)> permute_heads(int64_t heads, int64_t rows);
void add_one(std::span<float> values);

Conversion convert_bert(const Checkpoint& checkpoint);
Conversion convert_llama(const Checkpoint& checkpoint);
Conversion convert_qwen(const Checkpoint& checkpoint);
Conversion convert_gemma3(const Checkpoint& checkpoint);

}  // namespace cria::models
