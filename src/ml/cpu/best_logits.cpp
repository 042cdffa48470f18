#include "ml/cpu/best_logits.h"

#include "ml/cpu/plan.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace cria::ml::cpu {
namespace {

constexpr int64_t kFirstPause = 1, kLongestPause = 1024;  // steps without a search
constexpr int64_t kPartPanels = 32;                       // whose rows one thread looks at again
constexpr size_t kAhead = 4;  // rows whose low bits are fetched before they are needed
constexpr float kInfinity = std::numeric_limits<float>::infinity();

bool better(const ScoredRow& a, const ScoredRow& b) {
  return a.score > b.score || (a.score == b.score && a.row < b.row);
}

const Weight* head_of(const Program& program) {
  for (const Stage& stage : program.stages)
    if (const auto* matmul = std::get_if<MatmulStage>(&stage))
      for (const MatmulPart& part : matmul->parts)
        if (part.weight->form == WeightForm::kPlanes) return part.weight;
  return nullptr;
}

// Each costs a panel, so these cost a quarter of a full pass.
size_t most_candidates(const Weight& w) {
  return static_cast<size_t>(w.rows / 64);
}

// Whether a search took less than a full pass: the high plane is a half of that, a row whose low
// bits were read half a row, a candidate a panel. A fifth is left for what it does besides.
bool pays(const Weight& w, size_t examined, size_t candidates) {
  const size_t rows = examined / 2 + candidates * static_cast<size_t>(kPanelRows);
  return candidates <= most_candidates(w) && rows <= static_cast<size_t>(w.rows) * 3 / 10;
}

// Keeps the `best` best of the rows [first, last), none that is not a number.
void offer(std::vector<ScoredRow>& seeds, int64_t best, const float* y, int64_t first,
           int64_t last) {
  const auto limit = static_cast<size_t>(best);
  for (int64_t row = first; row < last; ++row) {
    if (seeds.size() == limit && !(y[row] >= seeds.front().score)) continue;
    const ScoredRow scored = {.score = y[row], .row = static_cast<int32_t>(row)};
    if (seeds.size() == limit) {
      if (!better(scored, seeds.front())) continue;
      std::ranges::pop_heap(seeds, better);
      seeds.pop_back();
    } else if (std::isnan(scored.score)) {
      continue;
    }
    seeds.push_back(scored);
    std::ranges::push_heap(seeds, better);
  }
}

// NaN, under which nothing is, unless all are numbers: then a best logit may be anywhere.
float floor_of(std::span<const float> seeds) {
  float least = kInfinity;
  for (const float logit : seeds) {
    if (!std::isfinite(logit)) return NAN;
    least = std::min(least, logit);
  }
  return least;
}

PlanesArgs planes_args(const Weight& w, const uint8_t* x, float* y) {
  return {.panels = w.data,
          .panel_bytes = w.stride,
          .low = w.low,
          .first_panel = 0,
          .last_panel = 0,
          .rows = w.rows,
          .k = w.k,
          .x = x,
          .y = y,
          .blocks = nullptr,
          .rounding = 0,
          .slack = nullptr};
}

void fetch(const uint8_t* p, int64_t bytes) {
  for (int64_t i = 0; i < bytes; i += 64) __builtin_prefetch(p + i);
}

}  // namespace

BestLogits::BestLogits(const Program& program, int threads) {
  const Weight* w = head_of(program);
  if (w == nullptr) return;
  slack_.resize(static_cast<size_t>(w->panels() * kPanelRows));
  for (int i = 0; i < threads; ++i) {
    Thread& thread = threads_.emplace_back(Thread{.column = PlanesColumn(w->k)});
    thread.seeds.reserve(kMostBest);
    thread.merged.reserve(static_cast<size_t>(kMostBest * threads));
    thread.rows.reserve(static_cast<size_t>(kPartPanels * kPanelRows));
    thread.candidates.reserve(most_candidates(*w) + 1);
  }
}

std::span<const ScoredRow> BestLogits::merge_seeds(int i, int active, int64_t best) {
  std::vector<ScoredRow>& merged = thread(i).merged;
  merged.clear();
  for (int other = 0; other < active; ++other)
    merged.insert(merged.end(), thread(other).seeds.begin(), thread(other).seeds.end());
  const auto limit = static_cast<size_t>(best);
  if (merged.size() > limit) {
    std::ranges::nth_element(merged, merged.begin() + best, better);
    merged.resize(limit);
  }
  std::ranges::sort(merged, {}, &ScoredRow::row);
  return merged;
}

void BestLogits::end_search(bool paid) {
  next_pause_ = paid ? 0 : std::clamp(2 * next_pause_, kFirstPause, kLongestPause);
  pause_ = paid ? 0 : next_pause_ + 1;  // the next step takes one off before it begins
}

bool CpuPlan::wants_best(const Run& run, const MatmulStage& stage) const noexcept {
  return run.step.best > 0 && run.step.best <= kMostBest && run.outputs == 1 &&
         stage.parts[0].weight->form == WeightForm::kPlanes &&
         stage.parts[0].weight->loaded == stage.parts[0].weight->panels() && best_.searches();
}

