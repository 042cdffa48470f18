// filters.cpp - filters on one value: texts, numbers, defaults, JSON. Those on lists are in
// list_filters.cpp.
#include "text/jinja/format.h"
#include "text/jinja/list_filters.h"
#include "text/jinja/operators.h"
#include "text/jinja/strings.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>

namespace cria::jinja {

namespace {

// The subject as text, as most filters take it.
std::string_view soft(Call& c) {
  c.subject = to_string(c.rt, c.subject);
  c.rt.step(1 + c.subject.as_text().size() / 64);
  return c.subject.as_text();
}

Value absolute(Call& c) {
  if (c.subject.is(Kind::kFloat)) return Value::number(std::abs(c.subject.as_float()));
  if (!c.subject.integral()) c.rt.error("{} has no absolute value", c.subject.type_name());
  return c.subject.as_int() < 0 ? negated(c.rt, c.subject) : Value::integer(c.subject.as_int());
}

Value attribute_of(Call& c) {
  const std::string_view name = c.text(0);
  if (c.subject.dict()) return Value::undefined(name);  // an attribute is no item
  return attribute(c.rt, c.subject, name);
}

Value capitalize(Call& c) {
  return c.rt.text(capitalized(soft(c)));
}

Value center(Call& c) {
  Text out(c.rt);
  const std::string_view s = soft(c);
  const int64_t width = c.integer(0, 80), room = std::max<int64_t>(width - character_count(s), 0);
  const int64_t left = room / 2 + (room & width & 1);
  out.fill(" ", static_cast<size_t>(left));
  out.put(s);
  out.fill(" ", static_cast<size_t>(room - left));
  return out.value();
}

Value default_value(Call& c) {
  const bool absent = c.subject.undefined() || (c.flag(1) && !c.subject.truth());
  if (!absent) return c.subject;
  return c[0].missing() ? Value::borrowed("") : c[0];
}

Value escape(Call& c) {
  const Value s = to_string(c.rt, c.subject);
  return s.markup() ? s : escaped(c.rt, s.as_text());
}

Value format_text(Call& c) {
  const Value s = to_string(c.rt, c.subject);
  if (!c.given.named.empty()) {
    Dict& dict = c.rt.dict();
    for (const auto& [name, value] : c.given.named) c.rt.set(dict, Value::borrowed(name), value);
    return percent_format(c.rt, s.as_text(), Value::of(&dict));
  }
  List& list = c.rt.list(c.given.positional.size());
  list.items = c.given.positional;
  return percent_format(c.rt, s.as_text(), Value::of(&list, Sequence::kTuple));
}

Value from_json(Call& c) {
  c.rt.charge(soft(c).size() * 8);
  // The values are copies: the parsed JSON does not outlive this call.
  const Json json = parse_json(c.subject.as_text());
  const auto copy = [&](const auto& self, const Json& j) -> Value {
    if (j.is_string()) return c.rt.text(j.get_ref<const std::string&>());
    if (j.is_array()) {
      List& list = c.rt.list(j.size());
      for (const Json& item : j) list.items.push_back(self(self, item));
      return Value::of(&list);
    }
    if (!j.is_object()) return c.rt.value(j);
    Dict& dict = c.rt.dict();
    for (const auto& [key, item] : j.get_ref<const Json::object_t&>())
      c.rt.set(dict, c.rt.text(key), self(self, item));
    return Value::of(&dict);
  };
  return copy(copy, json);
}

Value indent(Call& c) {
  std::string pad = c[0].string() ? std::string(c[0].as_text()) : std::string();
  if (!c[0].string()) {
    Text spaces(c.rt);
    spaces.fill(" ", static_cast<size_t>(std::max<int64_t>(c.integer(0, 4), 0)));
    pad = spaces.string();
  }
  Text out(c.rt);
  const std::string text = std::string(soft(c)) + "\n";  // so that the last line has an end, too
  const std::vector<std::string_view> lines = split_lines(text, false);
  for (size_t i = 0; i < lines.size(); ++i) {
    if (i > 0) out.put("\n");
    if ((i == 0 && c.flag(1)) || (i > 0 && (c.flag(2) || !lines[i].empty()))) out.put(pad);
    out.put(lines[i]);
  }
  return out.value();
}

Value to_integer(Call& c) {
  const Value fallback = c[0].missing() ? Value::integer(0) : c[0];
  if (c.subject.integral()) return Value::integer(c.subject.as_int());
  double d = 0;
  if (c.subject.is(Kind::kFloat)) {
    d = c.subject.as_float();
  } else if (c.subject.string()) {
    const std::string_view s = right_stripped(left_stripped(c.subject.as_text()));
    std::string_view digits = s.starts_with('+') ? s.substr(1) : s;
    const auto base = static_cast<int>(c.integer(1, 10));
    if (base < 2 || base > 36) c.rt.error("the base of an integer is 2 to 36, not {}", base);
    if (base == 16 && (digits.starts_with("0x") || digits.starts_with("0X")))
      digits.remove_prefix(2);
    int64_t value = 0;
    const auto [stop, error] =
        std::from_chars(digits.data(), digits.data() + digits.size(), value, base);
    const bool all = stop == digits.data() + digits.size();
    if (error == std::errc() && all) return Value::integer(value);
    const auto parsed = std::from_chars(digits.data(), digits.data() + digits.size(), d);
    if (parsed.ec != std::errc() || parsed.ptr != digits.data() + digits.size()) return fallback;
  } else {
    if (c.subject.undefined()) c.rt.error("\"{}\" is undefined", c.subject.as_text());
    return fallback;
  }
  return std::abs(d) < 9.2e18 ? Value::integer(static_cast<int64_t>(d)) : fallback;
}

Value to_float(Call& c) {
  if (c.subject.numeric()) return Value::number(c.subject.as_float());
  if (c.subject.undefined()) c.rt.error("\"{}\" is undefined", c.subject.as_text());
  if (c.subject.string()) {
    std::string_view s = right_stripped(left_stripped(c.subject.as_text()));
    if (s.starts_with('+')) s.remove_prefix(1);
    double d = 0;
    const auto [stop, error] = std::from_chars(s.data(), s.data() + s.size(), d);
    if (error == std::errc() && stop == s.data() + s.size()) return Value::number(d);
  }
  return c[0].missing() ? Value::number(0) : c[0];
}

Value lower_case(Call& c) {
  return c.rt.text(lower(soft(c)));
}

Value upper_case(Call& c) {
  return c.rt.text(upper(soft(c)));
}

Value replace(Call& c) {
  const std::string_view s = soft(c);
  const Value from = to_string(c.rt, c[0]), to = to_string(c.rt, c[1]);
  return replaced(c.rt, s, from.as_text(), to.as_text(), c.integer(2, -1));
}

Value round_number(Call& c) {
  if (!c.subject.numeric()) c.rt.error("{} cannot be rounded", c.subject.type_name());
  const int64_t precision = std::clamp<int64_t>(c.integer(0), -300, 300);
  const std::string_view method = c.text(1, "common");
  const double d = c.subject.as_float();
  const double scale = std::pow(10.0, static_cast<double>(precision));
  if (method == "ceil") return Value::number(std::ceil(d * scale) / scale);
  if (method == "floor") return Value::number(std::floor(d * scale) / scale);
  if (method != "common") c.rt.error("rounding is common, ceil or floor, not \"{}\"", method);
  if (!std::isfinite(d)) return c.subject;
  if (precision < 0) {
    const Value rounded = Value::number(std::nearbyint(d * scale) / scale);
    return c.subject.integral() ? Value::integer(static_cast<int64_t>(rounded.as_float()))
                                : rounded;
  }
  if (c.subject.integral()) return Value::integer(c.subject.as_int());
  // printf rounds the exact value half to even, as Python does.
  const std::string digits = fmt::format("{:.{}f}", d, precision);
  double rounded = 0;
  std::from_chars(digits.data(), digits.data() + digits.size(), rounded);
  return Value::number(rounded);
}

Value safe(Call& c) {
  return Value::markup(soft(c));
}

Value as_string(Call& c) {
  return to_string(c.rt, c.subject);
}

// Jinja's own: words begin behind white space and the signs below only.
Value title(Call& c) {
  std::string out;
  const std::string_view s = soft(c);
  for (size_t at = 0; at < s.size();) {
    const auto is_mark = [&](size_t i) {
      return std::string_view(" \t\n\r\v\f-({[<").find(s[i]) != std::string_view::npos;
    };
    size_t end = at;
    while (end < s.size() && is_mark(end) == is_mark(at)) ++end;
    out += is_mark(at) ? std::string(s.substr(at, end - at)) : capitalized(s.substr(at, end - at));
    at = end;
  }
  return c.rt.text(out);
}

Value to_json(Call& c) {
  JsonStyle style{.ascii = c.flag(0), .sort_keys = c.flag(3)};
  std::string spaces;
  if (!c[1].none_or_missing()) {
    style.multiline = true;
    style.item_separator = ",";
    if (c[1].string()) {
      style.indent = c[1].as_text();
    } else {
      spaces.assign(static_cast<size_t>(std::clamp<int64_t>(c.integer(1), 0, 1000)), ' ');
      style.indent = spaces;
    }
  }
  if (!c[2].none_or_missing()) {
    const std::vector<Value>& pair = items_of(c.rt, c[2]).items;
    if (pair.size() != 2 || !pair[0].string() || !pair[1].string())
      c.rt.error("separators are two strings");
    style.item_separator = pair[0].as_text();
    style.key_separator = pair[1].as_text();
  }
  Text out(c.rt);
  print_json(out, c.subject, style);
  return out.value();
}

Value trim(Call& c) {
  const std::string_view s = soft(c);
  return Value::borrowed(c[0].none_or_missing() ? right_stripped(left_stripped(s))
                                                : stripped(s, c.text(0), true, true));
}

Value truncate(Call& c) {
  const std::string_view s = soft(c);
  const int64_t most = c.integer(0, 255), leeway = c.integer(3, 5);
  const std::string_view end = c.text(2, "...");
  if (character_count(s) <= most + leeway) return c.subject;
  const int64_t room = most - character_count(end);
  if (room < 0) c.rt.error("the length must be at least that of the end");
  std::string_view kept = characters(s, 0, room);
  const size_t space = kept.rfind(' ');
  if (!c.flag(1) && space != std::string_view::npos) kept = kept.substr(0, space);
  Text out(c.rt);
  out.put(kept);
  out.put(end);
  return out.value();
}

Value word_count(Call& c) {
  int64_t count = 0;
  bool inside = false;
  for (const std::string_view letter : split_characters(soft(c))) {
    const bool word = letter == "_" || all_characters(letter, [](uint32_t p) {
                        return is_letter(p) || is_digit(p);
                      });
    if (word && !inside) ++count;
    inside = word;
  }
  return Value::integer(count);
}

constexpr std::array kFilters = {
    Routine{"abs", "", 0, absolute},
    Routine{"attr", "name", 1, attribute_of},
    Routine{"capitalize", "", 0, capitalize},
    Routine{"center", "width", 0, center},
    Routine{"d", "default_value boolean", 0, default_value},
    Routine{"default", "default_value boolean", 0, default_value},
    Routine{"e", "", 0, escape},
    Routine{"escape", "", 0, escape},
    Routine{"float", "default", 0, to_float},
    Routine{"format", "*", 0, format_text},
    Routine{"from_json", "", 0, from_json},
    Routine{"fromjson", "", 0, from_json},
    Routine{"indent", "width first blank", 0, indent},
    Routine{"int", "default base", 0, to_integer},
    Routine{"lower", "", 0, lower_case},
    Routine{"replace", "old new count", 2, replace},
    Routine{"round", "precision method", 0, round_number},
    Routine{"safe", "", 0, safe},
    Routine{"string", "", 0, as_string},
    Routine{"title", "", 0, title},
    Routine{"tojson", "ensure_ascii indent separators sort_keys", 0, to_json},
    Routine{"trim", "chars", 0, trim},
    Routine{"truncate", "length killwords end leeway", 0, truncate},
    Routine{"upper", "", 0, upper_case},
    Routine{"wordcount", "", 0, word_count},
};

}  // namespace

const Routine* find_filter(std::string_view name) {
  const Routine* found = find_routine(kFilters, name);
  return found != nullptr ? found : find_list_filter(name);
}

}  // namespace cria::jinja
