// attention.cpp - how the plan cuts attention into units of work for its threads.

#include "ml/cpu/plan.h"

#include <algorithm>

namespace cria::ml::cpu {

void CpuPlan::prepare_parts(const CpuKvStore& kv) {
  const int64_t parts = kv.pages() * kPageTokens / kPartTokens + 1;
  if (parts <= max_parts_) return;
  max_parts_ = parts;
  const int64_t queries = std::max<int64_t>(max_heads_, pool_.threads() * kAttentionQueries);
  part_sums_.resize(static_cast<size_t>(queries * parts * max_width_));
  part_maxima_.resize(static_cast<size_t>(queries * parts));
  part_totals_.resize(static_cast<size_t>(queries * parts));
  for (AttentionScratch& scratch : attention_)
    scratch.pages.resize(static_cast<size_t>(kv.pages()));
}

void CpuPlan::store_kv(const Run& run, const AttentionStage& stage, const SequenceRows& sequence,
                       int64_t row, int64_t head, int thread) noexcept {
  const int64_t position = run.step.positions[static_cast<size_t>(row)];
  const int32_t page = sequence.pages[static_cast<size_t>(position / kPageTokens)];
  run.kv.write(run.kv.head(stage.spec.layer, page, head), run.kv.layer(stage.spec.layer),
               position % kPageTokens,
               {.key = at(stage.k, row, run, thread) + head * stage.key_dim,
                .value = at(stage.v, row, run, thread) + head * stage.value_dim});
}

void CpuPlan::store_row(const Run& run, const AttentionStage& stage, int64_t row,
                        int thread) noexcept {
  for (const SequenceRows& sequence : run.step.sequences) {
    if (row < sequence.first_row || row >= sequence.first_row + sequence.rows) continue;
    for (int64_t head = 0; head < stage.kv_heads; ++head)
      store_kv(run, stage, sequence, row, head, thread);
  }
}

int64_t CpuPlan::count_tiles(const Run& run, int64_t tile_rows) noexcept {
  int64_t tiles = 0;
  for (const SequenceRows& sequence : run.step.sequences)
    tiles += (sequence.rows + tile_rows - 1) / tile_rows;
  return tiles;
}

void CpuPlan::run_attention(const Run& run, const AttentionStage& stage, int thread,
                            int64_t phase) noexcept {
  if (run.single) {
    const int64_t parts = run.step.positions[0] / kPartTokens + 1;
    pool_.share(thread, phase, stage.kv_heads * parts, 1, [&](int64_t first, int64_t last) {
      for (int64_t unit = first; unit < last; ++unit) attend_single(run, stage, unit, thread);
    });
    return;
  }
  const int64_t tile = std::max<int64_t>(1, kAttentionQueries / (stage.heads / stage.kv_heads));
  pool_.share(thread, phase, count_tiles(run, tile) * stage.kv_heads, 1,
              [&](int64_t first, int64_t last) {
                for (int64_t unit = first; unit < last; ++unit)
                  attend_rows(run, stage, unit, thread);
              });
}

// One row: a unit is a key/value head and a part. The last part also stores the new position.
void CpuPlan::attend_single(const Run& run, const AttentionStage& stage, int64_t unit,
                            int thread) noexcept {
  const int64_t position = run.step.positions[0], parts = position / kPartTokens + 1;
  const int64_t kv_head = unit / parts, part = unit % parts;
  const SequenceRows& sequence = run.step.sequences[0];
  if (part == parts - 1) store_kv(run, stage, sequence, 0, kv_head, thread);
  const int64_t group = stage.heads / stage.kv_heads;
  for (int64_t first = kv_head * group; first < (kv_head + 1) * group; first += kAttentionQueries) {
    QueryTile tile = {.count = std::min(kAttentionQueries, (kv_head + 1) * group - first),
                      .kv_head = kv_head,
                      .part = part,
                      .sequence = &sequence};
    for (int64_t i = 0; i < tile.count; ++i) {
      const auto slot = static_cast<size_t>(i);
      tile.queries[slot] = at(stage.q, 0, run, thread) + (first + i) * stage.key_dim;
      tile.last[slot] = position;
      tile.out[slot] = part_sum(first + i, part);
    }
    attend_part(run, stage, tile, thread);
    for (int64_t i = 0; i < tile.count; ++i) {
      const auto slot = static_cast<size_t>((first + i) * max_parts_ + part);
      part_maxima_[slot] = tile.maximum[static_cast<size_t>(i)];
      part_totals_[slot] = tile.total[static_cast<size_t>(i)];
    }
  }
}

void CpuPlan::merge_single(const Run& run, const AttentionStage& stage, float* out) noexcept {
  const int64_t parts = run.step.positions[0] / kPartTokens + 1;
  for (int64_t head = 0; head < stage.heads; ++head)
    merge_query(head, parts, stage.value_dim, out + head * stage.value_dim);
}

void CpuPlan::merge_query(int64_t query, int64_t parts, int64_t width, float* out) noexcept {
  const float* maxima = part_maxima_.data() + query * max_parts_;
  const float* totals = part_totals_.data() + query * max_parts_;
  kernels_.merge_attention(out, width, part_sum(query, 0), max_width_, maxima, totals, parts);
}

// Several rows: a unit is a key/value head and a few consecutive rows of one sequence. Units of one
// head follow each other, so that the threads find its pages in the shared cache.
void CpuPlan::attend_rows(const Run& run, const AttentionStage& stage, int64_t unit,
                          int thread) noexcept {
  const int64_t group = stage.heads / stage.kv_heads;
  const int64_t tile_rows = std::max<int64_t>(1, kAttentionQueries / group);
  const int64_t tiles_in_all = count_tiles(run, tile_rows);
  const int64_t kv_head = unit / tiles_in_all;
  int64_t tile_index = unit % tiles_in_all;
  for (const SequenceRows& sequence : run.step.sequences) {
    const int64_t tiles = (sequence.rows + tile_rows - 1) / tile_rows;
    if (tile_index >= tiles) {
      tile_index -= tiles;
      continue;
    }
    const int64_t first_row = sequence.first_row + tile_index * tile_rows;
    const int64_t rows = std::min(tile_rows, sequence.first_row + sequence.rows - first_row);
    for (int64_t head = 0; head < group; head += kAttentionQueries) {
      QueryTile tile = {.kv_head = kv_head, .sequence = &sequence};
      attend_heads(run, stage, tile,
                   {.first_row = first_row,
                    .rows = rows,
                    .first_head = kv_head * group + head,
                    .heads = std::min(kAttentionQueries, group - head)},
                   thread);
    }
    return;
  }
}

// All parts of a tile's queries, merged into the result.
void CpuPlan::attend_heads(const Run& run, const AttentionStage& stage, QueryTile& tile,
                           const TileRange& range, int thread) noexcept {
  const int64_t own = thread * kAttentionQueries;
  int64_t last = 0;
  const int64_t end = tile.sequence->first_position + tile.sequence->rows - 1;
  for (int64_t row = range.first_row; row < range.first_row + range.rows; ++row)
    for (int64_t head = range.first_head; head < range.first_head + range.heads; ++head) {
      const auto slot = static_cast<size_t>(tile.count++);
      tile.queries[slot] = at(stage.q, row, run, thread) + head * stage.key_dim;
      tile.last[slot] = stage.spec.causal ? run.step.positions[static_cast<size_t>(row)] : end;
      last = std::max(last, tile.last[slot]);
    }
  const int64_t parts = last / kPartTokens + 1;
  for (tile.part = 0; tile.part < parts; ++tile.part) {
    for (int64_t i = 0; i < tile.count; ++i)
      tile.out[static_cast<size_t>(i)] = part_sum(own + i, tile.part);
    attend_part(run, stage, tile, thread);
    for (int64_t i = 0; i < tile.count; ++i) {
      const auto slot = static_cast<size_t>((own + i) * max_parts_ + tile.part);
      part_maxima_[slot] = tile.maximum[static_cast<size_t>(i)];
      part_totals_[slot] = tile.total[static_cast<size_t>(i)];
    }
  }
  int64_t query = own;
  for (int64_t row = range.first_row; row < range.first_row + range.rows; ++row)
    for (int64_t head = range.first_head; head < range.first_head + range.heads; ++head)
      merge_query(query++, parts, stage.value_dim,
                  at(stage.out, row, run, thread) + head * stage.value_dim);
}

void CpuPlan::attend_part(const Run& run, const AttentionStage& stage, QueryTile& tile,
                          int thread) noexcept {
  AttentionScratch& scratch = attention_[static_cast<size_t>(thread)];
  const int64_t latest = *std::max_element(tile.last.begin(), tile.last.begin() + tile.count);
  const int64_t earliest = *std::min_element(tile.last.begin(), tile.last.begin() + tile.count);
  int64_t first = tile.part * kPartTokens;
  const int64_t end = std::min(latest + 1, first + kPartTokens);
  if (stage.spec.window > 0)
    first = std::max(first, (earliest - stage.spec.window + 1) / kPageTokens * kPageTokens);
  const int64_t key_width = align_up(stage.key_dim, kBlock);
  std::array<const float*, kAttentionQueries> queries;
  for (size_t i = 0; i < static_cast<size_t>(tile.count); ++i) {
    float* scaled = scratch.queries.data() + static_cast<int64_t>(i) * key_width;
    std::fill(scaled + stage.key_dim, scaled + key_width, 0.0f);
    kernels_.scale(scaled, tile.queries[i], stage.spec.scale, stage.key_dim);
    queries[i] = scaled;
  }
  for (int64_t position = first; position < end; position += kPageTokens) {
    const auto page = static_cast<size_t>(position / kPageTokens);
    scratch.pages[page] = run.kv.head(stage.spec.layer, tile.sequence->pages[page], tile.kv_head);
  }
  const AttentionArgs args = {.queries = queries.data(),
                              .last = tile.last.data(),
                              .count = tile.count,
                              .key_dim = stage.key_dim,
                              .value_dim = stage.value_dim,
                              .first_position = first,
                              .end_position = end,
                              .window = stage.spec.window,
                              .softcap = stage.spec.softcap,
                              .pages = scratch.pages.data(),
                              .out = tile.out.data(),
                              .maximum = tile.maximum.data(),
                              .total = tile.total.data(),
                              .scratch = scratch.scores.data(),
                              .quantized = scratch.quantized.data()};
  run.kv.attend(args);
}

}  // namespace cria::ml::cpu
