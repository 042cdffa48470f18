// mix.h - which type each tensor of a model gets when the whole is quantised to, say, Q4_K_M.
//
// The usual recipes: most tensors take the mix's own type, those whose errors hurt most take a
// finer one. Nothing here touches data.
#pragma once

#include "quant/dtype.h"

#include <span>
#include <string_view>
#include <vector>

namespace cria::quant {

struct Mix {
  std::string_view name;  // "Q4_K_M"
  int64_t file_type;      // what general.file_type says
  DType base;
};

// Case-insensitive; Q4_K means Q4_K_M, Q5_K and Q3_K their M too. Null when unknown or not offered.
const Mix* find_mix(std::string_view name) noexcept;
std::span<const Mix> all_mixes() noexcept;

// What the recipes look at.
struct MixModel {
  std::string_view architecture;
  int64_t layers = 0, heads = 1, kv_heads = 1, experts = 0;
};
struct MixTensor {
  std::string_view name;
  DType dtype;
  int64_t row;  // length of a row
  int rank;
};

// The new type of each tensor, in the order given; those that stay as they are keep theirs.
std::vector<DType> choose_types(const Mix& mix, const MixModel& model,
                                std::span<const MixTensor> tensors);

}  // namespace cria::quant
