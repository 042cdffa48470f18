#include "text/jinja/strings.h"

#include "text/tokenizer/normalize.h"
#include "text/tokenizer/unicode.h"

#include <algorithm>

namespace cria::jinja {

namespace {

uint8_t classes(uint32_t c) {
  return text::UnicodeTable::get()[std::min(c, kInvalidCodePoint)];
}

bool ascii_space(char c) {
  return c == ' ' || (c >= '\t' && c <= '\r') || (c >= '\x1c' && c <= '\x1f');
}

// Where the last character of `s` begins.
size_t last_character(std::string_view s) {
  size_t at = s.size() - 1;
  while (at > 0 && s.size() - at < 4 && (s[at] & 0xc0) == 0x80) --at;
  return at + decode_utf8(s, at).length == s.size() ? at : s.size() - 1;
}

template <class Each>
void each_character(std::string_view s, Each&& each) {
  for (size_t at = 0; at < s.size();) {
    const CodePoint c = decode_utf8(s, at);
    each(c.value, s.substr(at, c.length));
    at += c.length;
  }
}

// Every character through `change`, which knows whether the one before it was a letter.
template <class Change>
std::string mapped(std::string_view s, Change&& change) {
  std::string out;
  out.reserve(s.size());
  bool after_letter = false;
  each_character(s, [&](uint32_t c, std::string_view bytes) {
    const bool cased = (classes(c) & (text::kUpper | text::kLower)) != 0;
    if (cased)
      change(out, c, after_letter);
    else
      out += bytes;
    after_letter = cased;
  });
  return out;
}

void append_upper(std::string& out, uint32_t c) {
  if (c == 0xdf)
    out += "SS";  // the one common letter whose capital is two
  else
    append_utf8(out, text::to_upper(c));
}

void append_lower(std::string& out, uint32_t c) {
  append_utf8(out, text::to_lower(c));
}

size_t first_space(std::string_view s) {
  size_t at = 0;
  while (at < s.size()) {
    const CodePoint c = decode_utf8(s, at);
    if (is_space(c.value)) break;
    at += c.length;
  }
  return at;
}

size_t behind_last_space(std::string_view s) {
  while (!s.empty()) {
    const size_t at = last_character(s);
    if (is_space(decode_utf8(s, at).value)) break;
    s = s.substr(0, at);
  }
  return s.size();
}

bool cased_as(std::string_view s, uint8_t wanted, uint8_t refused) {
  bool found = false, wrong = false;
  each_character(s, [&](uint32_t c, std::string_view) {
    found = found || (classes(c) & wanted) != 0;
    wrong = wrong || (classes(c) & refused) != 0;
  });
  return found && !wrong;
}

}  // namespace

int64_t character_count(std::string_view s) {
  int64_t count = 0;
  for (size_t at = 0; at < s.size(); ++count) at += decode_utf8(s, at).length;
  return count;
}

std::string_view characters(std::string_view s, int64_t begin, int64_t end) {
  size_t at = 0;
  int64_t i = 0;
  for (; i < begin && at < s.size(); ++i) at += decode_utf8(s, at).length;
  const size_t first = at;
  for (; i < end && at < s.size(); ++i) at += decode_utf8(s, at).length;
  return s.substr(first, at - first);
}

std::string_view character_at(std::string_view s, int64_t index) {
  if (index < 0) index += character_count(s);
  return index < 0 ? std::string_view()
                   : characters(s, index, index < INT64_MAX ? index + 1 : index);
}

std::vector<std::string_view> split_characters(std::string_view s) {
  std::vector<std::string_view> all;
  all.reserve(s.size());
  each_character(s, [&](uint32_t, std::string_view bytes) { all.push_back(bytes); });
  return all;
}

bool is_space(uint32_t c) {
  return (classes(c) & text::kSpace) != 0 || (c >= 0x1c && c <= 0x1f);
}

std::string_view left_stripped(std::string_view s) {
  while (!s.empty()) {
    const CodePoint c = decode_utf8(s, 0);
    if (c.length == 1 ? !ascii_space(s[0]) : !is_space(c.value)) break;
    s.remove_prefix(c.length);
  }
  return s;
}

std::string_view right_stripped(std::string_view s) {
  while (!s.empty()) {
    const size_t at = last_character(s);
    if (!is_space(decode_utf8(s, at).value)) break;
    s = s.substr(0, at);
  }
  return s;
}

std::string_view stripped(std::string_view s, std::string_view set, bool left, bool right) {
  const std::vector<std::string_view> wanted = split_characters(set);
  const auto in_set = [&](std::string_view c) {
    return std::ranges::find(wanted, c) != wanted.end();
  };
  while (left && !s.empty()) {
    const std::string_view first = s.substr(0, decode_utf8(s, 0).length);
    if (!in_set(first)) break;
    s.remove_prefix(first.size());
  }
  while (right && !s.empty()) {
    const std::string_view last = s.substr(last_character(s));
    if (!in_set(last)) break;
    s.remove_suffix(last.size());
  }
  return s;
}

std::string upper(std::string_view s) {
  return mapped(s, [](std::string& out, uint32_t c, bool) { append_upper(out, c); });
}

std::string lower(std::string_view s) {
  return mapped(s, [](std::string& out, uint32_t c, bool) { append_lower(out, c); });
}

std::string capitalized(std::string_view s) {
  if (s.empty()) return {};
  const CodePoint first = decode_utf8(s, 0);
  std::string out = titled(s.substr(0, first.length));
  return out + lower(s.substr(first.length));
}

std::string titled(std::string_view s) {
  return mapped(s, [](std::string& out, uint32_t c, bool after_letter) {
    if (after_letter)
      append_lower(out, c);
    else if (c == 0xdf)
      out += "Ss";
    else
      append_utf8(out, text::to_title(c));
  });
}

std::string swapped(std::string_view s) {
  return mapped(s, [](std::string& out, uint32_t c, bool) {
    if ((classes(c) & text::kUpper) != 0)
      append_lower(out, c);
    else
      append_upper(out, c);
  });
}

bool all_characters(std::string_view s, bool (*test)(uint32_t code_point)) {
  bool all = !s.empty();
  each_character(s, [&](uint32_t c, std::string_view) { all = all && test(c); });
  return all;
}

bool is_letter(uint32_t c) {
  return (classes(c) & text::kLetter) != 0;
}

bool is_digit(uint32_t c) {
  return text::is_decimal_digit(c);
}

bool is_upper(std::string_view s) {
  return cased_as(s, text::kUpper, text::kLower);
}

bool is_lower(std::string_view s) {
  return cased_as(s, text::kLower, text::kUpper);
}

std::vector<std::string_view> split(std::string_view s, int64_t most) {
  std::vector<std::string_view> parts;
  for (s = left_stripped(s); !s.empty(); s = left_stripped(s)) {
    if (std::ssize(parts) == most) {
      parts.push_back(s);
      break;
    }
    const size_t end = first_space(s);
    parts.push_back(s.substr(0, end));
    s.remove_prefix(end);
  }
  return parts;
}

std::vector<std::string_view> split(std::string_view s, std::string_view separator, int64_t most) {
  std::vector<std::string_view> parts;
  size_t at = s.find(separator);
  while (at != std::string_view::npos && std::ssize(parts) != most) {
    parts.push_back(s.substr(0, at));
    s.remove_prefix(at + separator.size());
    at = s.find(separator);
  }
  parts.push_back(s);
  return parts;
}

std::vector<std::string_view> split_right(std::string_view s, int64_t most) {
  std::vector<std::string_view> parts;
  for (s = right_stripped(s); !s.empty(); s = right_stripped(s)) {
    if (std::ssize(parts) == most) {
      parts.push_back(s);
      break;
    }
    const size_t begin = behind_last_space(s);
    parts.push_back(s.substr(begin));
    s = s.substr(0, begin);
  }
  std::ranges::reverse(parts);
  return parts;
}

std::vector<std::string_view> split_right(std::string_view s, std::string_view separator,
                                          int64_t most) {
  std::vector<std::string_view> parts;
  size_t at = s.rfind(separator);
  while (at != std::string_view::npos && std::ssize(parts) != most) {
    parts.push_back(s.substr(at + separator.size()));
    s = s.substr(0, at);
    at = s.rfind(separator);
  }
  parts.push_back(s);
  std::ranges::reverse(parts);
  return parts;
}

std::vector<std::string_view> split_lines(std::string_view s, bool keep_ends) {
  std::vector<std::string_view> lines;
  size_t begin = 0;
  for (size_t at = 0; at < s.size();) {
    const CodePoint c = decode_utf8(s, at);
    const bool ends = (c.value >= 0x0a && c.value <= 0x0d) ||
                      (c.value >= 0x1c && c.value <= 0x1e) || c.value == 0x85 ||
                      c.value == 0x2028 || c.value == 0x2029;
    size_t next = at + c.length;
    if (ends) {
      if (c.value == '\r' && next < s.size() && s[next] == '\n') ++next;
      lines.push_back(s.substr(begin, (keep_ends ? next : at) - begin));
      begin = next;
    }
    at = next;
  }
  if (begin < s.size()) lines.push_back(s.substr(begin));
  return lines;
}

}  // namespace cria::jinja
