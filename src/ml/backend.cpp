#include "ml/backend.h"

#include "base/error.h"
#include "base/log.h"
#include "base/settings.h"
#include "ml/cpu/backend.h"
#include "ml/reference/reference.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <string>

namespace cria::ml {
namespace {

struct Row {
  std::string_view name;
  std::unique_ptr<Backend> (*make)();
};

constexpr std::array kRows = {
    Row{"cpu", cpu::make_cpu_backend},
    Row{"reference", reference::make_reference},
};

}  // namespace

std::unique_ptr<Backend> make_backend(std::string_view name) {
  std::string known;
  for (const Row& row : kRows) {
    if (row.name == name) return row.make();
    known += fmt::format("{}{}", known.empty() ? "" : ", ", row.name);
  }
  fail(ErrorKind::kUnsupported, "unknown backend \"{}\"; this build has: {}", name, known);
}

int64_t KvStore::page_bytes() {
  int64_t out = 0;
  for (const auto& part : page_parts(0)) out += std::ssize(part);
  return out;
}

void KvStore::copy_page(int32_t from, int32_t to) {
  if (from == to) return;
  const PageParts source = page_parts(from), copy = page_parts(to);
  for (size_t i = 0; i < source.size(); ++i) std::ranges::copy(source[i], copy[i].begin());
}

std::vector<std::string_view> backend_names() {
  std::vector<std::string_view> names;
  names.reserve(std::size(kRows));
  for (const Row& row : kRows) names.push_back(row.name);
  return names;
}

Tap trace_tap() {
  if (setting("CRIA_TRACE") != "layers") return {};
  return [](std::string_view mark, std::span<const float> values, int64_t rows) {
    if (rows == 0) return;
    const size_t width = values.size() / static_cast<size_t>(rows);
    const auto last = values.last(width).first(std::min<size_t>(width, 8));
    log::info("{}: {} rows, last begins {:.6f}", mark, rows, fmt::join(last, " "));
  };
}

}  // namespace cria::ml
