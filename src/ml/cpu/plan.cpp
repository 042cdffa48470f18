#include "ml/cpu/plan.h"

#include "base/error.h"
#include "base/settings.h"
#include "ml/cpu/rope_table.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace cria::ml::cpu {
namespace {

constexpr int64_t kGrainBytes = 96 << 10;  // of weights: what a thread claims at once
// Of panels that are made from the file for one step: they and the rows that they are made of stay
// in the second cache.
constexpr int64_t kPassingBytes = 128 << 10;

std::span<const int32_t> keys_of(const StepInput& step, RowKey key) noexcept {
  if (key == RowKey::kPosition) return step.positions;
  return key == RowKey::kSegment ? step.segments : step.tokens;
}

}  // namespace

CpuPlan::CpuPlan(const Graph& graph, const CompileOptions& options, const Kernels& kernels)
    : pool_(options.threads),
      kernels_(kernels),
      weights_(graph, options.float_weights),
      readers_(static_cast<size_t>(options.threads)),
      from_file_(options.late_weights),
      program_(compile_program(graph, weights_, options.threads)),
      scratch_(program_.scratch_bytes),
      tiles_(static_cast<size_t>(program_.tile_floats * options.threads)),
      attention_(static_cast<size_t>(options.threads)),
      best_(program_, options.threads) {
  for (const Stage& stage : program_.stages)
    if (const auto* attention = std::get_if<AttentionStage>(&stage)) {
      max_heads_ = std::max(max_heads_, attention->heads);
      max_width_ = std::max(max_width_, align_up(attention->value_dim, 16));
      max_key_ = std::max(max_key_, align_up(attention->key_dim, kBlock));
    }
  for (AttentionScratch& scratch : attention_) {
    scratch.queries.resize(static_cast<size_t>(kAttentionQueries * max_key_));
    scratch.quantized.resize(static_cast<size_t>(quantized_bytes(kAttentionQueries, max_key_)));
  }
  if (setting_flag("CRIA_PROFILE")) profile_ = std::make_unique<Profile>(program_);
  if (!options.late_weights || !weights_.packs_quickly()) load_weights(INT64_MAX, options.progress);
}

void CpuPlan::load(int64_t most) {
  load_weights(most, {});
}

void CpuPlan::load_weights(int64_t most, const std::function<void(double)>& progress) {
  if (weights_.unread_bytes() == 0) return;
  running_.store(true, std::memory_order_relaxed);
  try {
    weights_.load(pool_, readers_, most, [&](double fraction) {
      count_stage();
      if (progress) progress(fraction);
    });
  } catch (...) {
    running_.store(false, std::memory_order_relaxed);
    throw;
  }
  running_.store(false, std::memory_order_relaxed);
  if (weights_.unread_bytes() == 0)  // nobody needs their memory again
    for (WeightReader& reader : readers_) reader = {};
}

void CpuPlan::note_failure() noexcept {
  const std::scoped_lock lock(failure_mutex_);
  if (!failure_) failure_ = std::current_exception();
}

StepCost CpuPlan::cost() const {
  StepCost cost;
  for (const Stage& stage : program_.stages) {
    const auto* matmul = std::get_if<MatmulStage>(&stage);
    if (matmul == nullptr) continue;
    for (const MatmulPart& part : matmul->parts) {
      const Weight& w = *part.weight;
      cost.weight_bytes += (w.in_panels() ? w.panels() : w.rows) * w.stride;
      if (w.form == WeightForm::kPlanes) cost.weight_bytes += w.panels() * kPanelRows * w.k / 2;
      if (matmul->axis == Axis::kOutputs) continue;
      int64_t& ops = !w.in_panels() || w.kind == PanelKind::kF32 || w.kind == PanelKind::kF16
                         ? cost.float_ops
                     : w.kind == PanelKind::kBF16 ? cost.bf16_ops
                                                  : cost.int8_ops;
      ops += 2 * w.rows * w.k;
    }
  }
  return cost;
}

PlanProgress CpuPlan::progress() const noexcept {
  return {.running = running_.load(std::memory_order_relaxed),
          .stages = stages_.load(std::memory_order_relaxed)};
}

float* CpuPlan::at(const Ref& ref, int64_t row, const Run& run, int thread) const noexcept {
  auto* base = reinterpret_cast<float*>(scratch_.data());
  switch (ref.place) {
    case Place::kShared:
      return base + ref.offset + row * ref.stride;
    case Place::kRowwise:
      return base + ref.offset + (run.single ? thread : row) * ref.stride;
    case Place::kLocal:
      return base + ref.offset + thread * ref.stride;
    case Place::kWeight:
      return const_cast<float*>(ref.weight);  // only read
    case Place::kLogits:
      break;
  }
  return run.logits + row * ref.stride;
}

