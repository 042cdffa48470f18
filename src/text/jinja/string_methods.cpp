// string_methods.cpp - Python's methods of str.
#include "text/jinja/format.h"
#include "text/jinja/operators.h"
#include "text/jinja/routine.h"
#include "text/jinja/strings.h"

#include <algorithm>
#include <array>

namespace cria::jinja {

namespace {

// The text that the method belongs to; going through it takes time.
std::string_view self(Call& c) {
  c.rt.step(1 + c.subject.as_text().size() / 64);
  return c.subject.as_text();
}

std::string_view required_text(Call& c, size_t i) {
  if (!c[i].string()) c.rt.error("the argument must be a string, not {}", c[i].type_name());
  return c[i].as_text();
}

template <std::string (*kChange)(std::string_view)>
Value changed(Call& c) {
  return c.rt.text(kChange(self(c)));
}

template <bool (*kTest)(uint32_t)>
Value all(Call& c) {
  return Value::boolean(all_characters(self(c), kTest));
}

template <bool (*kTest)(std::string_view)>
Value holds(Call& c) {
  return Value::boolean(kTest(self(c)));
}

bool letter_or_digit(uint32_t c) {
  return is_letter(c) || is_digit(c);
}

template <bool kLeft, bool kRight>
Value strip(Call& c) {
  std::string_view s = self(c);
  if (!c[0].none_or_missing()) return Value::borrowed(stripped(s, c.text(0), kLeft, kRight));
  if (kLeft) s = left_stripped(s);
  if (kRight) s = right_stripped(s);
  return Value::borrowed(s);
}

Value list_of(Runtime& rt, const std::vector<std::string_view>& parts,
              Sequence sequence = Sequence::kList) {
  List& made = rt.list(parts.size());
  for (const std::string_view part : parts) made.items.push_back(Value::borrowed(part));
  return Value::of(&made, sequence);
}

template <bool kFromRight>
Value split_text(Call& c) {
  const std::string_view s = self(c);
  const int64_t most = c.integer(1, -1);
  if (c[0].none_or_missing())
    return list_of(c.rt, kFromRight ? split_right(s, most) : split(s, most));
  const std::string_view separator = c.text(0);
  if (separator.empty()) c.rt.error("the separator of split is empty");
  return list_of(c.rt, kFromRight ? split_right(s, separator, most) : split(s, separator, most));
}

Value split_lines(Call& c) {
  return list_of(c.rt, jinja::split_lines(self(c), c.flag(0)));
}

template <bool kFromRight>
Value partition(Call& c) {
  const std::string_view s = self(c), mark = required_text(c, 0);
  if (mark.empty()) c.rt.error("the separator of partition is empty");
  const size_t at = kFromRight ? s.rfind(mark) : s.find(mark);
  std::vector<std::string_view> parts;
  if (at != std::string_view::npos)
    parts = {s.substr(0, at), mark, s.substr(at + mark.size())};
  else
    parts = kFromRight ? std::vector<std::string_view>{"", "", s}
                       : std::vector<std::string_view>{s, "", ""};
  return list_of(c.rt, parts, Sequence::kTuple);
}

// The part of the text between the arguments `first` and `first` + 1, as str[start:end].
std::string_view window(Call& c, size_t first) {
  if (c[first].none_or_missing() && c[first + 1].none_or_missing()) return self(c);
  const auto bound = [&](size_t i) { return c[i].missing() ? Value::none() : c[i]; };
  return slice(c.rt, c.subject, bound(first), bound(first + 1), Value::none()).as_text();
}

template <bool kAtEnd>
Value begins_or_ends(Call& c) {
  const std::string_view s = window(c, 1);
  const auto matches = [&](const Value& mark) {
    if (!mark.string()) c.rt.error("a string is compared with strings, not {}", mark.type_name());
    return kAtEnd ? s.ends_with(mark.as_text()) : s.starts_with(mark.as_text());
  };
  if (!c[0].list()) return Value::boolean(matches(c[0]));
  if (c[0].sequence() != Sequence::kTuple)
    c.rt.error("startswith and endswith take a string or a tuple, not {}", c[0].type_name());
  return Value::boolean(std::ranges::any_of(c[0].as_list().items, matches));
}

template <bool kFromRight, bool kRequired>
Value find(Call& c) {
  const std::string_view s = window(c, 1), mark = required_text(c, 0);
  const size_t at = kFromRight ? s.rfind(mark) : s.find(mark);
  if (at != std::string_view::npos) {
    const auto before = static_cast<size_t>(s.data() - c.subject.as_text().data()) + at;
    return Value::integer(character_count(c.subject.as_text().substr(0, before)));
  }
  if (kRequired) c.rt.error("the text has no \"{}\"", mark);
  return Value::integer(-1);
}

Value count(Call& c) {
  const std::string_view s = window(c, 1), mark = required_text(c, 0);
  if (mark.empty()) return Value::integer(character_count(s) + 1);
  return Value::integer(std::ssize(split(s, mark, -1)) - 1);
}

Value replace(Call& c) {
  return replaced(c.rt, self(c), required_text(c, 0), required_text(c, 1), c.integer(2, -1));
}

Value join(Call& c) {
  Text out(c.rt);
  bool first = true;
  for (const Value& v : items_of(c.rt, c[0]).items) {
    if (!v.string()) c.rt.error("join takes strings, not {}", v.type_name());
    if (!std::exchange(first, false)) out.put(c.subject.as_text());
    out.put(v.as_text());
  }
  return out.value();
}

Value format(Call& c) {
  return brace_format(c.rt, self(c), c.given);
}

template <bool kPrefix>
Value without(Call& c) {
  std::string_view s = self(c);
  const std::string_view mark = required_text(c, 0);
  if (kPrefix && s.starts_with(mark)) s.remove_prefix(mark.size());
  if (!kPrefix && s.ends_with(mark)) s.remove_suffix(mark.size());
  return Value::borrowed(s);
}

template <char kAlign>
Value padded(Call& c) {
  Text out(c.rt);
  const std::string_view s = self(c), fill = c.text(1, " ");
  if (character_count(fill) != 1) c.rt.error("the fill is one character, not \"{}\"", fill);
  const int64_t width = c.integer(0), room = std::max<int64_t>(width - character_count(s), 0);
  const int64_t left = kAlign == '<' ? 0 : kAlign == '>' ? room : room / 2 + (room & width & 1);
  out.fill(fill, static_cast<size_t>(left));
  out.put(s);
  out.fill(fill, static_cast<size_t>(room - left));
  return out.value();
}

Value zero_filled(Call& c) {
  Text out(c.rt);
  std::string_view s = self(c);
  const int64_t room = c.integer(0) - character_count(s);
  if (!s.empty() && (s[0] == '+' || s[0] == '-')) {
    out.put(s.substr(0, 1));
    s.remove_prefix(1);
  }
  out.fill("0", static_cast<size_t>(std::max<int64_t>(room, 0)));
  out.put(s);
  return out.value();
}

constexpr std::array kMethods = {
    Routine{"capitalize", "", 0, changed<capitalized>},
    Routine{"casefold", "", 0, changed<lower>},
    Routine{"center", "width fillchar", 1, padded<'^'>},
    Routine{"count", "sub start end", 1, count},
    Routine{"endswith", "suffix start end", 1, begins_or_ends<true>},
    Routine{"find", "sub start end", 1, find<false, false>},
    Routine{"format", "*", 0, format},
    Routine{"index", "sub start end", 1, find<false, true>},
    Routine{"isalnum", "", 0, all<letter_or_digit>},
    Routine{"isalpha", "", 0, all<is_letter>},
    Routine{"isdecimal", "", 0, all<is_digit>},
    Routine{"isdigit", "", 0, all<is_digit>},
    Routine{"islower", "", 0, holds<is_lower>},
    Routine{"isnumeric", "", 0, all<is_digit>},
    Routine{"isspace", "", 0, all<is_space>},
    Routine{"isupper", "", 0, holds<is_upper>},
    Routine{"join", "iterable", 1, join},
    Routine{"ljust", "width fillchar", 1, padded<'<'>},
    Routine{"lower", "", 0, changed<lower>},
    Routine{"lstrip", "chars", 0, strip<true, false>},
    Routine{"partition", "sep", 1, partition<false>},
    Routine{"removeprefix", "prefix", 1, without<true>},
    Routine{"removesuffix", "suffix", 1, without<false>},
    Routine{"replace", "old new count", 2, replace},
    Routine{"rfind", "sub start end", 1, find<true, false>},
    Routine{"rindex", "sub start end", 1, find<true, true>},
    Routine{"rjust", "width fillchar", 1, padded<'>'>},
    Routine{"rpartition", "sep", 1, partition<true>},
    Routine{"rsplit", "sep maxsplit", 0, split_text<true>},
    Routine{"rstrip", "chars", 0, strip<false, true>},
    Routine{"split", "sep maxsplit", 0, split_text<false>},
    Routine{"splitlines", "keepends", 0, split_lines},
    Routine{"startswith", "prefix start end", 1, begins_or_ends<false>},
    Routine{"strip", "chars", 0, strip<true, true>},
    Routine{"swapcase", "", 0, changed<swapped>},
    Routine{"title", "", 0, changed<titled>},
    Routine{"upper", "", 0, changed<upper>},
    Routine{"zfill", "width", 1, zero_filled},
};

}  // namespace

const Routine* find_string_method(std::string_view name) {
  return find_routine(kMethods, name);
}

Value replaced(Runtime& rt, std::string_view s, std::string_view from, std::string_view to,
               int64_t most) {
  Text out(rt);
  if (from.empty()) {  // before every character, and at the end
    int64_t done = 0;
    for (const std::string_view c : split_characters(s)) {
      if (most < 0 || done++ < most) out.put(to);
      out.put(c);
    }
    if (most < 0 || done < most) out.put(to);
    return out.value();
  }
  size_t at = 0;
  for (int64_t done = 0; most < 0 || done < most; ++done) {
    const size_t found = s.find(from, at);
    if (found == std::string_view::npos) break;
    out.put(s.substr(at, found - at));
    out.put(to);
    at = found + from.size();
  }
  if (at == 0) return Value::borrowed(s);
  out.put(s.substr(at));
  return out.value();
}

}  // namespace cria::jinja
