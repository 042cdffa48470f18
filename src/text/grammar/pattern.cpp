#include "text/grammar/pattern.h"

#include "base/error.h"
#include "base/utf8.h"

#include <algorithm>
#include <array>
#include <optional>
#include <string>

namespace cria::grammar {
namespace {

constexpr size_t kMostBytes = 64 << 10;
constexpr int kMostDepth = 100;
constexpr int32_t kMostCount = 100'000;

const CodeRanges kDigits = {{'0', '9'}};
const CodeRanges kWordCharacters = {{'0', '9'}, {'A', 'Z'}, {'_', '_'}, {'a', 'z'}};
const CodeRanges kSpaces = {{'\t', '\r'},     {' ', ' '},       {0xA0, 0xA0},     {0x1680, 0x1680},
                            {0x2000, 0x200A}, {0x2028, 0x2029}, {0x202F, 0x202F}, {0x205F, 0x205F},
                            {0x3000, 0x3000}, {0xFEFF, 0xFEFF}};
const CodeRanges kLineEnds = {{'\n', '\n'}, {'\r', '\r'}, {0x2028, 0x2029}};

class Parser {
 public:
  Parser(Expressions& to, std::string_view text, Match match, Spelling spelling)
      : to_(to), text_(text), match_(match), spelling_(spelling) {
    any_text_ = to.repeat(character(to, complement({}), spelling), 0, kNoLimit);
  }

  Expr parse() {
    if (text_.size() > kMostBytes)
      fail(ErrorKind::kTooLarge, "a pattern of {} bytes; at most {} are allowed", text_.size(),
           kMostBytes);
    const Expr out = alternatives(0);
    if (!at_end()) wrong("there is no group that this ) closes");
    return out;
  }

 private:
  bool at_end() const { return at_ == text_.size(); }
  char peek() const { return at_end() ? '\0' : text_[at_]; }
  bool take(char c) {
    if (at_end() || text_[at_] != c) return false;
    ++at_;
    return true;
  }
  [[noreturn]] void wrong(std::string_view why) const {
    fail(ErrorKind::kInvalidInput, "the pattern is wrong at byte {}: {}", at_, why);
  }
  [[noreturn]] void unsupported(std::string_view what) const {
    fail(ErrorKind::kUnsupported, "{} at byte {} of a pattern is not supported", what, at_);
  }

  Expr alternatives(int depth) {
    if (depth > kMostDepth)
      fail(ErrorKind::kTooLarge, "a pattern with groups more than {} deep", kMostDepth);
    std::vector<Expr> parts;
    do parts.push_back(alternative(depth));
    while (take('|'));
    return to_.choice(parts);
  }

  Expr alternative(int depth) {
    std::vector<Expr> parts;
    const bool outermost = depth == 0;
    const bool begins = outermost && take('^');
    bool ends = false;
    while (!at_end() && peek() != '|' && peek() != ')') {
      if (ends) unsupported("$ before the end of an alternative");
      if (outermost && take('$'))
        ends = true;
      else
        parts.push_back(repeated(depth));
    }
    const bool anywhere = outermost && match_ == Match::kAnywhere;
    if (anywhere && !begins) parts.insert(parts.begin(), any_text_);
    if (anywhere && !ends) parts.push_back(any_text_);
    return to_.sequence(parts);
  }

  Expr repeated(int depth) {
    Expr out = atom(depth);
    for (int count = 0; !at_end(); ++count) {
      const size_t start = at_;
      std::optional<std::array<int32_t, 2>> counts = quantifier();
      if (!counts) break;
      if (count > 0) {
        at_ = start;
        wrong("nothing to repeat");
      }
      out = to_.repeat(out, (*counts)[0], (*counts)[1]);
      take('?');  // lazy: the same texts
    }
    return out;
  }

  std::optional<std::array<int32_t, 2>> quantifier() {
    if (take('*')) return {{0, kNoLimit}};
    if (take('+')) return {{1, kNoLimit}};
    if (take('?')) return {{0, 1}};
    if (!take('{')) return std::nullopt;
    const int32_t min = number();
    int32_t max = min;
    if (take(',')) max = peek() == '}' ? kNoLimit : number();
    if (!take('}')) wrong("expected } behind the counts; a { itself is written \\{");
    if (min > max) wrong("the counts are in the wrong order");
    return {{min, max}};
  }

  int32_t number() {
    if (peek() < '0' || peek() > '9') wrong("expected a count; a { itself is written \\{");
    int32_t out = 0;
    while (peek() >= '0' && peek() <= '9') {
      out = out * 10 + (text_[at_++] - '0');
      if (out > kMostCount) fail(ErrorKind::kTooLarge, "a count above {} in a pattern", kMostCount);
    }
    return out;
  }

