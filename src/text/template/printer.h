// printer.h - one verb of Go's Printf with its flags, on one template value.
#pragma once

#include "text/template/format.h"

#include <optional>
#include <string>
#include <string_view>

namespace cria::text {

class Printer {
 public:
  explicit Printer(Output& out) : out_(out) {}

  bool plus = false, minus = false, sharp = false, space = false, zero = false;
  bool go_syntax = false, field_names = false;  // %#v, %+v
  std::optional<int> width, precision;

  // A verb that does not fit is not an error: it shows as "%!d(string=x)".
  void value(const Value& v, char32_t verb, bool nested = false);

 private:
  void padding(size_t n, bool zeros);
  void pad(std::string_view s, bool zeros);
  void pad(std::string_view s) { pad(s, zero); }
  void bad(const Value& v, char32_t verb);
  std::string_view cut(std::string_view s) const;
  void string(std::string_view s, const Value& v, char32_t verb);
  void hex_text(std::string_view s, bool upper);
  void integer_verb(const Value& v, char32_t verb);
  void integer(int64_t i, int base, std::string_view prefix, char32_t verb);
  void float_verb(const Value& v, char32_t verb);
  void keep_zeros(std::string& text, char32_t verb) const;
  void list(const Value& v, char32_t verb);
  void map(const Value& v, char32_t verb);
  void structure(const Value& v, char32_t verb);

  Output& out_;
};

}  // namespace cria::text