int64_t CpuPlan::live_rows(const Run& run, Axis axis) const noexcept {
  return axis == Axis::kOutputs ? run.outputs : run.tokens;
}

void CpuPlan::run(const StepInput& step, KvStore& kv, std::span<float> logits) {
  const auto tokens = static_cast<int64_t>(step.tokens.size());
  const auto outputs = static_cast<int64_t>(step.outputs.size());
  CRIA_CHECK(tokens > 0 && tokens <= program_.capacity, "a step fits the plan's capacity");
  CRIA_CHECK(!step.hidden || program_.hidden_width > 0, "a graph with hidden states");
  const int64_t width = step.hidden ? program_.hidden_width : program_.vocabulary;
  CRIA_CHECK(logits.size() == static_cast<size_t>(outputs * width),
             "room for the results of every output row");
  auto& store = dynamic_cast<CpuKvStore&>(kv);
  Run run = {.step = step,
             .kv = store,
             .logits = logits.data(),
             .tokens = tokens,
             .outputs = outputs,
             .single = tokens == 1};
  // Reading weights for a prompt that goes on would be done again for the rest of it.
  if (!std::exchange(from_file_, false) || outputs == 0) load_weights(INT64_MAX, {});
  prepare_parts(store);
  const int64_t start = profile_ ? now_ns() : 0;
  best_.begin_step();
  running_.store(true, std::memory_order_relaxed);
  pool_.run([&](int thread) { run_thread(run, thread); });
  running_.store(false, std::memory_order_relaxed);
  if (profile_) profile_->add_step(now_ns() - start);
  if (failure_) std::rethrow_exception(std::exchange(failure_, nullptr));
}

void CpuPlan::run_thread(const Run& run, int thread) noexcept {
  const bool measure = thread == 0 && profile_;
  int64_t phase = 0;
  for (size_t i = 0; i < program_.stages.size(); ++i) {
    const Stage& stage = program_.stages[i];
    if (thread == 0) count_stage();
    const int64_t start = measure ? now_ns() : 0;
    if (const auto* rows = std::get_if<RowStage>(&stage)) {
      if (!rows->ops.empty() && live_rows(run, rows->axis) > 0) {
        run_rows(run, *rows, thread);  // measures its operations itself
        if (!run.single) pool_.barrier(thread);
      }
      if (run.step.hidden && i == program_.hidden_stage) return;
      continue;
    }
    if (const auto* matmul = std::get_if<MatmulStage>(&stage)) {
      if (live_rows(run, matmul->axis) == 0) continue;
      if (wants_best(run, *matmul))
        phase = find_best(run, *matmul, thread, phase);
      else
        run_matmul(run, *matmul, thread, phase++);
    } else {
      run_attention(run, std::get<AttentionStage>(stage), thread, phase++);
    }
    pool_.barrier(thread);
    if (measure) profile_->add_stage(i, now_ns() - start);
  }
}

// ---- rows ----

void CpuPlan::run_rows(const Run& run, const RowStage& stage, int thread) noexcept {
  if (run.single && stage.first_thread_only && thread != 0) return;
  const int64_t rows = live_rows(run, stage.axis), threads = pool_.active();
  const int64_t first = run.single ? 0 : rows * thread / threads;
  const int64_t last = run.single ? rows : rows * (thread + 1) / threads;
  const bool measure = thread == 0 && profile_;
  for (int64_t row = first; row < last; ++row)
    for (const RowOp& op : stage.ops) {
      const int64_t start = measure ? now_ns() : 0;
      run_row_op(run, op, row, thread);
      if (measure) profile_->add_row_op(op.kind, now_ns() - start);
    }
}

