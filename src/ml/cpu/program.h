// program.h - the compiled form of a graph: stages, row operations, and where their operands are.
//
// A stage is row operations, matmuls that share an input, or one attention. Within a step stages
// run in order with a barrier between them, with one exception: when the step has a single row,
// every thread runs all row operations redundantly, each into copies of its own, so that only
// matmuls and attention need barriers (four or five a layer).
#pragma once

#include "ml/cpu/weights.h"

#include <cstdint>
#include <variant>
#include <vector>

namespace cria::ml::cpu {

// Whose memory a row of activations is in.
enum class Place : uint8_t {
  kShared,   // one row per step row: results of matmuls
  kRowwise,  // likewise, but one per thread when the step has a single row
  kLocal,    // one per thread: lives only inside a row stage
  kWeight,   // the same floats for every row
  kLogits,   // the caller's buffer
};

struct Ref {
  Place place = Place::kShared;
  int64_t offset = 0;  // floats, into the scratch arena
  int64_t stride = 0;  // floats
  const float* weight = nullptr;
};

// An activation quantised for matmuls: groups of columns as kernels.h says.
struct QuantizedRef {
  int64_t offset = 0;  // bytes, into the scratch arena
  int64_t k = 0;
  int64_t thread_stride = 0;  // bytes, when every thread has a copy of one row
};

enum class RowKind : uint8_t {
  kEmbed,      // out = row tokens[r], positions[r] or segments[r] of table
  kGather,     // out = row outputs[r] of a
  kRopeTable,  // out = cosines and sines of positions[r]
  kAdd,
  kMul,
  kScale,
  kRmsNorm,
  kLayerNorm,
  kSilu,
  kGelu,
  kGeluErf,
  kSoftcap,
  kRope,      // a: x, b: table
  kHidden,    // a -> the caller's buffer, in steps that want hidden states
  kQuantize,  // a -> quantized
  kStoreKv,   // a: k, b: v; only in steps of several rows
  kMerge,     // out = attention's result; only in steps of a single row
};

enum class RowKey : uint8_t { kToken, kPosition, kSegment };

struct RowOp {
  RowKind kind;
  Ref out, a, b;
  int64_t width = 0;     // floats of a row
  int64_t segments = 1;  // norms: heads, each normalised by itself
  float scalar = 0;
  const Weight* table = nullptr;
  RowKey key = RowKey::kToken;  // kEmbed: what it looks up
  RopeArgs rope = {};
  size_t frequencies = 0;  // kRopeTable: index into Program::ropes
  QuantizedRef quantized;
  Axis axis = Axis::kTokens;  // kQuantize: whose rows share groups
  size_t attention = 0;       // kStoreKv, kMerge: index into Program::stages
};

struct RowStage {
  std::vector<RowOp> ops;
  Axis axis = Axis::kTokens;
  bool first_thread_only = false;  // writes the logits: not to be repeated by every thread
};

struct MatmulPart {
  const Weight* weight;
  Ref out;
};

struct MatmulStage {
  std::vector<MatmulPart> parts;
  Axis axis = Axis::kTokens;
  Ref x;                   // for float panels
  QuantizedRef quantized;  // for the others
};

struct AttentionStage {
  AttentionSpec spec;
  Ref q, k, v, out;
  int64_t heads = 0, kv_heads = 0, key_dim = 0, value_dim = 0;
};

using Stage = std::variant<RowStage, MatmulStage, AttentionStage>;

struct RopeSource {
  std::vector<double> frequencies;
  float magnitude = 1;
};

struct Program {
  std::vector<Stage> stages;
  std::vector<RopeSource> ropes;
  int64_t scratch_bytes = 0;  // size of the arena that offsets point into
  int64_t capacity = 0;       // rows
  int64_t vocabulary = 0;
  int64_t hidden_width = 0;  // 0: the graph has no hidden states
  size_t hidden_stage = 0;   // the last one of steps that want them
  int64_t tile_floats = 0;   // per thread: 16 rows of the widest weight that is not in whole panels
};

Program compile_program(const Graph& graph, const WeightSet& weights, int threads);

}  // namespace cria::ml::cpu
