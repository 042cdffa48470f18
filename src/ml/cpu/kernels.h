// kernels.h - the table of CPU kernels and the choice of one table at start-up.
//
// Every file in kernels/ is compiled once per instruction set (cpu.cmake); kernels/bf16/ and
// kernels/amx/ are what AVX512_BF16 and AMX do otherwise than AVX-512. Each variant fills one
// Kernels table; nothing else in the program may call a variant directly. Kernels are
// single-threaded and noexcept: shapes were checked when the graph was built. All variants give the
// same bits, but for products of BF16 with magnitudes below 2^-126 (kernels/bf16.h).
#pragma once

#include <stddef.h>
#include <stdint.h>

namespace cria::ml::cpu {

// Weights are packed in panels of 16 rows, k-major: see panels.h for the byte layouts.
enum class PanelKind : uint8_t {
  kF32,
  kF16,
  kBF16,  // activations come as floats
  kQ4_0,
  kQ4_1,
  kQ5_0,
  kQ5_1,
  kQ8_0,  // the rest: activations in 8 bits
  kQ4_K,
  kQ5_K,
  kQ6_K,
  kIQ4_NL,
  kIQ4_XS,
  kMXFP4,
  kQ2_K,
  kQ3_K,
  kTQ,  // TQ1_0, TQ2_0
  kIQ2_XXS,
  kIQ2,  // IQ2_XS, IQ2_S
  kIQ3_XXS,
  kIQ3_S,
  kIQ1,  // IQ1_S, IQ1_M
};
inline constexpr int kPanelKinds = 22;
inline constexpr int64_t kPanelRows = 16;
inline constexpr int64_t kBlock = 32;             // activations are quantised per 32 values
inline constexpr int64_t kGroup = 16;             // columns whose quantised values lie together
inline constexpr int64_t kAttentionQueries = 16;  // most queries of one call of attention
inline constexpr int64_t kAttentionBlock = 128;   // positions whose scores it takes at once
inline constexpr int64_t kQ8KvBytes = 34;         // of 32 keys or values in q8_0: int8, a half

// A head in two planes begins each high panel with u8 error[16], f16 least[16], f16 largest[16].
inline constexpr int64_t kHighHeader = 80;

// Quantised activations: groups of kGroup columns, the last one with the columns that are left. A
// group of c columns holds, for each block of 32 k: c times 32 int8, then c floats scale, c floats
// scale * sum, c int32 sum, c int32 sum of the first 16.
constexpr int64_t column_block_bytes(int64_t columns) {
  return columns * (kBlock + 16);
}
constexpr int64_t quantized_bytes(int64_t columns, int64_t k) {
  return column_block_bytes(columns) * (k / kBlock);
}

struct MatmulArgs {
  const uint8_t* panels;  // first panel of the weight
  int64_t panel_bytes;
  int64_t first_panel, last_panel;  // [first, last)
  int64_t rows;                     // of the weight
  int64_t k;
  const void* x;     // quantised groups, or float rows of x_stride
  int64_t x_stride;  // floats; float kinds only
  int64_t columns;
  float* y;  // y[column * y_stride + row]
  int64_t y_stride;
};

// A head in two planes (planes.h) and one quantised column.
struct PlanesArgs {
  const uint8_t* panels;  // first high panel of the weight
  int64_t panel_bytes;
  const uint8_t* low;               // its first row
  int64_t first_panel, last_panel;  // [first, last)
  int64_t rows, k;
  const uint8_t* x;
  float* y;  // y[row]
  // bound_planes only:
  const float* blocks;  // {k / kBlock} of PlanesColumn
  float rounding;       // of PlanesColumn
  float* slack;         // slack[row], for whole panels
};

struct RopeArgs {
  const float* table;  // cos and sin of each pair, interleaved
  int64_t dims, head_dim, heads;
  bool halves;
};

// Queries that share one key/value head, against one sequence's pages.
struct AttentionArgs {
  // [count], each key_dim floats, already scaled; then zeros up to a multiple of kBlock.
  const float* const* queries;
  const int64_t* last;  // [count] last position that a query sees
  int64_t count;        // <= kAttentionQueries
  int64_t key_dim, value_dim;
  int64_t first_position;       // window start of the earliest query, rounded down to a page
  int64_t end_position;         // one past the last position to read
  int64_t window;               // 0: all
  float softcap;                // 0: none
  const uint8_t* const* pages;  // this head's part of each page of the sequence, by position / page
  float* const* out;            // [count] value_dim floats: weighted sums, not yet divided
  float* maximum;               // [count]
  float* total;                 // [count]
  float* scratch;               // count * kAttentionBlock floats
  // q8_0 only: room for quantized_bytes(count, key_dim rounded up to a multiple of kBlock).
  uint8_t* quantized;
};

struct Kernels {
  const char* name;  // "scalar", "avx2", "avx512", "avx512_bf16", "amx", "neon", "neon_dot"
  // y = w x for a range of panels; [PanelKind].
  void (*matmul[kPanelKinds])(const MatmulArgs&) noexcept;
  // The products without the low bits' deviation from their middle, and what that may change.
  void (*bound_planes)(const PlanesArgs&) noexcept;
  // The products, the same as those of kQ8_0.
  void (*multiply_planes)(const PlanesArgs&) noexcept;
  // Adds up what the low bits of one row tell: see PlanesColumn. sums: total, total of magnitudes.
  void (*sum_low_bits)(const uint8_t* low, int64_t k, const uint8_t* column, float* sums) noexcept;
  // A high panel and its rows' low bits become a panel of kind kQ8_0.
  void (*join_planes)(const uint8_t* high, const uint8_t* low, int64_t k, uint8_t* panel) noexcept;
  // Quantises one row of k values into column `column` of a group of `columns`.
  void (*quantize)(const float* x, int64_t k, uint8_t* group, int64_t columns,
                   int64_t column) noexcept;
  void (*rms_norm)(float* y, const float* x, const float* weight, int64_t n, float eps) noexcept;
  void (*layer_norm)(float* y, const float* x, int64_t n, float eps) noexcept;
  void (*add)(float* y, const float* a, const float* b, int64_t n) noexcept;
  void (*mul)(float* y, const float* a, const float* b, int64_t n) noexcept;
  void (*scale)(float* y, const float* x, float factor, int64_t n) noexcept;
  void (*silu)(float* y, const float* x, int64_t n) noexcept;
  void (*gelu)(float* y, const float* x, int64_t n) noexcept;
  void (*gelu_erf)(float* y, const float* x, int64_t n) noexcept;
  void (*softcap)(float* y, const float* x, float cap, int64_t n) noexcept;
  void (*rope)(float* y, const float* x, const RopeArgs& args) noexcept;
  // Attention over positions [first, end) of pages; see kv_store.h for their layouts.
  void (*attention_f16)(const AttentionArgs&) noexcept;
  void (*attention_f32)(const AttentionArgs&) noexcept;
  void (*attention_q8_0)(const AttentionArgs&) noexcept;
  // Merges the parts (maximum, total, weighted sum) of one query into `out`, in order, and divides.
  // sums: {n rounded up to 16, parts}, parts `stride` floats apart.
  void (*merge_attention)(float* out, int64_t n, const float* sums, int64_t stride,
                          const float* maxima, const float* totals, int64_t parts) noexcept;
  void (*to_half)(uint16_t* y, const float* x, int64_t n) noexcept;
  // For probe.h: products of 8-bit integers, floats or BF16, on registers; return the operations
  // done. Reading `bytes` from p.
  int64_t (*probe_int8)(int64_t rounds) noexcept;
  int64_t (*probe_float)(int64_t rounds) noexcept;
  int64_t (*probe_bf16)(int64_t rounds) noexcept;
  void (*probe_read)(const uint8_t* p, int64_t bytes) noexcept;
};

// Variants compiled into this binary that this CPU can run, slowest first; never empty.
inline constexpr int kMostVariants = 5;
struct KernelList {
  const Kernels* items[kMostVariants];
  int size;
};
KernelList runnable_kernels() noexcept;

// The fastest runnable table, or the one named by CRIA_CPU. Throws Error{kUnsupported}, with the
// list, if CRIA_CPU names a table that this CPU cannot run.
const Kernels& kernels();

}  // namespace cria::ml::cpu
