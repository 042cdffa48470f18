#include "text/tokenizer/normalize.h"

#include "text/tokenizer/unicode.h"

#include <utf8proc.h>

#include <algorithm>
#include <array>

namespace cria::text {
namespace {

int combining_class(uint32_t c) {
  return utf8proc_get_property(static_cast<utf8proc_int32_t>(c))->combining_class;
}

// Canonical ordering: each run of marks sorted by class, equal classes in their order.
void reorder_marks(std::vector<uint32_t>& points) {
  std::vector<std::array<uint32_t, 3>> run;  // class, place, code point
  for (size_t at = 0; at < points.size();) {
    run.clear();
    for (size_t i = at; i < points.size(); ++i) {
      const auto order = static_cast<uint32_t>(combining_class(points[i]));
      if (order == 0) break;
      run.push_back({order, static_cast<uint32_t>(i), points[i]});
    }
    std::sort(run.begin(), run.end());
    for (const auto& mark : run) points[at++] = mark[2];
    if (run.empty()) ++at;
  }
}

void append_composed(std::vector<uint32_t>& points, std::string& out) {
  reorder_marks(points);
  const utf8proc_ssize_t count =
      utf8proc_normalize_utf32(reinterpret_cast<utf8proc_int32_t*>(points.data()),
                               static_cast<utf8proc_ssize_t>(points.size()),
                               static_cast<utf8proc_option_t>(UTF8PROC_COMPOSE | UTF8PROC_STABLE));
  points.resize(static_cast<size_t>(std::max<utf8proc_ssize_t>(count, 0)));
  for (const uint32_t c : points) append_utf8(out, c);
  points.clear();
}

}  // namespace

std::string to_nfc(std::string_view text) {
  // Bytes from 0xCC on begin code points from U+0300 on.
  if (std::all_of(text.begin(), text.end(), [](char c) { return static_cast<uint8_t>(c) < 0xCC; }))
    return std::string(text);
  std::string out;
  out.reserve(text.size());
  std::vector<uint32_t> points;
  for (size_t at = 0; at < text.size();) {
    const CodePoint c = decode_utf8(text, at);
    if (c.value == kInvalidCodePoint) {
      append_composed(points, out);
      out.push_back(text[at]);
    } else {
      append_decomposed(c.value, points);
    }
    at += c.length;
  }
  append_composed(points, out);
  return out;
}

void append_decomposed(uint32_t c, std::vector<uint32_t>& out) {
  if (c < 0xC0) {
    out.push_back(c);
    return;
  }
  utf8proc_int32_t parts[32];
  int boundary = 0;
  const utf8proc_ssize_t count = utf8proc_decompose_char(
      static_cast<utf8proc_int32_t>(c), parts, 32,
      static_cast<utf8proc_option_t>(UTF8PROC_DECOMPOSE | UTF8PROC_STABLE), &boundary);
  if (count < 0 || count > 32) {
    out.push_back(c);
    return;
  }
  for (utf8proc_ssize_t i = 0; i < count; ++i) out.push_back(static_cast<uint32_t>(parts[i]));
}

uint32_t to_lower(uint32_t c) {
  return static_cast<uint32_t>(utf8proc_tolower(static_cast<utf8proc_int32_t>(c)));
}
uint32_t to_upper(uint32_t c) {
  return static_cast<uint32_t>(utf8proc_toupper(static_cast<utf8proc_int32_t>(c)));
}
uint32_t to_title(uint32_t c) {
  return static_cast<uint32_t>(utf8proc_totitle(static_cast<utf8proc_int32_t>(c)));
}
bool is_decimal_digit(uint32_t c) {
  return utf8proc_category(static_cast<utf8proc_int32_t>(c)) == UTF8PROC_CATEGORY_ND;
}
bool is_nonspacing_mark(uint32_t c) {
  return utf8proc_category(static_cast<utf8proc_int32_t>(c)) == UTF8PROC_CATEGORY_MN;
}
bool is_control(uint32_t c) {
  const utf8proc_category_t category = utf8proc_category(static_cast<utf8proc_int32_t>(c));
  return category == UTF8PROC_CATEGORY_CC || category == UTF8PROC_CATEGORY_CF ||
         category == UTF8PROC_CATEGORY_CS || category == UTF8PROC_CATEGORY_CO;
}

}  // namespace cria::text