void CpuPlan::run_row_op(const Run& run, const RowOp& op, int64_t row, int thread) noexcept {
  const auto index = static_cast<size_t>(row);
  const auto get = [&](const Ref& ref) { return at(ref, row, run, thread); };
  switch (op.kind) {
    case RowKind::kEmbed:
      return read_row(*op.table, keys_of(run.step, op.key)[index], get(op.out), thread);
    case RowKind::kGather:
      std::memcpy(get(op.out), at(op.a, run.step.outputs[index], run, thread),
                  static_cast<size_t>(op.width) * 4);
      return;
    case RowKind::kRopeTable: {
      const RopeSource& source = program_.ropes[op.frequencies];
      return rope_row(source.frequencies, run.step.positions[index], source.magnitude, get(op.out));
    }
    case RowKind::kAdd:
    case RowKind::kMul: {
      const auto kernel = op.kind == RowKind::kAdd ? kernels_.add : kernels_.mul;
      const int64_t width = op.width / op.segments;
      const int64_t step = op.b.place == Place::kWeight ? 0 : width;
      for (int64_t i = 0; i < op.segments; ++i)
        kernel(get(op.out) + i * width, get(op.a) + i * width, get(op.b) + i * step, width);
      return;
    }
    case RowKind::kScale:
      return kernels_.scale(get(op.out), get(op.a), op.scalar, op.width);
    case RowKind::kSilu:
      return kernels_.silu(get(op.out), get(op.a), op.width);
    case RowKind::kGelu:
      return kernels_.gelu(get(op.out), get(op.a), op.width);
    case RowKind::kGeluErf:
      return kernels_.gelu_erf(get(op.out), get(op.a), op.width);
    case RowKind::kSoftcap:
      return kernels_.softcap(get(op.out), get(op.a), op.scalar, op.width);
    case RowKind::kRmsNorm:
      return run_rms_norm(run, op, row, thread);
    case RowKind::kLayerNorm: {
      const int64_t width = op.width / op.segments;
      for (int64_t i = 0; i < op.segments; ++i)
        kernels_.layer_norm(get(op.out) + i * width, get(op.a) + i * width, width, op.scalar);
      return;
    }
    case RowKind::kRope: {
      RopeArgs args = op.rope;
      args.table = get(op.b);
      return kernels_.rope(get(op.out), get(op.a), args);
    }
    case RowKind::kHidden:
      if (!run.step.hidden || (run.single && thread != 0)) return;
      std::memcpy(run.logits + row * op.width, get(op.a), static_cast<size_t>(op.width) * 4);
      return;
    case RowKind::kQuantize:
      return run_quantize(run, op, row, thread);
    case RowKind::kStoreKv:
      if (run.single) return;
      return store_row(run, std::get<AttentionStage>(program_.stages[op.attention]), row, thread);
    case RowKind::kMerge:
      if (!run.single) return;
      return merge_single(run, std::get<AttentionStage>(program_.stages[op.attention]),
                          get(op.out));
  }
}

void CpuPlan::run_rms_norm(const Run& run, const RowOp& op, int64_t row, int thread) noexcept {
  const int64_t width = op.width / op.segments;
  const float* weight = op.b.weight;
  for (int64_t i = 0; i < op.segments; ++i)
    kernels_.rms_norm(at(op.out, row, run, thread) + i * width,
                      at(op.a, row, run, thread) + i * width, weight, width, op.scalar);
}

void CpuPlan::run_quantize(const Run& run, const RowOp& op, int64_t row, int thread) noexcept {
  uint8_t* base = scratch_.data() + op.quantized.offset;
  const float* x = at(op.a, row, run, thread);
  if (run.single)
    return kernels_.quantize(x, op.width, base + thread * op.quantized.thread_stride, 1, 0);
  const int64_t rows = live_rows(run, op.axis);
  const int64_t group = row / kGroup;
  kernels_.quantize(x, op.width, base + group * quantized_bytes(kGroup, op.width),
                    std::min(kGroup, rows - group * kGroup), row % kGroup);
}

// ---- matmuls ----

// Panels that a thread claims at once, of so many with so many bytes together. For several columns
// these are pairs, since kernels take two neighbours at once, and for many two pairs at least:
// columns are then fetched, and some rounded, for each claim.
int64_t CpuPlan::grain(int64_t panels, int64_t bytes, int64_t columns) const noexcept {
  const int64_t fit = kGrainBytes * panels / std::max<int64_t>(bytes, 1);
  const int64_t most = panels / (int64_t{2} * pool_.active());
  const int64_t least = columns >= kGroup ? 4 : columns > 1 ? 2 : 1;
  if (most < least) return std::max<int64_t>(most, 1);
  return std::clamp((fit + least - 1) / least * least, least, most / least * least);
}

const uint8_t* CpuPlan::quantized(const Run& run, const MatmulStage& stage,
                                  int thread) const noexcept {
  return scratch_.data() + stage.quantized.offset +
         (run.single ? thread * stage.quantized.thread_stride : 0);
}

