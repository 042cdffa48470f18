#include "ml/reference/ops.h"

#include <algorithm>
#include <cmath>

namespace cria::ml::reference {
namespace {

// One query head of one row over the positions [first, last] of its sequence.
struct Query {
  const float* q;
  int64_t kv_head;
  std::span<const int32_t> pages;
  int64_t first, last;
};

void attend(const Query& query, const AttentionSpec& spec, FloatKvStore& kv, Output y) noexcept {
  const KvLayerLayout& layout = kv.layout(spec.layer);
  const std::span<float> scores = kv.scores();
  float highest = -INFINITY;
  for (int64_t p = query.first; p <= query.last; ++p) {
    const float* key = kv.key(spec.layer, query.pages, p).data() + query.kv_head * layout.key_dim;
    float score = spec.scale * dot(query.q, key, layout.key_dim);
    if (spec.softcap > 0) score = spec.softcap * std::tanh(score / spec.softcap);
    scores[static_cast<size_t>(p)] = score;
    highest = std::max(highest, score);
  }
  double total = 0;
  for (int64_t p = query.first; p <= query.last; ++p) {
    float& score = scores[static_cast<size_t>(p)];
    score = std::exp(score - highest);
    total += double{score};
  }
  std::ranges::fill(y, 0.0f);
  for (int64_t p = query.first; p <= query.last; ++p) {
    const auto weight = static_cast<float>(double{scores[static_cast<size_t>(p)]} / total);
    const float* value =
        kv.value(spec.layer, query.pages, p).data() + query.kv_head * layout.value_dim;
    for (size_t i = 0; i < y.size(); ++i) y[i] += weight * value[i];
  }
}

}  // namespace

void attention(const AttentionInput& in, const AttentionSpec& spec, FloatKvStore& kv,
               Output y) noexcept {
  const KvLayerLayout& layout = kv.layout(spec.layer);
  const int64_t key_width = layout.kv_heads * layout.key_dim;
  const int64_t value_width = layout.kv_heads * layout.value_dim;
  for (const SequenceRows& sequence : in.sequences) {
    for (int64_t i = 0; i < sequence.rows; ++i) {
      const int64_t row = sequence.first_row + i, position = sequence.first_position + i;
      std::copy_n(in.k.data() + row * key_width, key_width,
                  kv.key(spec.layer, sequence.pages, position).begin());
      std::copy_n(in.v.data() + row * value_width, value_width,
                  kv.value(spec.layer, sequence.pages, position).begin());
    }
    const int64_t end = sequence.first_position + sequence.rows - 1;
    for (int64_t i = 0; i < sequence.rows; ++i) {
      const int64_t row = sequence.first_row + i, position = sequence.first_position + i;
      const int64_t first = spec.window > 0 ? std::max<int64_t>(0, position - spec.window + 1) : 0;
      for (int64_t head = 0; head < in.heads; ++head) {
        const int64_t index = row * in.heads + head;
        const Query query{.q = in.q.data() + index * layout.key_dim,
                          .kv_head = head * layout.kv_heads / in.heads,
                          .pages = sequence.pages,
                          .first = first,
                          .last = spec.causal ? position : end};
        attend(query, spec, kv,
               y.subspan(static_cast<size_t>(index * layout.value_dim),
                         static_cast<size_t>(layout.value_dim)));
      }
    }
  }
}

}  // namespace cria::ml::reference
