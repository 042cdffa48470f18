#include "base/error.h"
#include "base/json.h"
#include "base/utf8.h"

#include <algorithm>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace cria {
namespace {

constexpr std::string_view kReplacement = "\xEF\xBF\xBD";

bool is_hex(char c) {
  const char lower = static_cast<char>(c | 0x20);
  return (c >= '0' && c <= '9') || (lower >= 'a' && lower <= 'f');
}

// The four digits of an escape \uXXXX that begins at `at`, if they are there.
std::optional<unsigned> escape_at(std::string_view text, size_t at) {
  if (at + 6 > text.size() || text[at] != '\\' || text[at + 1] != 'u') return std::nullopt;
  unsigned value = 0;
  for (const char c : text.substr(at + 2, 4)) {
    if (!is_hex(c)) return std::nullopt;
    value = value * 16 + static_cast<unsigned>(c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10);
  }
  return value;
}

bool is_high(unsigned unit) {
  return unit >= 0xD800 && unit < 0xDC00;
}
bool is_low(unsigned unit) {
  return unit >= 0xDC00 && unit < 0xE000;
}

// Walks over the text once, before the library sees it, for what the library does otherwise than
// Go: nesting beyond the limit is refused (the library's values recurse on destruction), broken
// UTF-8 and lone surrogates are replaced. `mended` stays empty when nothing had to be.
class Scan {
 public:
  Scan(std::string_view text, int max_depth) : text_(text), max_depth_(max_depth) {}

  std::optional<std::string> run() {
    while (at_ < text_.size()) {
      if (in_string_)
        string_byte();
      else
        outer_byte();
    }
    if (copied_ == 0) return std::nullopt;
    mended_ += text_.substr(copied_);
    return std::move(mended_);
  }

 private:
  void outer_byte() {
    const char c = text_[at_++];
    if (c == '"') in_string_ = true;
    if (c == ']' || c == '}') --depth_;
    if ((c == '[' || c == '{') && ++depth_ > max_depth_)
      fail(ErrorKind::kInvalidInput, "JSON is nested deeper than {} levels", max_depth_);
  }

  void string_byte() {
    const char c = text_[at_];
    if (c == '"') {
      in_string_ = false;
      ++at_;
    } else if (c == '\\') {
      escape();
    } else if (static_cast<unsigned char>(c) < 0x80) {
      ++at_;
    } else if (const CodePoint point = decode_utf8(text_, at_); point.value != kInvalidCodePoint) {
      at_ += point.length;
    } else {
      replace(1);
    }
  }

  void escape() {
    const auto unit = escape_at(text_, at_);
    if (!unit || !(is_high(*unit) || is_low(*unit))) {
      at_ = std::min(at_ + 2, text_.size());
      return;
    }
    const auto next = escape_at(text_, at_ + 6);
    if (is_high(*unit) && next && is_low(*next))
      at_ += 12;
    else
      replace(6);
  }

  void replace(size_t bytes) {
    mended_ += text_.substr(copied_, at_ - copied_);
    mended_ += kReplacement;
    at_ += bytes;
    copied_ = at_;
  }

  std::string_view text_;
  int max_depth_;
  size_t at_ = 0, copied_ = 0;
  int depth_ = 0;
  bool in_string_ = false;
  std::string mended_;
};

// Builds the value from the library's events. The library's own builder looks for a key among all
// that an object has so far, so that an object of n keys takes n² steps.
class Builder {
 public:
  Json take() { return std::move(root_); }

  bool null() { return add(nullptr); }
  bool boolean(bool value) { return add(value); }
  bool number_integer(int64_t value) { return add(value); }
  bool number_unsigned(uint64_t value) { return add(value); }
  bool number_float(double value, const std::string&) { return add(value); }
  bool string(std::string& value) { return add(std::move(value)); }
  bool binary(Json::binary_t&) { return false; }  // not in text

  bool start_object(size_t) { return open(Json::object()); }
  bool start_array(size_t) { return open(Json::array()); }
  bool end_object() { return close(); }
  bool end_array() { return close(); }

  bool key(std::string& name) {
    Open& object = open_.back();
    auto& members = members_of(object);
    if (object.index.empty() && members.size() < kIndexFrom) {
      for (size_t i = 0; i < members.size(); ++i)
        if (members[i].first == name) return at_member(i);
    } else {
      if (object.index.empty())
        for (size_t i = 0; i < members.size(); ++i) object.index.emplace(members[i].first, i);
      const auto [found, is_new] = object.index.emplace(name, members.size());
      if (!is_new) return at_member(found->second);
    }
    members.emplace_back(std::move(name), nullptr);
    return at_member(members.size() - 1);
  }

  // The caller explains it.
  bool parse_error(size_t, const std::string&, const Json::exception&) { return false; }

 private:
  static constexpr size_t kIndexFrom = 32;  // below, looking through the keys is faster

  struct Open {
    Json* value;
    size_t member = 0;                    // of an object: which the next value is for
    std::map<std::string, size_t> index;  // a tree: no stranger chooses keys that collide
  };

  // As the vector that it is: the map's own emplace_back and [] would search.
  static Json::object_t::Container& members_of(const Open& object) {
    return object.value->get_ref<Json::object_t&>();
  }

  bool at_member(size_t i) {
    open_.back().member = i;
    return true;
  }

