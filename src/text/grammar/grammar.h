// grammar.h - what `format` of a request allows, as an automaton over bytes.
//
//   "json"                                   any JSON object
//   {"type": "gbnf", "grammar": "root ::= ..."}   gbnf.h
//   {"type": "regex", "regex": "..."}        pattern.h, for the whole answer
//   {...}                                    a JSON schema (schema.h); {} is "json"
#pragma once

#include "base/json.h"
#include "text/grammar/expression.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace cria::grammar {

// What may stand before the answer proper: a thought between marks.
struct ThinkingMarks {
  std::string open, close;
  bool inside = false;  // the prompt has opened it
};

// For one thread: states are made as they are reached, and kept.
class Grammar {
 public:
  // Throws Error{kInvalidInput} for what is no format or one that no text matches, {kUnsupported},
  // {kTooLarge}.
  static Grammar compile(const Json& format, const std::optional<ThinkingMarks>& thinking = {});

  Expr start() const { return start_; }
  // kNothing: no text goes on like this. Throws Error{kTooLarge}.
  Expr next(Expr state, uint8_t byte) {
    if (state < row_of_.size() && row_of_[state] != 0) {
      const Expr known = rows_[row_of_[state] + expressions_.class_of(byte)];
      if (known != kUnknown) return known;
    }
    return find_next(state, byte);
  }
  bool may_end(Expr state) const { return expressions_[state].nullable; }
  bool accepts(std::string_view text);
  // So many states were made that another answer may not find room: better to compile it anew.
  bool worn() const;
  // For the token masks.
  const Expressions& expressions() const { return expressions_; }
  // A state that agrees with `state` on all that `bytes` more bytes can tell: counts above that
  // become this many. So a long string has few states.
  Expr shortened(Expr state, int32_t bytes);

 private:
  static constexpr Expr kUnknown = UINT32_MAX;
  Expr find_next(Expr state, uint8_t byte);
  Expr shortened(Expr state, int32_t bytes, int depth);

  Expressions expressions_;
  Expr start_ = kNothing;
  // A row of next states by byte class; row 0 is no row.
  std::vector<uint32_t> row_of_;
  std::vector<Expr> rows_;
};

}  // namespace cria::grammar
