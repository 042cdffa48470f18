// printf.cpp - Go's Printf, Print and Println. A wrong verb or count never fails: it shows in the
// text.
#include "base/error.h"
#include "text/template/format.h"
#include "text/template/literal.h"

#include <charconv>
#include <cstdio>
#include <optional>

namespace cria::text {

namespace {

using Kind = Value::Kind;

constexpr int kMaxWidth = 1'000'000;  // Go ignores a larger one

size_t characters(std::string_view s) {
  size_t n = 0;
  for (size_t i = 0; i < s.size(); ++n) next_utf8(s, i);
  return n;
}

// One verb with its flags.
class Printer {
 public:
  explicit Printer(Output& out) : out_(out) {}

  bool plus = false, minus = false, sharp = false, space = false, zero = false;
  bool go_syntax = false, field_names = false;  // %#v, %+v
  std::optional<int> width, precision;

  void value(const Value& v, char32_t verb, bool nested = false) {
    if (verb == 'T') return pad(v.type_name());
    if (v.absent()) {
      if (verb != 'v' && !nested) return bad(v, verb);
      return nested ? out_.put(go_syntax ? "interface {}(nil)" : "<nil>") : pad("<nil>");
    }
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

 private:
  static std::string own_text(const Value& v) {
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

  void padding(size_t n, bool zeros) { out_.fill(zeros && !minus ? '0' : ' ', n); }

  void pad(std::string_view s, bool zeros) {
    const size_t length = width ? characters(s) : 0;
    const size_t missing =
        width && static_cast<size_t>(*width) > length ? static_cast<size_t>(*width) - length : 0;
    if (!minus) padding(missing, zeros);
    out_.put(s);
    if (minus) padding(missing, false);
  }
  void pad(std::string_view s) { pad(s, zero); }

  void bad(const Value& v, char32_t verb) {
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

  std::string_view cut(std::string_view s) const {
    if (!precision) return s;
    size_t end = 0;
    for (int n = 0; end < s.size() && n < *precision; ++n) next_utf8(s, end);
    return s.substr(0, end);
  }

  void string(std::string_view s, const Value& v, char32_t verb) {
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

  void hex_text(std::string_view s, bool upper) {
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

  void integer_verb(const Value& v, char32_t verb) {
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
        text = fmt::format("U+{:04X}", static_cast<uint64_t>(i));
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

  void integer(int64_t i, int base, std::string_view prefix, char32_t verb) {
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
    if (sharp && verb != 'O' && !(base == 8 && digits[0] == '0')) digits.insert(0, prefix);
    if (verb == 'O') digits.insert(0, "0o");
    if (negative || plus || space) digits.insert(0, 1, negative ? '-' : plus ? '+' : ' ');
    pad(digits, false);
  }

  static std::string c_format(char verb, int digits, double d) {
    const char form[] = {'%', '.', '*', verb, '\0'};
    std::string text(static_cast<size_t>(digits) + 400, '\0');
    const int n = std::snprintf(text.data(), text.size(), form, digits, d);
    text.resize(static_cast<size_t>(std::max(n, 0)));
    return text;
  }

  static std::string hex_float(double d, bool upper) {
    char buffer[64];
    const int n = std::snprintf(buffer, sizeof buffer, upper ? "%A" : "%a", d);
    std::string text(buffer, static_cast<size_t>(n));
    if (text.size() > 2 && (text[text.size() - 2] == '+' || text[text.size() - 2] == '-')) {
      text.insert(text.size() - 1, "0");
    }
    return text;
  }

  void float_verb(const Value& v, char32_t verb) {
    const double d = v.as_float();
    std::string text;
    switch (verb) {
      case 'v':
      case 'g':
      case 'G':
        text = precision ? c_format(verb == 'G' ? 'G' : 'g', *precision, d) : shortest_float(d);
        if (verb == 'G' && text.find('e') != std::string::npos) text[text.find('e')] = 'E';
        break;
      case 'e':
      case 'E':
      case 'f':
      case 'F':
        text = c_format(static_cast<char>(verb), precision.value_or(6), d);
        break;
      case 'x':
      case 'X':
        text = hex_float(d, verb == 'X');
        break;
      default:
        return bad(v, verb);
    }
    const bool signed_text = text.starts_with('-');
    if (!signed_text && (plus || space)) text.insert(0, 1, plus ? '+' : ' ');
    const bool has_sign = signed_text || plus || space;
    if (zero && !minus && width && static_cast<size_t>(*width) > text.size() && has_sign) {
      out_.put(text.substr(0, 1));
      padding(static_cast<size_t>(*width) - text.size(), true);
      return out_.put(std::string_view(text).substr(1));
    }
    pad(text);
  }

  void list(const Value& v, char32_t verb) {
    out_.put(go_syntax ? v.type_name() + "{" : "[");
    for (size_t i = 0; i < v.list_size(); ++i) {
      if (i > 0) out_.put(go_syntax ? ", " : " ");
      value(v.list_at(i), verb, true);
    }
    out_.put(go_syntax ? "}" : "]");
  }

  void map(const Value& v, char32_t verb) {
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

  void structure(const Value& v, char32_t verb) {
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

  Output& out_;
};

// Walks a format: flags, [n] indexes, * and numbers, verbs.
class Formatter {
 public:
  Formatter(Output& out, std::string_view format, std::span<const Value> values)
      : out_(out), format_(format), values_(values) {}

  void run() {
    while (at_ < format_.size()) {
      const size_t percent = std::min(format_.find('%', at_), format_.size());
      out_.put(format_.substr(at_, percent - at_));
      at_ = percent + 1;
      if (percent < format_.size()) one();
    }
    if (!reordered_ && next_ < values_.size()) extra();
  }

 private:
  void one() {
    Printer p(out_);
    good_index_ = true;
    indexed_ = false;
    flags(p);
    index();
    if (more() && format_[at_] == '*') {
      ++at_;
      p.width = argument_number("%!(BADWIDTH)");
      if (p.width && *p.width < 0) {
        p.width = -*p.width;
        p.minus = true;
      }
      indexed_ = false;
    } else {
      p.width = number();
      if (indexed_ && p.width) good_index_ = false;  // %[3]2d
    }
    if (more() && format_[at_] == '.') {
      ++at_;
      if (indexed_) good_index_ = false;
      index();
      if (more() && format_[at_] == '*') {
        ++at_;
        p.precision = argument_number("%!(BADPREC)");
        if (p.precision && *p.precision < 0) p.precision.reset();
        indexed_ = false;
      } else {
        p.precision = number();
        if (!p.precision && !overflow_) p.precision = 0;
      }
    }
    if (!indexed_) index();
    verb(p);
  }

  void verb(Printer& p) {
    if (!more()) return out_.put("%!(NOVERB)");
    const char32_t v = next_utf8(format_, at_);
    std::string name = "%!";
    append_utf8(name, v);
    if (v == '%') return out_.put("%");
    if (!good_index_) return out_.put(name + "(BADINDEX)");
    if (next_ >= values_.size()) return out_.put(name + "(MISSING)");
    if (v == 'v') {
      p.go_syntax = std::exchange(p.sharp, false);
      p.field_names = std::exchange(p.plus, false);
    }
    p.value(values_[next_++], v);
  }

  void flags(Printer& p) {
    for (; more(); ++at_) {
      switch (format_[at_]) {
        case '#':
          p.sharp = true;
          break;
        case '0':
          p.zero = true;
          break;
        case '+':
          p.plus = true;
          break;
        case '-':
          p.minus = true;
          break;
        case ' ':
          p.space = true;
          break;
        default:
          return;
      }
    }
  }

  std::optional<int> number() {
    overflow_ = false;
    int n = 0;
    const size_t begin = at_;
    for (; more() && format_[at_] >= '0' && format_[at_] <= '9'; ++at_) {
      if (n > kMaxWidth) {  // as Go: a crazy number ends the format
        at_ = format_.size();
        overflow_ = true;
        return std::nullopt;
      }
      n = n * 10 + (format_[at_] - '0');
    }
    return at_ == begin ? std::nullopt : std::optional(n);
  }

  std::optional<int> argument_number(std::string_view complaint) {
    const bool usable = next_ < values_.size() && values_[next_].kind() == Kind::kInt;
    const int64_t n = usable ? values_[next_].as_int() : 0;
    if (next_ < values_.size()) ++next_;
    if (usable && n >= -kMaxWidth && n <= kMaxWidth) return static_cast<int>(n);
    out_.put(complaint);
    return std::nullopt;
  }

  void index() {
    if (!more() || format_[at_] != '[') return;
    reordered_ = indexed_ = true;
    const size_t close = format_.find(']', at_);
    if (close == std::string_view::npos) {
      good_index_ = false;
      ++at_;
      return;
    }
    const std::string_view digits = format_.substr(at_ + 1, close - at_ - 1);
    size_t n = 0;
    const auto [end, ec] = std::from_chars(digits.data(), digits.data() + digits.size(), n);
    at_ = close + 1;
    if (ec == std::errc() && end == digits.data() + digits.size() && n >= 1 &&
        n <= values_.size()) {
      next_ = n - 1;
    } else {
      good_index_ = false;
    }
  }

  void extra() {
    out_.put("%!(EXTRA ");
    for (size_t i = next_; i < values_.size(); ++i) {
      if (i > next_) out_.put(", ");
      if (values_[i].absent()) {
        out_.put("<nil>");
      } else {
        out_.put(values_[i].type_name() + "=");
        Printer(out_).value(values_[i], 'v');
      }
    }
    out_.put(")");
  }

  bool more() const { return at_ < format_.size(); }

  Output& out_;
  std::string_view format_;
  std::span<const Value> values_;
  size_t at_ = 0, next_ = 0;
  bool reordered_ = false, indexed_ = false, good_index_ = true, overflow_ = false;
};

}  // namespace

void print_value(Output& out, const Value& value) {
  if (value.absent()) return out.put("<no value>");
  Printer(out).value(value, 'v');
}

void print(Output& out, std::span<const Value> values) {
  for (size_t i = 0; i < values.size(); ++i) {
    const auto is_string = [](const Value& v) { return v.kind() == Kind::kString; };
    if (i > 0 && !is_string(values[i]) && !is_string(values[i - 1])) out.put(" ");
    Printer(out).value(values[i], 'v');
  }
}

void println(Output& out, std::span<const Value> values) {
  for (size_t i = 0; i < values.size(); ++i) {
    if (i > 0) out.put(" ");
    Printer(out).value(values[i], 'v');
  }
  out.put("\n");
}

void printf(Output& out, std::string_view format, std::span<const Value> values) {
  Formatter(out, format, values).run();
}

}  // namespace cria::text