void CpuPlan::run_matmul(const Run& run, const MatmulStage& stage, int thread,
                         int64_t phase) noexcept {
  int64_t panels = 0, bytes = 0;
  for (const MatmulPart& part : stage.parts) {
    panels += part.weight->panels();
    bytes += part.weight->panels() * std::max(part.weight->stride, int64_t{1});
  }
  const int64_t step = grain(panels, bytes, live_rows(run, stage.axis));
  pool_.share(thread, phase, panels, step, [&](int64_t first, int64_t last) {
    int64_t start = 0;
    for (const MatmulPart& part : stage.parts) {
      const int64_t count = part.weight->panels();
      const int64_t from = std::max<int64_t>(first - start, 0), to = std::min(last - start, count);
      if (from < to) run_panels(run, stage, part, from, to, thread);
      start += count;
    }
  });
}

void CpuPlan::run_panels(const Run& run, const MatmulStage& stage, const MatmulPart& part,
                         int64_t first, int64_t last, int thread) noexcept {
  const Weight& w = *part.weight;
  MatmulArgs args = {.panels = w.data,
                     .panel_bytes = w.stride,
                     .first_panel = first,
                     .last_panel = last,
                     .rows = w.rows,
                     .k = w.k,
                     .x = at(stage.x, 0, run, thread),
                     .x_stride = stage.x.stride,
                     .columns = live_rows(run, stage.axis),
                     .y = at(part.out, 0, run, thread),
                     .y_stride = part.out.stride};
  if (w.in_panels() && !takes_floats(w.kind)) args.x = quantized(run, stage, thread);
  // Of a weight without panels 16 rows are one.
  if (w.loaded < (w.in_panels() ? last : std::min(last * kPanelRows, w.rows)))
    return run_from_file(w, args, thread);
  if (w.form == WeightForm::kNative) return run_native(w, args, thread);
  if (w.form == WeightForm::kPlanes) return run_planes(w, args, thread);
  kernels_.matmul[static_cast<size_t>(w.kind)](args);
}

// What is not all in memory: a few panels at a time are made from the file, and multiplied there.
void CpuPlan::run_from_file(const Weight& w, MatmulArgs args, int thread) noexcept {
  const int64_t first = args.first_panel, last = args.last_panel, rows = args.rows;
  float* const y = args.y;
  args.panel_bytes = w.in_panels() ? panel_bytes(w.kind, w.k) : kPanelRows * w.stride;
  const int64_t most = std::max<int64_t>(kPassingBytes / args.panel_bytes / 2 * 2, 2);
  try {
    for (int64_t p = first; p < last; p += most) {
      const int64_t count = std::min(most, last - p);
      if (thread == 0) count_stage();  // a disk may be slow
      args.panels = readers_[static_cast<size_t>(thread)].read(w, p, p + count);
      args.first_panel = 0;
      args.last_panel = count;
      args.rows = rows - p * kPanelRows;
      args.y = y + p * kPanelRows;
      if (w.form == WeightForm::kNative)
        run_native(w, args, thread);
      else
        kernels_.matmul[static_cast<size_t>(w.kind)](args);
    }
  } catch (...) {
    note_failure();
  }
}

void CpuPlan::read_row(const Weight& w, int64_t row, float* out, int thread) noexcept {
  try {
    readers_[static_cast<size_t>(thread)].read_row(w, row, out);
  } catch (...) {
    note_failure();
  }
}

// Formats without panels: 16 rows at a time become a float panel.
void CpuPlan::run_native(const Weight& w, MatmulArgs args, int thread) noexcept {
  float* rows = tiles_.data() + thread * program_.tile_floats;
  float* panel = rows + kPanelRows * w.k;
  const uint8_t* const native = args.panels;
  const int64_t first = args.first_panel, last = args.last_panel, all = args.rows;
  float* y = args.y;
  for (int64_t p = first; p < last; ++p) {
    const int64_t count = std::min(kPanelRows, all - p * kPanelRows);
    quant::info(w.dtype).dequantize(
        reinterpret_cast<const std::byte*>(native + p * kPanelRows * w.stride), rows, count * w.k);
    for (int64_t i = 0; i < w.k; ++i)
      for (int64_t r = 0; r < kPanelRows; ++r)
        panel[i * kPanelRows + r] = r < count ? rows[r * w.k + i] : 0.0f;
    args.panels = reinterpret_cast<const uint8_t*>(panel);
    args.first_panel = 0;
    args.last_panel = 1;
    args.rows = count;
    args.y = y + p * kPanelRows;
    kernels_.matmul[static_cast<size_t>(PanelKind::kF32)](args);
  }
}

}  // namespace cria::ml::cpu
