// backend.h - what runs graphs: compile once, run many times.
#pragma once

#include "ml/graph.h"

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

namespace cria::ml {

// Positions of the KV cache are kept in pages of this many tokens; a sequence's position p lies in
// its page p / kPageTokens. Pages may be shared by sequences with a common prefix.
inline constexpr int64_t kPageTokens = 32;

struct KvLayerLayout {
  int64_t kv_heads = 0, key_dim = 0, value_dim = 0;
  int64_t window = 0;  // 0: causal over everything
  RopeSpec rope;       // how keys were rotated, for shifting
  const WeightSource* rope_factors = nullptr;
};

struct KvLayout {
  std::vector<KvLayerLayout> layers;
  DType dtype = DType::kF16;  // kF16, kQ8_0 or kF32
};

using PageParts = std::vector<std::span<std::byte>>;

// The memory of a KV cache: `pages` pages for every layer. Which sequence owns which page is the
// engine's business. Contents are undefined until written by a run.
class KvStore {
 public:
  virtual ~KvStore() = default;
  virtual int64_t pages() const = 0;
  virtual int64_t bytes() const = 0;
  // The memory of one page in all layers, in the same order and sizes for every page: to copy it,
  // or to keep it elsewhere and put it back.
  virtual PageParts page_parts(int32_t page) = 0;
  int64_t page_bytes();  // of one page in all layers
  // Used when a shared page is about to be written.
  void copy_page(int32_t from, int32_t to);
  // Moves `count` positions of a sequence from `from` to `to` < `from` in every layer, re-rotating
  // keys by (to - from); `pages` is the sequence's page table.
  virtual void shift(std::span<const int32_t> pages, int64_t from, int64_t to, int64_t count) = 0;
};

// Consecutive rows of a step that belong to one sequence, at consecutive positions.
struct SequenceRows {
  int64_t first_row = 0, rows = 0;
  int64_t first_position = 0;
  std::span<const int32_t> pages;  // covers every position up to the last row's
};

struct StepInput {
  std::span<const int32_t> tokens;          // {n}, each in [0, vocabulary)
  std::span<const int32_t> positions;       // {n}
  std::span<const int32_t> outputs;         // {m} ascending row numbers
  std::span<const SequenceRows> sequences;  // cover all rows in order
  // How many of the best logits of each output row are looked at; 0: all. Logits below the best
  // `best` ones may then be -infinity instead; those themselves, and any equal to the last of them,
  // never differ.
  int64_t best = 0;
  std::span<const int32_t> segments;  // {n}; only for graphs that look them up
  bool hidden = false;  // the graph's hidden states are wanted, and nothing behind them is computed
};

// What a step takes of a machine, but for attention.
struct StepCost {
  int64_t weight_bytes = 0;  // that any step with an output reads
  // Of matmuls, for each row that yields no output; a multiplication and an addition are two.
  int64_t int8_ops = 0, float_ops = 0, bf16_ops = 0;
};

// How far a plan's run is: the numbers change as long as it gets on.
struct PlanProgress {
  bool running = false;  // now, and only stages tell whether it gets on
  uint64_t stages = 0;   // that have begun, in all runs
};

// A compiled graph with its weights. One thread at a time.
class Plan {
 public:
  virtual ~Plan() = default;
  // Writes {vocab, m} logits, or {width, m} hidden states, row after row. n <= capacity. Results of
  // a row do not depend on which other rows are in the step. Throws Error when weights that are not
  // in memory yet cannot be read; the step's results and what it wrote to `kv` are then undefined.
  virtual void run(const StepInput& step, KvStore& kv, std::span<float> logits) = 0;
  // Of a plan that was compiled with late_weights: reads about `most` bytes of those that are still
  // in the file alone, or does nothing. Throws Error.
  virtual void load(int64_t most) { static_cast<void>(most); }
  // Bytes that weights will take and do not take yet. 0: all are in memory.
  virtual int64_t unread_bytes() const noexcept { return 0; }
  virtual int64_t weight_bytes() const = 0;
  virtual int64_t scratch_bytes() const = 0;
  // Zeros where a backend does not tell.
  virtual StepCost cost() const { return {}; }
  // From any thread, also while it runs. A backend that computes in the caller's thread alone,
  // whose processor time tells whether it gets on, may say that it never runs; its stages count
  // even so: of many short runs no processor time is seen.
  virtual PlanProgress progress() const noexcept = 0;
};

// Called after a marked node was computed, with its live rows {width, rows}. For tests and traces;
// only the reference backend promises to call it.
using Tap = std::function<void(std::string_view mark, std::span<const float> values, int64_t rows)>;

struct CompileOptions {
  int threads = 1;
  bool float_weights = false;  // dequantise all weights to float: slow, exact; the "float path"
  // Weights are not read by compile, unless a backend had better. The first step, if it has
  // results, computes from the file, and any other reads them into memory, where they then stay.
  bool late_weights = false;
  std::function<void(double)>
      progress;  // fraction of the weights loaded, 0..1; called by the caller's thread
  Tap tap;
};

class Backend {
 public:
  virtual ~Backend() = default;
  virtual std::string_view name() const = 0;
  virtual bool supports(const Node& node) const = 0;
  // Loads the weights that the graph names; the graph must outlive the plan, and so must the
  // sources of late weights. Throws Error on I/O, memory, or an unsupported node.
  virtual std::unique_ptr<Plan> compile(const Graph& graph, const CompileOptions& options) = 0;
  virtual std::unique_ptr<KvStore> allocate_kv(const KvLayout& layout, int64_t pages) = 0;
};

// "reference" (plain loops in float, the oracle), "cpu". Throws Error{kUnsupported} with the list.
std::unique_ptr<Backend> make_backend(std::string_view name);
std::vector<std::string_view> backend_names();
// Logs the first values of every marked node's last row; empty unless CRIA_TRACE=layers.
Tap trace_tap();

}  // namespace cria::ml
