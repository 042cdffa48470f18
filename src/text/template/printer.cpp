#include "text/template/printer.h"

#include "text/template/literal.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

namespace cria::text {

namespace {

using Kind = Value::Kind;

size_t characters(std::string_view s) {
  size_t n = 0;
  for (size_t i = 0; i < s.size(); ++n) next_utf8(s, i);
  return n;
}

std::string own_text(const Value& v) {
  Output text(size_t{256} << 20);
  if (v.form() != TextForm::kPropertyType) {
    put_json(text, v);
  } else if (v.list_size() == 1) {
    print(text, std::span<const Value>(&v.list_at(0), 1));
  } else {
    const Value plain = Value::list([&] {
      ValueList items;
      for (size_t i = 0; i < v.list_size(); ++i) items.push_back(v.list_at(i));
      return items;
    }());
    print(text, std::span<const Value>(&plain, 1));
  }
  return text.take();
}

}  // namespace

void Printer::value(const Value& v, char32_t verb, bool nested) {
  if (verb == 'T' && !v.absent()) return pad(cut(v.type_name()));
  if (v.absent()) {
    if (verb != 'v' && verb != 'T' && !nested) return bad(v, verb);
    return nested ? out_.put(go_syntax ? "interface {}(nil)" : "<nil>") : pad("<nil>");
  }
  if (verb == 'w' && v.kind() >= Kind::kList) return bad(v, verb);  // w is for errors
  const bool text_verb = verb == 'v' || verb == 's' || verb == 'q' || verb == 'x' || verb == 'X';
  if (v.form() != TextForm::kGo && !go_syntax && text_verb) return string(own_text(v), v, verb);
  switch (v.kind()) {
    case Kind::kBool:
      return verb == 't' || verb == 'v' ? pad(v.as_bool() ? "true" : "false") : bad(v, verb);
    case Kind::kInt:
      return integer_verb(v, verb);
    case Kind::kFloat:
      return float_verb(v, verb);
    case Kind::kString:
      return string(v.as_string(), v, verb);
    case Kind::kList:
      return list(v, verb);
    case Kind::kMap:
      return map(v, verb);
    default:
      return structure(v, verb);
  }
}

void Printer::padding(size_t n, bool zeros) {
  out_.fill(zeros && !minus ? '0' : ' ', n);
}

void Printer::pad(std::string_view s, bool zeros) {
  const size_t length = width ? characters(s) : 0;
  const size_t missing =
      width && static_cast<size_t>(*width) > length ? static_cast<size_t>(*width) - length : 0;
  if (!minus) padding(missing, zeros);
  out_.put(s);
  if (minus) padding(missing, false);
}
void Printer::bad(const Value& v, char32_t verb) {
  std::string head = "%!";
  append_utf8(head, verb);
  out_.put(head + "(");
  if (v.absent()) {
    out_.put("<nil>");
  } else {
    out_.put(v.type_name() + "=");
    value(v, 'v');
  }
  out_.put(")");
}

std::string_view Printer::cut(std::string_view s) const {
  if (!precision) return s;
  size_t end = 0;
  for (int n = 0; end < s.size() && n < *precision; ++n) next_utf8(s, end);
  return s.substr(0, end);
}

void Printer::string(std::string_view s, const Value& v, char32_t verb) {
  switch (verb) {
    case 'v':
      if (go_syntax) return pad(quote_go(cut(s), '"', plus));
      return pad(cut(s));
    case 's':
      return pad(cut(s));
    case 'q':
      s = cut(s);
      if (sharp && s.find_first_of("`\x7f\r\n") == std::string_view::npos)
        return pad("`" + std::string(s) + "`");
      return pad(quote_go(s, '"', plus));
    case 'x':
    case 'X':
      return hex_text(s, verb == 'X');
    default:
      return bad(v, verb);
  }
}

void Printer::hex_text(std::string_view s, bool upper) {
  if (precision && static_cast<size_t>(*precision) < s.size())
    s = s.substr(0, static_cast<size_t>(*precision));
  std::string text;
  const char* digits = upper ? "0123456789ABCDEF" : "0123456789abcdef";
  for (size_t i = 0; i < s.size(); ++i) {
    if (i > 0 && space) text += ' ';
    if (sharp && (i == 0 || space)) text += upper ? "0X" : "0x";
    text += digits[static_cast<unsigned char>(s[i]) >> 4];
    text += digits[s[i] & 15];
  }
  pad(text);
}

void Printer::integer_verb(const Value& v, char32_t verb) {
  const int64_t i = v.as_int();
  const char32_t c = i < 0 || i > 0x10ffff ? 0xfffd : static_cast<char32_t>(i);
  std::string text;
  switch (verb) {
    case 'v':
    case 'd':
      return integer(i, 10, "", verb);
    case 'b':
      return integer(i, 2, "0b", verb);
    case 'o':
    case 'O':
      return integer(i, 8, "0", verb);
    case 'x':
      return integer(i, 16, "0x", verb);
    case 'X':
      return integer(i, 16, "0X", verb);
    case 'c':
      append_utf8(text, c);
      return pad(text);
    case 'q':
      append_utf8(text, c);
      return pad(quote_go(text, '\'', plus));
    case 'U':
      text = fmt::format("U+{:0{}X}", static_cast<uint64_t>(i), std::max(precision.value_or(4), 4));
      if (sharp && c == static_cast<char32_t>(i) && is_printable(c)) {
        text += " '";
        append_utf8(text, c);
        text += "'";
      }
      return pad(text, false);
    default:
      return bad(v, verb);
  }
}

void Printer::integer(int64_t i, int base, std::string_view prefix, char32_t verb) {
  const bool negative = i < 0;
  const uint64_t size = negative ? ~static_cast<uint64_t>(i) + 1 : static_cast<uint64_t>(i);
  size_t digits_wanted = 0;
  if (precision) {
    digits_wanted = static_cast<size_t>(*precision);
    if (*precision == 0 && i == 0) return out_.fill(' ', width ? static_cast<size_t>(*width) : 0);
  } else if (zero && !minus && width) {
    const int sign = negative || plus || space;
    digits_wanted = static_cast<size_t>(std::max(*width - sign, 0));
  }
  char buffer[65];
  const auto end = std::to_chars(buffer, buffer + sizeof buffer, size, base).ptr;
  std::string digits(buffer, end);
  if (verb == 'X') {
    for (char& c : digits) c = static_cast<char>(c >= 'a' ? c - 'a' + 'A' : c);
  }
  if (digits.size() < digits_wanted) digits.insert(0, digits_wanted - digits.size(), '0');
  if (sharp && !(base == 8 && digits[0] == '0')) digits.insert(0, prefix);
  if (verb == 'O') digits.insert(0, "0o");
  if (negative || plus || space) digits.insert(0, 1, negative ? '-' : plus ? '+' : ' ');
  pad(digits, false);
}

void Printer::float_verb(const Value& v, char32_t verb) {
  if (std::u32string_view(U"vgGxXbeEfF").find(verb) == std::u32string_view::npos)
    return bad(v, verb);
  const bool fixed = std::u32string_view(U"eEfF").find(verb) != std::u32string_view::npos;
  const char form = verb == 'v' ? 'g' : verb == 'F' ? 'f' : static_cast<char>(verb);
  std::string text = format_float(v.as_float(), form, precision.value_or(fixed ? 6 : -1));
  const bool has_sign = text.starts_with('-') || plus || space;
  if (has_sign && !text.starts_with('-')) text.insert(0, 1, plus ? '+' : ' ');
  if (sharp && verb != 'b') keep_zeros(text, verb);
  if (zero && !minus && width && static_cast<size_t>(*width) > text.size() && has_sign) {
    out_.put(text.substr(0, 1));
    padding(static_cast<size_t>(*width) - text.size(), true);
    return out_.put(std::string_view(text).substr(1));
  }
  pad(text);
}

// The sharp flag: always a decimal point, and as many digits as the precision says.
void Printer::keep_zeros(std::string& text, char32_t verb) const {
  const bool hex = verb == 'x' || verb == 'X';
  const bool counted = verb == 'v' || verb == 'g' || verb == 'G' || verb == 'x';
  int missing = counted ? precision.value_or(6) : 0;
  const size_t tail_at = std::min(text.find_first_of(hex ? "pP" : "eEpP"), text.size());
  const std::string tail = text.substr(tail_at);
  text.resize(tail_at);
  bool significant = false;
  const size_t begin = text.find_first_not_of("+- ");
  for (const char c : std::string_view(text).substr(begin)) {
    if (c == '.') continue;
    significant = significant || c != '0';
    missing -= significant;
  }
  if (text.find('.') == std::string::npos) {
    missing -= text.substr(begin) == "0";  // a lone 0 counts as a digit
    text += '.';
  }
  text.append(static_cast<size_t>(std::max(missing, 0)), '0');
  text += tail;
}

void Printer::list(const Value& v, char32_t verb) {
  out_.put(go_syntax ? v.type_name() + "{" : "[");
  for (size_t i = 0; i < v.list_size(); ++i) {
    if (i > 0) out_.put(go_syntax ? ", " : " ");
    value(v.list_at(i), verb, true);
  }
  out_.put(go_syntax ? "}" : "]");
}

void Printer::map(const Value& v, char32_t verb) {
  out_.put(go_syntax ? v.type_name() + "{" : "map[");
  bool first = true;
  for (const auto& [key, item] : v.as_map()) {
    if (!std::exchange(first, false)) out_.put(go_syntax ? ", " : " ");
    value(Value::string(key), verb, true);
    out_.put(":");
    value(item, verb, true);
  }
  out_.put(go_syntax ? "}" : "]");
}

void Printer::structure(const Value& v, char32_t verb) {
  const StructValue& s = v.as_struct();
  out_.put(go_syntax ? s.type + "{" : "{");
  bool first = true;
  for (const StructField& f : s.fields) {
    if (!std::exchange(first, false)) out_.put(go_syntax ? ", " : " ");
    if (field_names || go_syntax) out_.put(f.name + ":");
    value(f.value, verb, true);
  }
  out_.put("}");
}

}  // namespace cria::text
