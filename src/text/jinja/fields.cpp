// fields.cpp - the fields of % formats and of str.format.
#include "text/jinja/format.h"
#include "text/jinja/operators.h"
#include "text/jinja/strings.h"

#include <algorithm>
#include <cmath>

namespace cria::jinja {

namespace {

constexpr int64_t kMaxWidth = 1'000'000;
constexpr int64_t kMaxPrecision = 500;

// Digits from `at` as a number; nullopt-like -1 when there are none.
int64_t digits(Runtime& rt, std::string_view text, size_t& at) {
  if (at >= text.size() || text[at] < '0' || text[at] > '9') return -1;
  int64_t value = 0;
  for (; at < text.size() && text[at] >= '0' && text[at] <= '9'; ++at) {
    value = value * 10 + (text[at] - '0');
    if (value > kMaxWidth) rt.error("a width over {} in a format", kMaxWidth);
  }
  return value;
}

std::string float_digits(Runtime& rt, double d, const Field& field) {
  if (std::isnan(d)) return "nan";
  if (std::isinf(d)) return "inf";
  const auto precision = static_cast<int>(field.precision < 0 ? 6 : field.precision);
  switch (field.type) {
    case 'f':
    case 'F':
      return fmt::format("{:.{}f}", d, precision);
    case 'e':
      return fmt::format("{:.{}e}", d, precision);
    case 'E':
      return fmt::format("{:.{}E}", d, precision);
    case 'g':
    case 'G':
      return fmt::format("{:.{}g}", d, std::max(precision, 1));
    case '%':
      return fmt::format("{:.{}f}%", d * 100, precision);
    default:
      rt.error("unknown format code \"{}\" for a float", field.type);
  }
}

std::string integer_digits(uint64_t size, const Field& field) {
  switch (field.type) {
    case 'x':
      return (field.alternate ? "0x" : "") + fmt::format("{:x}", size);
    case 'X':
      return (field.alternate ? "0X" : "") + fmt::format("{:X}", size);
    case 'o':
      return (field.alternate ? "0o" : "") + fmt::format("{:o}", size);
    case 'b':
      return (field.alternate ? "0b" : "") + fmt::format("{:b}", size);
    default:
      return fmt::format("{}", size);
  }
}

void group_thousands(std::string& digits) {
  size_t end = std::min(digits.find('.'), digits.size());
  for (; end > 3; end -= 3) digits.insert(end - 3, ",");
}

void print_padded(Text& out, std::string_view sign, std::string_view body, const Field& field,
                  char align) {
  const int64_t size = character_count(body) + std::ssize(sign);
  const auto room = static_cast<size_t>(std::max<int64_t>(field.width - size, 0));
  const size_t left = align == '>' ? room : align == '^' ? room / 2 : 0;
  out.fill(field.fill, left);
  out.put(sign);
  if (align == '=') out.fill(field.fill, room);
  out.put(body);
  if (align == '<' || align == '^') out.fill(field.fill, room - left);
}

void print_number(Text& out, const Value& v, const Field& field) {
  constexpr std::string_view kIntegerTypes = "dxXobi";
  const bool whole =
      v.integral() && (field.type == 0 || kIntegerTypes.find(field.type) != kIntegerTypes.npos);
  const bool negative = whole ? v.as_int() < 0 : std::signbit(v.as_float());
  std::string body;
  if (whole) {
    const auto bits = static_cast<uint64_t>(v.as_int());
    body = integer_digits(negative ? 0 - bits : bits, field);
  } else if (field.type == 0 && field.precision < 0) {
    body = float_text(std::abs(v.as_float()));
  } else {
    Field typed = field;
    if (typed.type == 0) typed.type = 'g';
    body = float_digits(out.runtime(), std::abs(v.as_float()), typed);
  }
  if (field.comma) group_thousands(body);
  const std::string_view sign = negative            ? "-"
                                : field.sign == '+' ? "+"
                                : field.sign == ' ' ? " "
                                                    : "";
  print_padded(out, sign, body, field, field.align == 0 ? '>' : field.align);
}

// The conversion of a % format that begins behind the sign; `at` moves behind it.
Field percent_field(Runtime& rt, std::string_view format, size_t& at) {
  Field field;
  for (; at < format.size(); ++at) {
    const char c = format[at];
    if (c == '-')
      field.align = '<';
    else if (c == '0' && field.align != '<')
      field.align = '=';
    else if (c == '+' || (c == ' ' && field.sign != '+'))
      field.sign = c;
    else if (c == '#')
      field.alternate = true;
    else if (c != '0' && c != ' ')
      break;
  }
  if (field.align == '=') field.fill = "0";
  field.width = std::max<int64_t>(digits(rt, format, at), 0);
  if (at < format.size() && format[at] == '.') {
    ++at;
    field.precision = std::clamp<int64_t>(digits(rt, format, at), 0, kMaxPrecision);
  }
  if (at >= format.size()) rt.error("a % format ends too early");
  field.type = format[at++];
  return field;
}

void print_percent(Text& out, const Value& v, Field field) {
  Runtime& rt = out.runtime();
  constexpr std::string_view kNumbers = "dixXofFeEgG";
  if (field.type == 's' || field.type == 'r') {
    Text text(rt);
    field.type == 's' ? print(text, v) : print_exact(text, v);
    std::string_view body = text.view();
    if (field.precision >= 0)
      body = characters(body, 0, std::min(field.precision, character_count(body)));
    if (field.align == '=') field.fill = " ";
    return print_padded(out, "", body, field, field.align == '<' ? '<' : '>');
  }
  if (field.type == 'c') {
    if (v.string() && character_count(v.as_text()) == 1)
      return print_padded(out, "", v.as_text(), field, field.align == '<' ? '<' : '>');
    rt.error("%c needs a character");
  }
  if (kNumbers.find(field.type) == std::string_view::npos)
    rt.error("unsupported % format \"{}\"", field.type);
  if (!v.numeric()) rt.error("%{} needs a number, not {}", field.type, v.type_name());
  const bool wants_integer = std::string_view("dixXo").find(field.type) != std::string_view::npos;
  if (!wants_integer || v.integral()) return print_number(out, v, field);
  if (std::string_view("di").find(field.type) == std::string_view::npos ||
      !(std::abs(v.as_float()) < 9.2e18))
    rt.error("%{} needs an integer", field.type);
  print_number(out, Value::integer(static_cast<int64_t>(v.as_float())), field);
}

// The specification behind ":" in a brace: [[fill]align][sign][#][0][width][,][.precision][type].
Field brace_field(Runtime& rt, std::string_view spec) {
  Field field;
  constexpr std::string_view kAligns = "<>^=";
  const std::vector<std::string_view> all = split_characters(spec);
  size_t at = 0;
  if (all.size() > 1 && all[1].size() == 1 && kAligns.find(all[1]) != std::string_view::npos) {
    field.fill = all[0];
    field.align = all[1][0];
    at = all[0].size() + 1;
  } else if (!spec.empty() && kAligns.find(spec[0]) != std::string_view::npos) {
    field.align = spec[at++];
  }
  const auto take = [&](char c) {
    if (at >= spec.size() || spec[at] != c) return false;
    ++at;
    return true;
  };
  for (const char c : {'+', '-', ' '})
    if (take(c)) field.sign = c;
  field.alternate = take('#');
  if (take('0') && field.align == 0) {
    field.fill = "0";
    field.align = '=';
  }
  field.width = std::max<int64_t>(digits(rt, spec, at), 0);
  field.comma = take(',');
  if (take('.')) field.precision = std::clamp<int64_t>(digits(rt, spec, at), 0, kMaxPrecision);
  if (at < spec.size()) field.type = spec[at++];
  if (at < spec.size()) rt.error("invalid format specification \"{}\"", spec);
  return field;
}

// The value that "0.name[key]" stands for. `automatic`: the next argument for "{}", SIZE_MAX once
// one has a number.
Value field_value(Runtime& rt, std::string_view path, const Arguments& arguments,
                  size_t& automatic) {
  const size_t end = std::min(path.find_first_of(".["), path.size());
  const std::string_view first = path.substr(0, end);
  path.remove_prefix(end);
  Value v;
  size_t at = 0;
  int64_t number = digits(rt, first, at);
  if (first.empty() ? automatic == SIZE_MAX
                    : number >= 0 && automatic != 0 && automatic != SIZE_MAX)
    rt.error("a format has both \"{{}}\" and numbered fields");
  if (first.empty())
    number = static_cast<int64_t>(automatic++);
  else if (number >= 0)
    automatic = SIZE_MAX;
  if (number >= 0 && at == first.size()) {
    if (number >= std::ssize(arguments.positional)) rt.error("the format needs more arguments");
    v = arguments.positional[static_cast<size_t>(number)];
  } else {
    for (const auto& [name, value] : arguments.named)
      if (name == first) v = value;
    if (v.missing()) rt.error("the format has no argument \"{}\"", first);
  }
  while (!path.empty()) {
    const bool dot = path[0] == '.';
    const size_t stop = std::min(path.find_first_of(dot ? ".[" : "]", 1), path.size());
    const std::string_view name = path.substr(1, stop - 1);
    at = 0;
    const int64_t index = dot ? -1 : digits(rt, name, at);
    v = dot ? attribute(rt, v, name)
            : item(rt, v, index >= 0 ? Value::integer(index) : Value::borrowed(name));
    path.remove_prefix(std::min(stop + (dot ? 0 : 1), path.size()));
  }
  return v;
}

}  // namespace

void print_field(Text& out, const Value& v, Field field) {
  if (v.numeric() && !(v.is(Kind::kBool) && field.type == 0)) return print_number(out, v, field);
  if (field.type != 0 && field.type != 's')
    out.runtime().error("unknown format code \"{}\" for {}", field.type, v.type_name());
  Text text(out.runtime());
  print(text, v);
  std::string_view body = text.view();
  if (field.precision >= 0)
    body = characters(body, 0, std::min(field.precision, character_count(body)));
  print_padded(out, "", body, field, field.align == 0 || field.align == '=' ? '<' : field.align);
}

Value percent_format(Runtime& rt, std::string_view format, const Value& arguments) {
  Text out(rt);
  const bool tuple = arguments.list() && arguments.sequence() == Sequence::kTuple;
  const size_t given = tuple ? arguments.as_list().items.size() : 1;
  size_t used = 0;
  for (size_t at = 0; at < format.size();) {
    const size_t mark = std::min(format.find('%', at), format.size());
    out.put(format.substr(at, mark - at));
    if (mark == format.size()) break;
    at = mark + 1;
    Value v;
    if (at < format.size() && format[at] == '(') {
      const size_t close = format.find(')', at);
      if (close == std::string_view::npos) rt.error("a % format has no \")\"");
      v = item(rt, arguments, Value::borrowed(format.substr(at + 1, close - at - 1)));
      at = close + 1;
      used = given;
    }
    const Field field = percent_field(rt, format, at);
    if (field.type == '%') {
      out.put("%");
      continue;
    }
    if (v.missing()) {
      if (used >= given) rt.error("not enough arguments for the % format");
      v = tuple ? arguments.as_list().items[used] : arguments;
      ++used;
    }
    print_percent(out, v, field);
  }
  if (used < given && !arguments.dict() && !(arguments.list() && !tuple))
    rt.error("not all arguments of the % format are used");
  return out.value();
}

Value brace_format(Runtime& rt, std::string_view format, const Arguments& arguments) {
  Text out(rt);
  size_t automatic = 0;
  for (size_t at = 0; at < format.size();) {
    const char c = format[at];
    const bool doubled = at + 1 < format.size() && format[at + 1] == c;
    if ((c == '{' || c == '}') && doubled) {
      out.put(format.substr(at, 1));
      at += 2;
    } else if (c == '{') {
      const size_t close = format.find('}', at);
      if (close == std::string_view::npos) rt.error("a format has \"{{\" without \"}}\"");
      std::string_view inside = format.substr(at + 1, close - at - 1);
      at = close + 1;
      const size_t colon = std::min(inside.find(':'), inside.size());
      const std::string_view spec = colon < inside.size() ? inside.substr(colon + 1) : "";
      std::string_view path = inside.substr(0, colon);
      const bool exact = path.ends_with("!r");
      if (exact || path.ends_with("!s")) path.remove_suffix(2);
      Value v = field_value(rt, path, arguments, automatic);
      if (path.size() < colon) {
        Text text(rt);
        exact ? print_exact(text, v) : print(text, v);
        v = text.value();
      }
      print_field(out, v, brace_field(rt, spec));
    } else if (c == '}') {
      rt.error("a format has \"}}\" without \"{{\"");
    } else {
      const size_t next = std::min(format.find_first_of("{}", at), format.size());
      out.put(format.substr(at, next - at));
      at = next;
    }
  }
  return out.value();
}

}  // namespace cria::jinja
