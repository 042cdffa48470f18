// scanner.h - walking over code points and their classes; the common part of the splitters.
#pragma once

#include "text/tokenizer/splitter.h"
#include "text/tokenizer/unicode.h"

namespace cria::text {

// A code point of the range; past the end it has no class and length 0.
struct Char {
  uint32_t value = kInvalidCodePoint + 1;
  uint32_t next = 0;
  uint8_t kind = 0;
  bool exists = false;

  bool is(int classes) const { return (kind & classes) != 0; }
  bool newline() const { return value == '\n' || value == '\r'; }
  bool other() const { return exists && !is(kSpace | kLetter | kNumber); }  // [^\s\p{L}\p{N}]
};

class Scanner {
 public:
  Scanner(std::string_view text, Range range)
      : text_(text.substr(0, range.end)), table_(UnicodeTable::get()) {}

  Char at(uint32_t position) const {
    if (position >= text_.size()) return {.next = position};
    const CodePoint c = decode_utf8(text_, position);
    return {c.value, position + c.length, table_[c.value], true};
  }
  uint32_t end() const { return static_cast<uint32_t>(text_.size()); }

  // End of the run of characters of these classes.
  uint32_t run(uint32_t from, int classes) const {
    Char c = at(from);
    for (; c.is(classes); c = at(from)) from = c.next;
    return from;
  }
  uint32_t run(uint32_t from, int classes, uint32_t most) const {
    Char c = at(from);
    for (; most > 0 && c.is(classes); c = at(from), --most) from = c.next;
    return from;
  }
  template <class Predicate>
  uint32_t run_while(uint32_t from, Predicate&& predicate) const {
    for (Char c = at(from); c.exists && predicate(c); c = at(from)) from = c.next;
    return from;
  }

  // \s*[\r\n]+|\s+(?!\S)|\s+ : `from` itself when no white space stands there.
  uint32_t white_space(uint32_t from, bool break_after_newlines) const {
    uint32_t after_newline = from, last = from, position = from;
    for (Char c = at(from); c.is(kSpace); c = at(position)) {
      last = position;
      position = c.next;
      if (c.newline()) after_newline = position;
    }
    if (break_after_newlines && after_newline > from) return after_newline;
    // Before a word the last space belongs to the word, unless it is the only one.
    return position == end() || last == from ? position : last;
  }

  // '(s|t|re|ve|m|ll|d) : end of the contraction, or `from`.
  uint32_t contraction(uint32_t from, bool any_case) const;

 private:
  std::string_view text_;
  const UnicodeTable& table_;
};

// Calls next(position) over the range; it returns the end of the match there, or the position
// itself when nothing matches, which makes the character part of a gap.
template <class Next>
void split_with(const Scanner& scanner, Range range, Ends& ends, Next&& next) {
  uint32_t position = range.begin, gap = range.begin;
  while (position < range.end) {
    const uint32_t match = next(position);
    if (match == position) {
      position = scanner.at(position).next;
      continue;
    }
    if (gap < position) ends.push_back(position);
    ends.push_back(match);
    gap = position = match;
  }
  if (gap < range.end) ends.push_back(range.end);
}

}  // namespace cria::text
