#include "ml/cpu/profile.h"

#include "base/log.h"

#include <algorithm>
#include <array>
#include <chrono>

namespace cria::ml::cpu {
namespace {

constexpr std::array<const char*, 17> kRowNames = {
    "embed",      "gather",   "rope table",     "add",      "mul",     "scale", "rms norm",
    "layer norm", "silu",     "gelu",           "gelu erf", "softcap", "rope",  "hidden",
    "quantize",   "store kv", "merge attention"};
static_assert(kRowNames.size() == static_cast<size_t>(RowKind::kMerge) + 1);

std::string name_of(const Stage& stage) {
  if (std::holds_alternative<AttentionStage>(stage)) return "attention";
  const auto* matmul = std::get_if<MatmulStage>(&stage);
  if (matmul == nullptr) return "";
  int64_t rows = 0;
  for (const MatmulPart& part : matmul->parts) rows += part.weight->rows;
  const Weight& first = *matmul->parts.front().weight;
  return fmt::format("matmul {} {} x {}", quant::info(first.dtype).name, first.k, rows);
}

}  // namespace

int64_t now_ns() noexcept {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

Profile::Profile(const Program& program) : stages_(program.stages.size()), rows_(kRowNames.size()) {
  for (const Stage& stage : program.stages) names_.push_back(name_of(stage));
}

Profile::~Profile() {
  std::map<std::string, Entry> total;
  int64_t inside = 0;
  const auto collect = [&](const std::string& name, const Entry& entry) {
    if (entry.count == 0) return;
    total[name].ns += entry.ns;
    total[name].count += entry.count;
    inside += entry.ns;
  };
  for (size_t i = 0; i < stages_.size(); ++i) collect(names_[i], stages_[i]);
  for (size_t i = 0; i < rows_.size(); ++i) collect(kRowNames[i], rows_[i]);
  total["between operations"] = {.ns = steps_.ns - inside, .count = steps_.count};
  std::vector<std::pair<std::string, Entry>> sorted(total.begin(), total.end());
  std::ranges::sort(sorted, [](const auto& a, const auto& b) { return a.second.ns > b.second.ns; });
  for (const auto& [name, entry] : sorted)
    log::info("profile: {:5.1f} %  {:9.2f} ms  {:8} x  {}",
              100.0 * static_cast<double>(entry.ns) /
                  static_cast<double>(std::max<int64_t>(steps_.ns, 1)),
              static_cast<double>(entry.ns) * 1e-6, entry.count, name);
}

}  // namespace cria::ml::cpu
