#include "text/tokenizer/splitter.h"

#include "text/tokenizer/scanner.h"

#include <algorithm>

namespace cria::text {
namespace {

constexpr uint32_t kLongS = 0x17F;  // folds to "s"

bool ascii_letter(uint32_t c) {
  return (c | 32) >= 'a' && (c | 32) <= 'z' && c < 128;
}
bool ascii_punctuation(uint32_t c) {
  return c > 32 && c < 127 && !ascii_letter(c) && !(c >= '0' && c <= '9');
}

}  // namespace

uint32_t Scanner::contraction(uint32_t from, bool any_case) const {
  if (from >= text_.size() || text_[from] != '\'') return from;
  const auto fold = [&](const Char& c) -> uint32_t {
    if (!any_case || !c.exists) return c.value;
    return c.value == kLongS ? 's' : c.value >= 'A' && c.value <= 'Z' ? c.value | 32 : c.value;
  };
  const Char first = at(from + 1);
  switch (fold(first)) {
    case 's':
    case 't':
    case 'm':
    case 'd':
      return first.next;
    case 'r':
    case 'v':
    case 'l': {
      const Char second = at(first.next);
      const uint32_t want = fold(first) == 'l' ? 'l' : 'e';
      return fold(second) == want ? second.next : from;
    }
    default:
      return from;
  }
}

void split_words(std::string_view text, Range range, const WordRules& rules, Ends& ends) {
  const Scanner s(text, range);
  const int word = rules.marks_are_letters ? kLetter | kMark : int{kLetter};
  split_with(s, range, ends, [&](uint32_t at) -> uint32_t {
    const Char c = s.at(at);
    if (c.is(word)) return s.run(c.next, word);
    if (c.value == '\'')
      if (const uint32_t end = s.contraction(at, true); end != at) return end;
    if (c.is(kNumber)) return s.run(at, kNumber, rules.digits);
    const Char next = s.at(c.next);
    if (!c.newline() && next.is(word)) return s.run(next.next, word);
    const auto other = [&](const Char& x) { return x.other() && !x.is(word); };
    if (other(c) || (c.value == ' ' && other(next))) {
      const uint32_t end = s.run_while(c.next, other);
      if (!rules.newlines_after_punctuation) return end;
      return s.run_while(end, [](const Char& x) { return x.newline(); });
    }
    return s.white_space(at, true);
  });
}

void split_gpt2(std::string_view text, Range range, Ends& ends) {
  const Scanner s(text, range);
  split_with(s, range, ends, [&](uint32_t at) -> uint32_t {
    const Char c = s.at(at);
    if (c.value == '\'')
      if (const uint32_t end = s.contraction(at, false); end != at) return end;
    const Char body = c.value == ' ' ? s.at(c.next) : c;
    if (body.is(kLetter)) return s.run(body.next, kLetter);
    if (body.is(kNumber)) return s.run(body.next, kNumber);
    if (body.other()) return s.run_while(body.next, [](const Char& x) { return x.other(); });
    return s.white_space(at, false);
  });
}

namespace {

// The letter branches of TK and G4 from `at`, without contraction:
//   UL*LL+ | UL+LL*   UL = upper, other letters, marks; LL = lower, other letters, marks
// The first branch is tried with and without the leading character before the second one is.
class CaseWords {
 public:
  explicit CaseWords(const Scanner& scanner) : s_(scanner) {}

  uint32_t match(uint32_t at) const {
    const Char c = s_.at(at);
    const bool prefix = c.exists && !c.newline() && !c.is(kLetter | kNumber);
    for (auto branch : {&CaseWords::lower_ending, &CaseWords::upper_run}) {
      if (prefix)
        if (const uint32_t end = (this->*branch)(c.next); end != c.next) return end;
      if (c.is(kLetter | kMark))
        if (const uint32_t end = (this->*branch)(at); end != at) return end;
    }
    return at;
  }

 private:
  static constexpr int kEither = kOtherLetter | kMark;

  // UL*LL+: the run of UL gives back up to its last caseless character when no lower case follows.
  uint32_t lower_ending(uint32_t from) const {
    uint32_t position = from, after_either = from;
    for (Char c = s_.at(from); c.is(kUpper | kEither); c = s_.at(position)) {
      position = c.next;
      if (c.is(kEither)) after_either = position;
    }
    if (s_.at(position).is(kLower)) return s_.run(position, kLower | kEither);
    return after_either;
  }
  // UL+LL*, reached only when UL*LL+ failed: then nothing but upper case stands here.
  uint32_t upper_run(uint32_t from) const { return s_.run(from, kUpper); }

  const Scanner& s_;
};

}  // namespace

void split_cases(std::string_view text, Range range, const CaseRules& rules, Ends& ends) {
  const Scanner s(text, range);
  const CaseWords words(s);
  split_with(s, range, ends, [&](uint32_t at) -> uint32_t {
    if (const uint32_t end = words.match(at); end != at)
      return rules.contractions ? s.contraction(end, true) : end;
    const Char c = s.at(at);
    if (c.is(kNumber)) return s.run(at, kNumber, rules.digits);
    const auto other = [](const Char& x) { return x.other(); };
    if (c.other() || (c.value == ' ' && s.at(c.next).other())) {
      const uint32_t end = s.run_while(c.next, other);
      return s.run_while(end, [](const Char& x) { return x.newline() || x.value == '/'; });
    }
    return s.white_space(at, true);
  });
}

void split_deepseek3(std::string_view text, Range range, Ends& ends) {
  const Scanner s(text, range);
  constexpr int kWord = kLetter | kMark, kSign = kPunctuation | kSymbol;
  split_with(s, range, ends, [&](uint32_t at) -> uint32_t {
    const Char c = s.at(at);
    if (c.is(kWord)) return s.run(c.next, kWord);
    const Char next = s.at(c.next);
    if (ascii_punctuation(c.value) && ascii_letter(next.value))
      return s.run_while(next.next, [](const Char& x) { return ascii_letter(x.value); });
    if (!c.newline() && !c.is(kSign) && next.is(kWord)) return s.run(next.next, kWord);
    if (c.is(kSign) || (c.value == ' ' && next.is(kSign))) {
      const uint32_t end = s.run(c.next, kSign);
      return s.run_while(end, [](const Char& x) { return x.newline(); });
    }
    return s.white_space(at, true);
  });
}

void split_numbers(std::string_view text, Range range, uint32_t digits, Ends& ends) {
  const Scanner s(text, range);
  split_with(s, range, ends, [&](uint32_t at) { return s.run(at, kNumber, digits); });
}

void split_set(std::string_view text, Range range, const CodePointSet& set, Ends& ends) {
  const Scanner s(text, range);
  const auto inside = [&](const Char& c) {
    return std::any_of(set.begin(), set.end(), [&](const CodePointRange& r) {
      return c.value >= r.first && c.value <= r.last;
    });
  };
  split_with(s, range, ends, [&](uint32_t at) { return s.run_while(at, inside); });
}

}  // namespace cria::text
