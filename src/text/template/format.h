// format.h - Go's fmt on template values: print, println, printf with every verb that data can
// meet.
#pragma once

#include "text/template/value.h"

#include <span>
#include <string>
#include <string_view>

namespace cria::text {

// Text that must not outgrow a limit: widths, loops and nested printf can ask for any size.
class Output {
 public:
  explicit Output(size_t limit) : limit_(limit) {}
  void put(std::string_view s);
  void fill(char c, size_t n);
  const std::string& text() const { return text_; }
  std::string take() { return std::move(text_); }
  size_t size() const { return text_.size(); }
  size_t limit() const { return limit_; }

 private:
  void check(size_t more) const;
  std::string text_;
  size_t limit_;
};

// {{value}}: like print, but what does not exist is "<no value>".
void print_value(Output& out, const Value& value);
void print(Output& out, std::span<const Value> values);
void println(Output& out, std::span<const Value> values);
void printf(Output& out, std::string_view format, std::span<const Value> values);

// Go's encoding/json: map keys sorted, struct fields in order, HTML characters as \u escapes.
void put_json(Output& out, const Value& value);

// strconv.FormatFloat: verb one of b e E f g G x X; precision -1 (not for e and f): as many digits
// as it takes to read the same number back.
std::string format_float(double d, char verb, int precision);
// strconv.Quote; `ascii`: every other character as an escape.
std::string quote_go(std::string_view s, char mark, bool ascii);
bool is_printable(char32_t c);
bool is_letter_or_digit(char32_t c);

}  // namespace cria::text