  Expr atom(int depth) {
    if (take('(')) return bracketed(depth);
    if (take('[')) return character(to_, char_class(), spelling_);
    if (take('.')) return character(to_, complement(kLineEnds), spelling_);
    if (take('\\')) return character(to_, escape(false), spelling_);
    const char c = peek();
    if (c == '^' || c == '$') unsupported(c == '^' ? "^ inside" : "$ inside");
    if (std::string_view("*+?{").find(c) != std::string_view::npos) wrong("nothing to repeat");
    if (c == '}' || c == ']') wrong("a bracket that closes nothing; itself it is written with \\");
    const uint32_t code = next_character();
    return character(to_, {{code, code}}, spelling_);
  }

  Expr bracketed(int depth) {
    if (take('?')) {
      if (take('<')) {
        if (peek() == '=' || peek() == '!') unsupported("look-behind");
        while (!at_end() && peek() != '>') ++at_;
        if (!take('>')) wrong("the name of a group has no end");
      } else if (!take(':')) {
        unsupported("look-ahead or another (? form");
      }
    }
    const Expr out = alternatives(depth + 1);
    if (!take(')')) wrong("a group is not closed");
    return out;
  }

  uint32_t next_character() {
    const CodePoint code = decode_utf8(text_, at_);
    if (code.value == kInvalidCodePoint) wrong("no valid UTF-8");
    at_ += code.length;
    return code.value;
  }

  CodeRanges char_class() {
    const bool negated = take('^');
    CodeRanges out;
    while (!take(']')) {
      const CodeRanges first = class_member();
      if (peek() == '-' && at_ + 1 < text_.size() && text_[at_ + 1] != ']') {
        ++at_;
        const CodeRanges last = class_member();
        if (first.size() != 1 || last.size() != 1 || first[0].first != first[0].last ||
            last[0].first != last[0].last || first[0].first > last[0].first)
          wrong("no range of characters");
        out.push_back({first[0].first, last[0].first});
      } else {
        out.insert(out.end(), first.begin(), first.end());
      }
    }
    return negated ? complement(std::move(out)) : out;
  }

  CodeRanges class_member() {
    if (at_end()) wrong("a class is not closed");
    if (take('\\')) return escape(true);
    const uint32_t code = next_character();
    return {{code, code}};
  }

  CodeRanges escape(bool in_class) {
    if (at_end()) wrong("a \\ at the end");
    const char c = text_[at_++];
    switch (c) {
      case 'd':
        return kDigits;
      case 'D':
        return complement(kDigits);
      case 'w':
        return kWordCharacters;
      case 'W':
        return complement(kWordCharacters);
      case 's':
        return kSpaces;
      case 'S':
        return complement(kSpaces);
      default:
        break;
    }
    const uint32_t code = escaped_character(c, in_class);
    return {{code, code}};
  }

  uint32_t escaped_character(char c, bool in_class) {
    switch (c) {
      case 't':
        return '\t';
      case 'n':
        return '\n';
      case 'r':
        return '\r';
      case 'f':
        return '\f';
      case 'v':
        return '\v';
      case '0':
        if (peek() < '0' || peek() > '9') return 0;
        break;
      case 'x':
        return hexadecimal(2);
      case 'u':
        return unicode();
      case 'b':
        if (in_class) return '\b';
        break;
      case 'c':
        if ((peek() | 0x20) >= 'a' && (peek() | 0x20) <= 'z')
          return static_cast<uint32_t>(text_[at_++]) % 32;
        wrong("\\c needs a letter");
      default:
        break;
    }
    const auto byte = static_cast<uint8_t>(c);
    const bool letter =
        (byte >= '0' && byte <= '9') || ((byte | 0x20) >= 'a' && (byte | 0x20) <= 'z');
    if (letter || byte >= 0x80) unsupported("the escape \\" + std::string(1, c < 0 ? '?' : c));
    return byte;
  }

  uint32_t unicode() {
    if (take('{')) {
      uint32_t code = 0;
      const size_t start = at_;
      while (at_ - start < 6 && peek() != '}' && !at_end()) code = code * 16 + hexadecimal(1);
      if (at_ == start || !take('}') || code > kLastCodePoint) wrong("no character");
      return code;
    }
    const uint32_t high = hexadecimal(4);
    if (high < 0xD800 || high > 0xDBFF || !text_.substr(at_).starts_with("\\u")) return high;
    at_ += 2;
    const uint32_t low = hexadecimal(4);
    if (low < 0xDC00 || low > 0xDFFF) wrong("half of a surrogate pair");
    return 0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00);
  }

  uint32_t hexadecimal(int digits) {
    const std::optional<uint32_t> out = read_hexadecimal(text_, at_, digits);
    if (!out) wrong("expected a hexadecimal digit");
    return *out;
  }

  Expressions& to_;
  std::string_view text_;
  Match match_;
  Spelling spelling_;
  Expr any_text_ = kNothing;
  size_t at_ = 0;
};

}  // namespace

Expr compile_pattern(Expressions& to, std::string_view pattern, Match match, Spelling spelling) {
  return Parser(to, pattern, match, spelling).parse();
}

}  // namespace cria::grammar