  Json* put(Json value) {
    if (open_.empty()) {
      root_ = std::move(value);
      return &root_;
    }
    Open& parent = open_.back();
    if (parent.value->is_array()) {
      parent.value->get_ref<Json::array_t&>().push_back(std::move(value));
      return &parent.value->back();
    }
    Json& place = members_of(parent)[parent.member].second;
    place = std::move(value);
    return &place;
  }

  bool add(Json value) {
    put(std::move(value));
    return true;
  }

  bool open(Json value) {
    open_.push_back({.value = put(std::move(value)), .index = {}});
    return true;
  }

  bool close() {
    open_.pop_back();
    return true;
  }

  Json root_;
  std::vector<Open> open_;
};

// Says, in the words of Go's encoding/json, why a text is no JSON: a second look at a text that the
// library has refused, so that only the error depends on it.
class Explanation {
 public:
  explicit Explanation(std::string_view text) : text_(text) {}

  [[noreturn]] void fail_with_reason() {
    value();
    spaces();
    if (at_ < text_.size()) refuse("after top-level value");
    // All of it is JSON; what the library refuses beyond that is a number that no double holds.
    fail(ErrorKind::kInvalidInput, "json: a number is out of range");
  }

 private:
  [[noreturn]] void refuse(std::string_view where) const {
    if (at_ >= text_.size()) fail(ErrorKind::kInvalidInput, "unexpected EOF");
    const auto c = static_cast<unsigned char>(text_[at_]);
    std::string shown(1, text_[at_]);
    if (c == '\'')
      shown = "\\'";
    else if (c == '\n' || c == '\r' || c == '\t')
      shown = c == '\n' ? "\\n" : c == '\r' ? "\\r" : "\\t";
    else if (c < ' ' || (c >= 127 && c < 0xA0))
      shown = fmt::format("\\x{:02x}", c);
    else if (c >= 0x80)  // Go names the Latin-1 character of the byte
      append_utf8(shown = std::string(), c);
    fail(ErrorKind::kInvalidInput, "invalid character '{}' {}", shown, where);
  }

  bool is(char c) const { return at_ < text_.size() && text_[at_] == c; }
  bool is_digit() const { return at_ < text_.size() && text_[at_] >= '0' && text_[at_] <= '9'; }
  void spaces() {
    while (is(' ') || is('\t') || is('\n') || is('\r')) ++at_;
  }

  void value() {  // recursion: no deeper than Scan has let pass
    spaces();
    if (is('{')) return object();
    if (is('[')) return array();
    if (is('"')) return string();
    if (is('t')) return literal("true");
    if (is('f')) return literal("false");
    if (is('n')) return literal("null");
    if (is('-') || is_digit()) return number();
    refuse("looking for beginning of value");
  }

  void literal(std::string_view word) {
    for (const char c : word) {
      if (!is(c)) refuse(fmt::format("in literal {} (expecting '{}')", word, c));
      ++at_;
    }
  }

  void digits(std::string_view where) {
    if (!is_digit()) refuse(where);
    while (is_digit()) ++at_;
  }

  void number() {
    if (is('-')) ++at_;
    if (is('0'))
      ++at_;
    else
      digits("in numeric literal");
    if (is('.')) {
      ++at_;
      digits("after decimal point in numeric literal");
    }
    if (is('e') || is('E')) {
      ++at_;
      if (is('+') || is('-')) ++at_;
      digits("in exponent of numeric literal");
    }
  }

  void string() {
    for (++at_; !is('"'); ++at_) {
      if (at_ >= text_.size() || static_cast<unsigned char>(text_[at_]) < ' ')
        refuse("in string literal");
      if (!is('\\')) continue;
      ++at_;
      if (at_ >= text_.size() ||
          std::string_view("\"\\/bfnrtu").find(text_[at_]) == std::string_view::npos)
        refuse("in string escape code");
      if (!is('u')) continue;
      for (int i = 0; i < 4; ++i) {
        ++at_;
        if (at_ >= text_.size() || !is_hex(text_[at_]))
          refuse("in \\u hexadecimal character escape");
      }
    }
    ++at_;
  }

  void array() {
    ++at_;
    spaces();
    if (is(']')) return void(++at_);
    for (;; ++at_) {
      value();
      spaces();
      if (is(']')) return void(++at_);
      if (!is(',')) refuse("after array element");
    }
  }

  void object() {
    ++at_;
    spaces();
    if (is('}')) return void(++at_);
    for (;; ++at_) {
      spaces();
      if (!is('"')) refuse("looking for beginning of object key string");
      string();
      spaces();
      if (!is(':')) refuse("after object key");
      ++at_;
      value();
      spaces();
      if (is('}')) return void(++at_);
      if (!is(',')) refuse("after object key:value pair");
    }
  }

  std::string_view text_;
  size_t at_ = 0;
};

}  // namespace

Json parse_json(std::string_view text, const JsonLimits& limits) {
  if (text.size() > limits.max_bytes)
    fail(ErrorKind::kTooLarge, "JSON of {} bytes is over the limit of {}", text.size(),
         limits.max_bytes);
  const std::optional<std::string> mended = Scan(text, limits.max_depth).run();
  if (mended) text = *mended;
  Builder builder;
  if (!Json::sax_parse(text, &builder)) Explanation(text).fail_with_reason();
  return builder.take();
}

}  // namespace cria
