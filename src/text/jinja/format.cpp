#include "text/jinja/format.h"

#include "text/jinja/operators.h"
#include "text/jinja/sort.h"
#include "text/template/format.h"
#include "text/tokenizer/unicode.h"

#include <algorithm>
#include <charconv>
#include <cmath>

namespace cria::jinja {

namespace {

constexpr int kMaxDepth = 200;  // of values inside values

void print_quoted(Text& out, std::string_view s) {
  const bool has_single = s.find('\'') != std::string_view::npos;
  const char quote = has_single && s.find('"') == std::string_view::npos ? '"' : '\'';
  std::string text(1, quote);
  for (size_t at = 0; at < s.size();) {
    const CodePoint c = decode_utf8(s, at);
    const std::string_view bytes = s.substr(at, c.length);
    at += c.length;
    if (c.value == '\\' || c.value == static_cast<uint32_t>(quote))
      (text += '\\') += bytes;
    else if (c.value == '\n')
      text += "\\n";
    else if (c.value == '\r')
      text += "\\r";
    else if (c.value == '\t')
      text += "\\t";
    else if (!text::is_printable(c.value))
      text += c.value < 0x100     ? fmt::format("\\x{:02x}", c.value)
              : c.value < 0x10000 ? fmt::format("\\u{:04x}", c.value)
                                  : fmt::format("\\U{:08x}", c.value);
    else
      text += bytes;
  }
  out.put(text + quote);
}

void print_at(Text& out, const Value& v, int& depth);

void print_items(Text& out, const std::vector<Value>& items, int& depth) {
  for (size_t i = 0; i < items.size(); ++i) {
    if (i > 0) out.put(", ");
    print_at(out, items[i], depth);
  }
}

void print_range(Text& out, const std::array<int64_t, 3>& range) {
  const auto [start, stop, step] = range;
  out.put(fmt::format("range({}, {}", start, stop));
  out.put(step == 1 ? ")" : fmt::format(", {})", step));
}

void print_list(Text& out, const Value& v, int& depth) {
  const std::vector<Value>& items = v.as_list().items;
  switch (v.sequence()) {
    case Sequence::kRange:
      print_range(out, v.as_list().range);
      return;
    case Sequence::kTuple:
    case Sequence::kGroup:
      out.put("(");
      print_items(out, items, depth);
      out.put(items.size() == 1 ? ",)" : ")");
      return;
    case Sequence::kList:
      out.put("[");
      print_items(out, items, depth);
      out.put("]");
      return;
    default:
      out.put(v.type_name());
      out.put("([");
      print_items(out, items, depth);
      out.put("])");
  }
}

void print_dict(Text& out, const Dict& dict, int& depth) {
  out.put("{");
  bool first = true;
  for (const auto& [key, value] : dict.items) {
    if (!std::exchange(first, false)) out.put(", ");
    print_at(out, key, depth);
    out.put(": ");
    print_at(out, value, depth);
  }
  out.put("}");
}

// repr(v).
void print_at(Text& out, const Value& v, int& depth) {
  Runtime& rt = out.runtime();
  const Deeper deeper(rt, depth, kMaxDepth);
  rt.step();
  switch (v.kind()) {
    case Kind::kMissing:
      return;
    case Kind::kUndefined:
      return out.put("Undefined");
    case Kind::kNone:
      return out.put("None");
    case Kind::kBool:
      return out.put(v.as_bool() ? "True" : "False");
    case Kind::kInt:
      return out.put(std::to_string(v.as_int()));
    case Kind::kFloat:
      return out.put(float_text(v.as_float()));
    case Kind::kString:
      return print_quoted(out, v.as_text());
    case Kind::kList:
      return print_list(out, v, depth);
    case Kind::kDict:
      return print_dict(out, v.as_dict(), depth);
    case Kind::kNamespace:
      out.put("<Namespace ");
      print_dict(out, v.as_dict(), depth);
      return out.put(">");
    case Kind::kIterator:
      return out.put("<generator object>");
    case Kind::kFunction:
      return out.put(fmt::format("<function {}>", v.as_function().name));
    case Kind::kLoop:
      return out.put(fmt::format("<LoopContext {}/{}>", v.as_loop().index + 1, v.as_loop().count));
  }
}

void print_json_string(Text& out, std::string_view s, bool ascii) {
  std::string text = "\"";
  for (size_t at = 0; at < s.size();) {
    const CodePoint c = decode_utf8(s, at);
    const std::string_view bytes = s.substr(at, c.length);
    constexpr std::string_view kNamed = "\b\t\n\f\r\"\\", kLetters = "btnfr\"\\";
    const size_t named = c.length == 1 ? kNamed.find(bytes) : std::string_view::npos;
    if (named != std::string_view::npos)
      (text += '\\') += kLetters[named];
    else if (c.value < 0x20 || (ascii && c.value >= 0x80 && c.value < 0x10000))
      text += fmt::format("\\u{:04x}", c.value);
    else if (ascii && c.value >= 0x10000 && c.value < 0x110000)
      text +=
          fmt::format("\\u{:04x}\\u{:04x}", 0xd7c0 + (c.value >> 10), 0xdc00 + (c.value & 0x3ff));
    else
      text += bytes;
    at += c.length;
  }
  out.put(text + '"');
}

class JsonPrinter {
 public:
  JsonPrinter(Text& out, const JsonStyle& style) : out_(out), style_(style) {}

