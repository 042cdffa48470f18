#include "text/template/format.h"

#include "base/error.h"
#include "text/template/literal.h"

#include <utf8proc.h>

#include <algorithm>
#include <charconv>
#include <cmath>

namespace cria::text {

namespace {

using Kind = Value::Kind;

std::string json_float(double d) {
  char buffer[512];
  const double size = std::abs(d);
  const bool exponent = size != 0 && (size < 1e-6 || size >= 1e21);
  const auto end =
      std::to_chars(buffer, buffer + sizeof buffer, d,
                    exponent ? std::chars_format::scientific : std::chars_format::fixed)
          .ptr;
  std::string s(buffer, end);
  // Go writes e-7 rather than e-07.
  const size_t e = s.find("e-0");
  if (e != std::string::npos) s.erase(e + 2, 1);
  return s;
}

void put_json_string(Output& out, std::string_view s) {
  std::string text = "\"";
  for (size_t i = 0; i < s.size();) {
    const size_t begin = i;
    const char32_t c = next_utf8(s, i);
    const bool invalid = c == 0xfffd && i - begin == 1;
    switch (c) {
      case '"':
        text += "\\\"";
        break;
      case '\\':
        text += "\\\\";
        break;
      case '\b':
        text += "\\b";
        break;
      case '\f':
        text += "\\f";
        break;
      case '\n':
        text += "\\n";
        break;
      case '\r':
        text += "\\r";
        break;
      case '\t':
        text += "\\t";
        break;
      default:
        if (invalid || c < 0x20 || c == '<' || c == '>' || c == '&' || c == 0x2028 || c == 0x2029) {
          text += fmt::format("\\u{:04x}", static_cast<uint32_t>(c));
        } else {
          text += s.substr(begin, i - begin);
        }
    }
  }
  out.put(text);
  out.put("\"");
}

bool json_empty(const Value& v) {
  return v.kind() != Kind::kStruct && !v.truth();
}

void put_json_struct(Output& out, const StructValue& s) {
  bool first = true;
  out.put("{");
  for (const StructField& f : s.fields) {
    if (f.omit_empty && json_empty(f.value)) continue;
    if (!std::exchange(first, false)) out.put(",");
    put_json_string(out, f.json);
    out.put(":");
    put_json(out, f.value);
  }
  out.put("}");
}

}  // namespace

void Output::check(size_t more) const {
  if (more > limit_ - std::min(limit_, text_.size())) {
    fail(ErrorKind::kTooLarge, "template output is over its limit of {} bytes", limit_);
  }
}

void Output::put(std::string_view s) {
  check(s.size());
  text_ += s;
}

void Output::fill(char c, size_t n) {
  check(n);
  text_.append(n, c);
}

void put_json(Output& out, const Value& v) {
  bool first = true;
  switch (v.kind()) {
    case Kind::kMissing:
    case Kind::kNil:
      out.put("null");
      return;
    case Kind::kBool:
      out.put(v.as_bool() ? "true" : "false");
      return;
    case Kind::kInt:
      out.put(std::to_string(v.as_int()));
      return;
    case Kind::kFloat:
      out.put(json_float(v.as_float()));
      return;
    case Kind::kString:
      put_json_string(out, v.as_string());
      return;
    case Kind::kStruct:
      put_json_struct(out, v.as_struct());
      return;
    case Kind::kList:
      if (v.form() == TextForm::kPropertyType && v.list_size() == 1)
        return put_json(out, v.list_at(0));
      out.put("[");
      for (size_t i = 0; i < v.list_size(); ++i) {
        if (i > 0) out.put(",");
        put_json(out, v.list_at(i));
      }
      out.put("]");
      return;
    case Kind::kMap:
      out.put("{");
      for (const auto& [key, item] : v.as_map()) {
        if (!std::exchange(first, false)) out.put(",");
        put_json_string(out, key);
        out.put(":");
        put_json(out, item);
      }
      out.put("}");
      return;
  }
}

bool is_printable(char32_t c) {
  if (c < 0x7f) return c >= 0x20;
  switch (utf8proc_category(static_cast<utf8proc_int32_t>(c))) {
    case UTF8PROC_CATEGORY_CN:
    case UTF8PROC_CATEGORY_ZS:
    case UTF8PROC_CATEGORY_ZL:
    case UTF8PROC_CATEGORY_ZP:
    case UTF8PROC_CATEGORY_CC:
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_CS:
    case UTF8PROC_CATEGORY_CO:
      return false;
    default:
      return true;
  }
}

bool is_letter_or_digit(char32_t c) {
  const auto category = utf8proc_category(static_cast<utf8proc_int32_t>(c));
  return (category >= UTF8PROC_CATEGORY_LU && category <= UTF8PROC_CATEGORY_LO) ||
         category == UTF8PROC_CATEGORY_ND;
}

std::string quote_go(std::string_view s, char mark, bool ascii) {
  std::string out(1, mark);
  for (size_t i = 0; i < s.size();) {
    const size_t begin = i;
    const char32_t c = next_utf8(s, i);
    constexpr std::string_view kNames = "abtnvfr";  // 7..13
    if (c == 0xfffd && i - begin == 1) {
      out += fmt::format("\\x{:02x}", static_cast<unsigned char>(s[begin]));
    } else if (c == static_cast<unsigned char>(mark) || c == '\\') {
      out += '\\';
      out += static_cast<char>(c);
    } else if (is_printable(c) && (c < 0x80 || !ascii)) {
      out += s.substr(begin, i - begin);
    } else if (c >= 7 && c <= 13) {
      out += '\\';
      out += kNames[c - 7];
    } else if (c < 0x80) {
      out += fmt::format("\\x{:02x}", static_cast<uint32_t>(c));
    } else {
      out += c < 0x10000 ? fmt::format("\\u{:04x}", static_cast<uint32_t>(c))
                         : fmt::format("\\U{:08x}", static_cast<uint32_t>(c));
    }
  }
  return out + mark;
}

}  // namespace cria::text
