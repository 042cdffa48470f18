// make_model.cpp - a model file with random weights in the shape of a published one, for speed
// alone.
//
//   bench_make_model 1b|8b TYPE OUT.gguf
// TYPE is a recipe of create --quantize ("Q4_K_M") or one element type ("IQ4_XS", "MXFP4"), which
// then holds all matrices but the embedding and the head (Q6_K). Shapes of Llama 3.2 1B and
// Llama 3.1 8B. One part of random blocks is written again and again: neither side's speed depends
// on the values.
#include "base/error.h"
#include "formats/gguf_writer.h"
#include "quant/mix.h"

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <map>
#include <random>

namespace {

using namespace cria;
using quant::DType;

struct Shape {
  const char* name;
  int64_t layers, width, hidden, heads, kv_heads, head_dim, vocabulary;
  bool tied;
};
constexpr Shape kShapes[] = {{"1b", 16, 2048, 8192, 32, 8, 64, 128256, true},
                             {"8b", 32, 4096, 14336, 32, 8, 128, 128256, false}};

struct Matrix {
  std::string name;
  int64_t row, rows;
};

std::vector<Matrix> matrices_of(const Shape& s) {
  std::vector<Matrix> out = {{"token_embd.weight", s.width, s.vocabulary}};
  for (int64_t i = 0; i < s.layers; ++i) {
    const std::string block = fmt::format("blk.{}.", i);
    const int64_t q = s.heads * s.head_dim, kv = s.kv_heads * s.head_dim;
    out.push_back({block + "attn_q.weight", s.width, q});
    out.push_back({block + "attn_k.weight", s.width, kv});
    out.push_back({block + "attn_v.weight", s.width, kv});
    out.push_back({block + "attn_output.weight", q, s.width});
    out.push_back({block + "ffn_gate.weight", s.width, s.hidden});
    out.push_back({block + "ffn_up.weight", s.width, s.hidden});
    out.push_back({block + "ffn_down.weight", s.hidden, s.width});
  }
  if (!s.tied) out.push_back({"output.weight", s.width, s.vocabulary});
  return out;
}

std::vector<DType> types_of(const Shape& s, const std::vector<Matrix>& matrices,
                            const std::string& type) {
  if (const quant::Mix* mix = quant::find_mix(type)) {
    std::vector<quant::MixTensor> tensors;
    for (const Matrix& m : matrices) tensors.push_back({m.name, DType::kF32, m.row, 2});
    return quant::choose_types(
        *mix,
        {.architecture = "llama", .layers = s.layers, .heads = s.heads, .kv_heads = s.kv_heads},
        tensors);
  }
  const quant::DTypeInfo* info = quant::find_dtype(type);
  if (info == nullptr) fail(ErrorKind::kInvalidInput, "unknown type {}", type);
  std::vector<DType> types;
  for (const Matrix& m : matrices)
    types.push_back(m.name.starts_with("blk.") ? info->dtype : DType::kQ6_K);
  return types;
}

// About a megabyte of blocks: of small random values, or, where nothing quantises to the type,
// random bits with tame scales.
std::vector<std::byte> random_blocks(DType dtype) {
  const quant::DTypeInfo& info = quant::info(dtype);
  const int64_t blocks = (int64_t{1} << 20) / info.block_bytes;
  std::vector<std::byte> out(static_cast<size_t>(blocks * info.block_bytes));
  std::mt19937 random(7);
  if (info.quantize != nullptr) {
    std::normal_distribution<float> normal(0, 0.02f);
    std::vector<float> values(static_cast<size_t>(blocks * info.block_elements));
    for (float& value : values) value = normal(random);
    info.quantize(values.data(), out.data(), std::ssize(values));
    return out;
  }
  for (std::byte& byte : out) byte = static_cast<std::byte>(random());
  constexpr uint16_t kHalf = 0x211F;  // 0.01
  for (int64_t i = 0; i < blocks; ++i) {
    std::byte* const block = out.data() + i * info.block_bytes;
    if (dtype == DType::kMXFP4) {
      block[0] = std::byte{120};  // 2^-7
    } else {                      // formats have their scale at the beginning or the end
      std::memcpy(block, &kHalf, 2);
      std::memcpy(block + info.block_bytes - 2, &kHalf, 2);
    }
  }
  return out;
}

formats::Metadata metadata_of(const Shape& s) {
  const auto count = [](int64_t value) { return formats::value_u32(static_cast<uint32_t>(value)); };
  return {{"general.architecture", formats::value_string("llama")},
          {"general.name", formats::value_string(fmt::format("random {}", s.name))},
          {"llama.block_count", count(s.layers)},
          {"llama.context_length", count(131072)},
          {"llama.embedding_length", count(s.width)},
          {"llama.feed_forward_length", count(s.hidden)},
          {"llama.attention.head_count", count(s.heads)},
          {"llama.attention.head_count_kv", count(s.kv_heads)},
          {"llama.attention.layer_norm_rms_epsilon", formats::value_f32(1e-5f)},
          {"llama.rope.dimension_count", count(s.head_dim)},
          {"llama.rope.freq_base", formats::value_f32(500000.0f)},
          {"llama.vocab_size", count(s.vocabulary)},
          {"tokenizer.ggml.model", formats::value_string("none")}};
}

void write(const Shape& s, const std::string& type, const char* path) {
  const std::vector<Matrix> matrices = matrices_of(s);
  const std::vector<DType> types = types_of(s, matrices, type);
  std::map<DType, std::vector<std::byte>> blocks;
  for (const DType dtype : types)
    if (!blocks.contains(dtype)) blocks[dtype] = random_blocks(dtype);
  std::vector<formats::NewTensor> tensors;
  const std::vector<float> ones(static_cast<size_t>(s.width), 1.0f);
  const auto add_norm = [&](const std::string& name) {
    tensors.push_back(
        {.name = name, .shape = {s.width, 1, 1, 1}, .write = [&](const formats::ByteSink& sink) {
           sink(std::as_bytes(std::span(ones)));
         }});
  };
  for (size_t i = 0; i < matrices.size(); ++i) {
    const Matrix& m = matrices[i];
    const quant::DTypeInfo& info = quant::info(types[i]);
    const int64_t bytes = m.row / info.block_elements * info.block_bytes * m.rows;
    tensors.push_back({.name = m.name,
                       .dtype = types[i],
                       .shape = {m.row, m.rows, 1, 1},
                       .rank = 2,
                       .write = [&part = blocks[types[i]], bytes](const formats::ByteSink& sink) {
                         for (int64_t at = 0; at < bytes; at += std::ssize(part))
                           sink(std::span(part).first(
                               static_cast<size_t>(std::min(std::ssize(part), bytes - at))));
                       }});
  }
  for (int64_t i = 0; i < s.layers; ++i) {
    add_norm(fmt::format("blk.{}.attn_norm.weight", i));
    add_norm(fmt::format("blk.{}.ffn_norm.weight", i));
  }
  add_norm("output_norm.weight");
  formats::write_gguf(path, metadata_of(s), tensors);
}

}  // namespace

int main(int argc, char** argv) {
  try {
    const auto shape = std::ranges::find_if(
        kShapes, [&](const Shape& s) { return argc == 4 && s.name == std::string_view(argv[1]); });
    if (shape == std::end(kShapes))
      return std::fprintf(stderr, "usage: %s 1b|8b TYPE OUT.gguf\n", argv[0]), 2;
    write(*shape, argv[2], argv[3]);
    return 0;
  } catch (const Error& e) {
    std::fprintf(stderr, "%s\n", e.what());
    return 1;
  }
}