int64_t CpuPlan::find_best(const Run& run, const MatmulStage& stage, int thread,
                           int64_t phase) noexcept {
  const Weight& w = *stage.parts[0].weight;
  const uint8_t* x = quantized(run, stage, thread);
  BestLogits::Thread& mine = best_.thread(thread);
  mine.column.set(x);
  bound_rows(run, w, x, thread, phase++);
  pool_.barrier(thread);

  const int active = pool_.active();
  const auto seeds = best_.merge_seeds(thread, active, run.step.best);
  for (auto i = static_cast<size_t>(thread); i < seeds.size(); i += static_cast<size_t>(active))
    best_.seed_logits()[i] = full_product(w, seeds[i].row, x);
  pool_.barrier(thread);

  const bool enough = std::ssize(seeds) == run.step.best;
  select_rows(run, w, enough ? floor_of(best_.seed_logits().first(seeds.size())) : NAN, thread,
              phase++);
  pool_.barrier(thread);

  size_t candidates = 0, examined = 0;
  for (int i = 0; i < active; ++i) {
    candidates += best_.thread(i).candidates.size();
    examined += best_.thread(i).examined;
  }
  if (thread == 0) best_.end_search(pays(w, examined, candidates));
  if (candidates > most_candidates(w)) {
    run_matmul(run, stage, thread, phase++);
    return phase;
  }
  pool_.share(thread, phase, static_cast<int64_t>(candidates), 1, [&](int64_t first, int64_t) {
    int owner = 0;
    auto at = static_cast<size_t>(first);
    while (at >= best_.thread(owner).candidates.size())
      at -= best_.thread(owner++).candidates.size();
    const int32_t row = best_.thread(owner).candidates[at];
    run.logits[row] = full_product(w, row, x);
  });
  return phase + 1;
}

// Every row's y into its place among the logits, its slack, and this thread's seeds.
void CpuPlan::bound_rows(const Run& run, const Weight& w, const uint8_t* x, int thread,
                         int64_t phase) noexcept {
  BestLogits::Thread& mine = best_.thread(thread);
  mine.seeds.clear();
  PlanesArgs args = planes_args(w, x, run.logits);
  args.blocks = mine.column.blocks();
  args.rounding = mine.column.rounding();
  args.slack = best_.slack();
  pool_.share(thread, phase, w.panels(), grain(w.panels(), w.panels() * w.stride, 1),
              [&](int64_t first, int64_t last) {
                args.first_panel = first;
                args.last_panel = last;
                kernels_.bound_planes(args);
                offer(mine.seeds, run.step.best, run.logits, first * kPanelRows,
                      std::min(last * kPanelRows, w.rows));
              });
}

// This thread's candidates; every logit becomes -infinity.
void CpuPlan::select_rows(const Run& run, const Weight& w, float least, int thread,
                          int64_t phase) noexcept {
  BestLogits::Thread& mine = best_.thread(thread);
  mine.candidates.clear();
  mine.examined = 0;
  const auto low = [&](int32_t row) { return w.low + row * (w.k / 2); };
  const auto high = [&](int32_t row) { return w.data + row / kPanelRows * w.stride; };
  pool_.share(thread, phase, w.panels(), kPartPanels, [&](int64_t first, int64_t last) {
    mine.rows.clear();
    for (int64_t row = first * kPanelRows; row < std::min(last * kPanelRows, w.rows); ++row)
      if (!(run.logits[row] + best_.slack()[row] < least))
        mine.rows.push_back(static_cast<int32_t>(row));
    mine.examined += mine.rows.size();
    for (size_t i = 0; i < mine.rows.size(); ++i) {
      if (i + kAhead < mine.rows.size()) {
        fetch(low(mine.rows[i + kAhead]), w.k / 2);
        fetch(high(mine.rows[i + kAhead]), kHighHeader);
      }
      const int32_t row = mine.rows[i];
      float sums[2];
      kernels_.sum_low_bits(low(row), w.k, mine.column.lanes(), sums);
      const float limit =
          planes_limit(run.logits[row], high(row), row % kPanelRows, sums, mine.column);
      if (!(limit < least) && mine.candidates.size() < mine.candidates.capacity())
        mine.candidates.push_back(row);
    }
    std::fill(run.logits + first * kPanelRows, run.logits + std::min(last * kPanelRows, w.rows),
              -kInfinity);
  });
}

float CpuPlan::full_product(const Weight& w, int64_t row, const uint8_t* x) const noexcept {
  std::array<float, kPanelRows> y;
  const int64_t panel = row / kPanelRows;
  PlanesArgs args = planes_args(w, x, y.data() - panel * kPanelRows);
  args.first_panel = panel;
  args.last_panel = panel + 1;
  kernels_.multiply_planes(args);
  return y[static_cast<size_t>(row % kPanelRows)];
}

// For several columns the planes of one panel after the other are joined.
void CpuPlan::run_planes(const Weight& w, MatmulArgs args, int thread) noexcept {
  const int64_t first = args.first_panel, last = args.last_panel;
  if (args.columns == 1) {
    PlanesArgs one = planes_args(w, static_cast<const uint8_t*>(args.x), args.y);
    one.first_panel = first;
    one.last_panel = last;
    return kernels_.multiply_planes(one);
  }
  float* tile = tiles_.data() + thread * program_.tile_floats;
  auto* panel = reinterpret_cast<uint8_t*>(tile);
  float* y = args.y;
  for (int64_t p = first; p < last; ++p) {
    kernels_.join_planes(w.data + p * w.stride, w.low + p * kPanelRows * w.k / 2, w.k, panel);
    args.panels = panel;
    args.first_panel = 0;
    args.last_panel = 1;
    args.rows = w.rows - p * kPanelRows;
    args.y = y + p * kPanelRows;
    kernels_.matmul[static_cast<size_t>(w.kind)](args);
  }
}

}  // namespace cria::ml::cpu
