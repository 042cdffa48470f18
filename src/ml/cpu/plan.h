// plan.h - runs a compiled program on the pool.
#pragma once

#include "ml/cpu/best_logits.h"
#include "ml/cpu/kv_store.h"
#include "ml/cpu/profile.h"
#include "ml/cpu/program.h"

#include <array>
#include <atomic>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <vector>

namespace cria::ml::cpu {

// Attention over a long past is cut into parts of this many positions, always at the same places,
// so that neither the number of threads nor the other rows of a step change a sum.
inline constexpr int64_t kPartTokens = 512;

class CpuPlan final : public Plan {
 public:
  CpuPlan(const Graph& graph, const CompileOptions& options, const Kernels& kernels);

  void run(const StepInput& step, KvStore& kv, std::span<float> logits) override;
  void load(int64_t most) override;
  int64_t unread_bytes() const noexcept override { return weights_.unread_bytes(); }
  int64_t weight_bytes() const override { return weights_.bytes(); }
  int64_t scratch_bytes() const override { return program_.scratch_bytes; }
  StepCost cost() const override;
  PlanProgress progress() const noexcept override;

 private:
  // One step: its inputs, and what follows from them.
  struct Run {
    const StepInput& step;
    const CpuKvStore& kv;
    float* logits;
    int64_t tokens, outputs;
    bool single;  // one row: row stages run on every thread
  };
  // Up to kAttentionQueries queries of one key/value head and one part of the past.
  struct QueryTile {
    std::array<const float*, kAttentionQueries> queries;
    std::array<int64_t, kAttentionQueries> last;
    std::array<float*, kAttentionQueries> out;
    std::array<float, kAttentionQueries> maximum, total;
    int64_t count = 0;
    int64_t kv_head = 0, part = 0;
    const SequenceRows* sequence = nullptr;
  };
  struct TileRange {  // which rows and heads a tile's queries are
    int64_t first_row, rows, first_head, heads;
  };
  struct alignas(64) AttentionScratch {  // of one thread
    std::vector<float> queries;          // scaled, padded to a multiple of 32
    std::vector<uint8_t> quantized;      // the same in 8 bits
    std::array<float, kAttentionQueries * kAttentionBlock> scores;
    std::vector<const uint8_t*> pages;
  };

  void run_thread(const Run& run, int thread) noexcept;
  void run_rows(const Run& run, const RowStage& stage, int thread) noexcept;
  void run_row_op(const Run& run, const RowOp& op, int64_t row, int thread) noexcept;
  void run_rms_norm(const Run& run, const RowOp& op, int64_t row, int thread) noexcept;
  void run_quantize(const Run& run, const RowOp& op, int64_t row, int thread) noexcept;
  void run_matmul(const Run& run, const MatmulStage& stage, int thread, int64_t phase) noexcept;
  void run_panels(const Run& run, const MatmulStage& stage, const MatmulPart& part, int64_t first,
                  int64_t last, int thread) noexcept;
  void run_from_file(const Weight& w, MatmulArgs args, int thread) noexcept;
  void run_native(const Weight& w, MatmulArgs args, int thread) noexcept;
  void read_row(const Weight& w, int64_t row, float* out, int thread) noexcept;
  void load_weights(int64_t most, const std::function<void(double)>& progress);
  void note_failure() noexcept;  // inside of a handler
  void count_stage() noexcept {  // by the first thread alone
    stages_.store(stages_.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  }

  // best_logits.cpp
  bool wants_best(const Run& run, const MatmulStage& stage) const noexcept;
  // Instead of run_matmul; returns the next phase.
  int64_t find_best(const Run& run, const MatmulStage& stage, int thread, int64_t phase) noexcept;
  void bound_rows(const Run& run, const Weight& w, const uint8_t* x, int thread,
                  int64_t phase) noexcept;
  void select_rows(const Run& run, const Weight& w, float least, int thread,
                   int64_t phase) noexcept;
  void run_planes(const Weight& w, MatmulArgs args, int thread) noexcept;
  float full_product(const Weight& w, int64_t row, const uint8_t* x) const noexcept;

  // attention.cpp
  void run_attention(const Run& run, const AttentionStage& stage, int thread,
                     int64_t phase) noexcept;
  static int64_t count_tiles(const Run& run, int64_t tile_rows) noexcept;
  void attend_single(const Run& run, const AttentionStage& stage, int64_t unit,
                     int thread) noexcept;
  void attend_rows(const Run& run, const AttentionStage& stage, int64_t unit, int thread) noexcept;
  void attend_heads(const Run& run, const AttentionStage& stage, QueryTile& tile,
                    const TileRange& range, int thread) noexcept;
  void attend_part(const Run& run, const AttentionStage& stage, QueryTile& tile,
                   int thread) noexcept;
  void store_kv(const Run& run, const AttentionStage& stage, const SequenceRows& sequence,
                int64_t row, int64_t head, int thread) noexcept;
  void store_row(const Run& run, const AttentionStage& stage, int64_t row, int thread) noexcept;
  void merge_single(const Run& run, const AttentionStage& stage, float* out) noexcept;
  void merge_query(int64_t query, int64_t parts, int64_t width, float* out) noexcept;
  void prepare_parts(const CpuKvStore& kv);
  float* part_sum(int64_t query, int64_t part) noexcept {
    return part_sums_.data() + (query * max_parts_ + part) * max_width_;
  }

  const uint8_t* quantized(const Run& run, const MatmulStage& stage, int thread) const noexcept;
  float* at(const Ref& ref, int64_t row, const Run& run, int thread) const noexcept;
  int64_t grain(int64_t panels, int64_t bytes, int64_t columns) const noexcept;
  int64_t live_rows(const Run& run, Axis axis) const noexcept;

  Pool pool_;
  const Kernels& kernels_;
  WeightSet weights_;
  std::vector<WeightReader> readers_;  // one for each thread
  bool from_file_ = false;             // the next step may compute from there
  std::mutex failure_mutex_;
  std::exception_ptr failure_;  // of this step: the first
  Program program_;
  Arena scratch_;
  std::vector<float> tiles_;  // per thread: 16 rows of a weight without panels, then their panel
  std::vector<AttentionScratch> attention_;
  BestLogits best_;
  int64_t max_heads_ = 0, max_width_ = 0, max_key_ = 0;  // of attention stages
  // Parts of attention: [query][part]. In a step of one row a query is a head, shared by the
  // threads; otherwise each thread has kAttentionQueries of its own.
  int64_t max_parts_ = 0;
  std::vector<float> part_sums_, part_maxima_, part_totals_;
  std::unique_ptr<Profile> profile_;  // null: nobody asked
  std::atomic<bool> running_ = false;
  std::atomic<uint64_t> stages_ = 0;
};

}  // namespace cria::ml::cpu
