#include "text/grammar/characters.h"

#include "base/utf8.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <string>
#include <string_view>

namespace cria::grammar {
namespace {

CodeRanges sorted(CodeRanges ranges) {
  std::ranges::sort(ranges, {}, &CodeRange::first);
  CodeRanges out;
  for (const CodeRange& range : ranges) {
    if (range.first > range.last) continue;
    if (!out.empty() && range.first <= out.back().last + 1)
      out.back().last = std::max(out.back().last, range.last);
    else
      out.push_back(range);
  }
  return out;
}

CodeRanges within(const CodeRanges& ranges, CodeRange bounds) {
  CodeRanges out;
  for (const CodeRange& range : ranges) {
    const CodeRange cut{std::max(range.first, bounds.first), std::min(range.last, bounds.last)};
    if (cut.first <= cut.last) out.push_back(cut);
  }
  return out;
}

std::string utf8(uint32_t code_point) {
  std::string out;
  append_utf8(out, code_point);
  return out;
}

// [first, last] of equally long sequences from byte `at` on: the ends apart, so that what lies
// between has all values in the bytes behind.
Expr byte_sequences(Expressions& to, std::string_view first, std::string_view last) {
  const auto low = static_cast<uint8_t>(first.front()), high = static_cast<uint8_t>(last.front());
  if (first.size() == 1) return to.byte_range(low, high);
  const std::string least(first.size() - 1, '\x80'), most(first.size() - 1, '\xBF');
  const std::string_view first_rest = first.substr(1), last_rest = last.substr(1);
  if (low == high)
    return to.sequence(to.byte_range(low, low), byte_sequences(to, first_rest, last_rest));
  std::vector<Expr> parts;
  uint8_t from = low, until = high;
  if (first_rest != least) {
    parts.push_back(to.sequence(to.byte_range(low, low), byte_sequences(to, first_rest, most)));
    ++from;
  }
  if (last_rest != most) {
    parts.push_back(to.sequence(to.byte_range(high, high), byte_sequences(to, least, last_rest)));
    --until;
  }
  if (from <= until)
    parts.push_back(to.sequence(to.byte_range(from, until), byte_sequences(to, least, most)));
  return to.choice(parts);
}

void add_utf8(Expressions& to, const CodeRanges& ranges, std::vector<Expr>& parts) {
  // Sequences of one length; surrogates left out.
  static constexpr std::array<CodeRange, 5> kLengths = {
      {{0, 0x7F}, {0x80, 0x7FF}, {0x800, 0xD7FF}, {0xE000, 0xFFFF}, {0x10000, kLastCodePoint}}};
  for (const CodeRange& length : kLengths)
    for (const CodeRange& range : within(ranges, length))
      parts.push_back(byte_sequences(to, utf8(range.first), utf8(range.last)));
}

std::string json_escape(uint32_t code_point) {
  switch (code_point) {
    case '"':
      return "\\\"";
    case '\\':
      return "\\\\";
    case '\b':
      return "\\b";
    case '\f':
      return "\\f";
    case '\n':
      return "\\n";
    case '\r':
      return "\\r";
    case '\t':
      return "\\t";
    default:
      return fmt::format("\\u{:04x}", code_point);
  }
}

}  // namespace

std::optional<uint32_t> read_hexadecimal(std::string_view text, size_t& at, int digits) {
  uint32_t out = 0;
  for (int i = 0; i < digits; ++i, ++at) {
    uint32_t value = 0;
    if (at >= text.size()) return std::nullopt;
    const char digit = text[at];
    if (std::from_chars(&digit, &digit + 1, value, 16).ptr != &digit + 1) return std::nullopt;
    out = out * 16 + value;
  }
  return out;
}

CodeRanges complement(CodeRanges ranges) {
  CodeRanges out;
  uint32_t next = 0;
  for (const CodeRange& range : sorted(std::move(ranges))) {
    if (range.first > next) out.push_back({next, range.first - 1});
    next = range.last + 1;
  }
  if (next <= kLastCodePoint) out.push_back({next, kLastCodePoint});
  return out;
}

Expr character(Expressions& to, CodeRanges ranges, Spelling spelling) {
  ranges = sorted(std::move(ranges));
  std::vector<Expr> parts;
  if (spelling == Spelling::kPlain) {
    add_utf8(to, ranges, parts);
    return to.choice(parts);
  }
  static constexpr std::array<CodeRange, 3> kEscaped = {{{0, 0x1F}, {'"', '"'}, {'\\', '\\'}}};
  for (const CodeRange& escaped : kEscaped)
    for (const CodeRange& range : within(ranges, escaped))
      for (uint32_t code_point = range.first; code_point <= range.last; ++code_point)
        parts.push_back(to.literal(json_escape(code_point)));
  const CodeRanges bare = complement({kEscaped.begin(), kEscaped.end()});
  for (const CodeRange& range : bare) add_utf8(to, within(ranges, range), parts);
  return to.choice(parts);
}

}  // namespace cria::grammar