  void value(const Value& v) {
    Runtime& rt = out_.runtime();
    const Deeper deeper(rt, depth_, kMaxDepth);
    rt.step();
    switch (v.kind()) {
      case Kind::kNone:
        return out_.put("null");
      case Kind::kBool:
        return out_.put(v.as_bool() ? "true" : "false");
      case Kind::kInt:
        return out_.put(std::to_string(v.as_int()));
      case Kind::kFloat:
        return out_.put(number(v.as_float()));
      case Kind::kString:
        return print_json_string(out_, v.as_text(), style_.ascii);
      case Kind::kDict:
        return object(v.as_dict());
      case Kind::kList:
        if (v.sequence() <= Sequence::kTuple || v.sequence() == Sequence::kGroup)
          return array(v.as_list());
        break;
      default:
        break;
    }
    rt.error("{} has no form in JSON", v.type_name());
  }

 private:
  static std::string number(double d) {
    if (std::isnan(d)) return "NaN";
    if (std::isinf(d)) return d < 0 ? "-Infinity" : "Infinity";
    return float_text(d);
  }

  void break_line(int levels) {
    if (!style_.multiline) return;
    out_.put("\n");
    for (int i = 0; i < levels; ++i) out_.put(style_.indent);
  }

  // Opens, writes each of `count` items by `each(i)`, closes.
  template <class Each>
  void items(std::string_view brackets, size_t count, Each&& each) {
    out_.put(brackets.substr(0, 1));
    for (size_t i = 0; i < count; ++i) {
      if (i > 0) out_.put(style_.item_separator);
      break_line(depth_);
      each(i);
    }
    if (count > 0) break_line(depth_ - 1);
    out_.put(brackets.substr(1));
  }

  void array(const List& list) {
    items("[]", list.items.size(), [&](size_t i) { value(list.items[i]); });
  }

  std::string key_text(const Value& key) {
    if (key.string()) return std::string(key.as_text());
    if (key.is(Kind::kNone)) return "null";
    if (key.is(Kind::kBool)) return key.as_bool() ? "true" : "false";
    if (key.is(Kind::kInt)) return std::to_string(key.as_int());
    if (key.is(Kind::kFloat)) return number(key.as_float());
    out_.runtime().error("{} cannot be a key in JSON", key.type_name());
  }

  void object(const Dict& dict) {
    std::vector<const std::pair<Value, Value>*> entries;
    out_.runtime().charge(dict.items.size() * sizeof(entries[0]));
    for (const auto& entry : dict.items) entries.push_back(&entry);
    if (style_.sort_keys)
      merge_sort(entries, [&](const auto* a, const auto* b) {
        return less(out_.runtime(), a->first, b->first);
      });
    items("{}", entries.size(), [&](size_t i) {
      print_json_string(out_, key_text(entries[i]->first), style_.ascii);
      out_.put(style_.key_separator);
      value(entries[i]->second);
    });
  }

  Text& out_;
  const JsonStyle& style_;
  int depth_ = 0;
};

}  // namespace

// Python's repr: the shortest digits that read back the same; an exponent below 1e-4 and from 1e16.
std::string float_text(double d) {
  if (std::isnan(d)) return "nan";
  if (std::isinf(d)) return d < 0 ? "-inf" : "inf";
  char digits[32];
  const double size = std::abs(d);
  const bool exponent = size != 0 && (size < 1e-4 || size >= 1e16);
  const auto format = exponent ? std::chars_format::scientific : std::chars_format::fixed;
  const auto [end, error] = std::to_chars(digits, digits + sizeof digits, d, format);
  std::string text(digits, error == std::errc() ? end : digits);
  if (!exponent && text.find('.') == std::string::npos) text += ".0";
  return text;
}

void print_exact(Text& out, const Value& v) {
  int depth = 0;
  print_at(out, v, depth);
}

void print(Text& out, const Value& v) {
  if (v.string())
    out.put(v.as_text());
  else if (!v.undefined())
    print_exact(out, v);
}

Value to_string(Runtime& rt, const Value& v) {
  if (v.string()) return v;
  Text out(rt);
  print(out, v);
  return out.value();
}

Value escaped(Runtime& rt, std::string_view s) {
  constexpr std::string_view kMarks = "&<>'\"";
  constexpr std::string_view kNames[] = {"&amp;", "&lt;", "&gt;", "&#39;", "&#34;"};
  Text out(rt);
  for (size_t at = 0; at < s.size();) {
    const size_t mark = std::min(s.find_first_of(kMarks, at), s.size());
    out.put(s.substr(at, mark - at));
    if (mark < s.size()) out.put(kNames[kMarks.find(s[mark])]);
    at = mark + 1;
  }
  return Value::markup(out.value().as_text());
}

void print_json(Text& out, const Value& v, const JsonStyle& style) {
  JsonPrinter(out, style).value(v);
}

}  // namespace cria::jinja
