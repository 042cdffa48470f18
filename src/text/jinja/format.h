// format.h - values as text: Python's str and repr, json.dumps, the % operator and str.format.
#pragma once

#include "text/jinja/routine.h"

#include <string>
#include <string_view>

namespace cria::jinja {

// str(v) and repr(v).
void print(Text& out, const Value& v);
void print_exact(Text& out, const Value& v);
Value to_string(Runtime& rt, const Value& v);
// &, <, >, ' and " as HTML writes them; the result is markup.
Value escaped(Runtime& rt, std::string_view s);
std::string float_text(double d);

struct JsonStyle {
  bool ascii = false, sort_keys = false, multiline = false;
  std::string_view indent;  // of one level, when multiline
  std::string_view item_separator = ", ", key_separator = ": ";
};
void print_json(Text& out, const Value& v, const JsonStyle& style);

Value percent_format(Runtime& rt, std::string_view format, const Value& arguments);
// "{}", "{0}", "{name}", each with !r or !s and a format specification.
Value brace_format(Runtime& rt, std::string_view format, const Arguments& arguments);

// A field of a % or {} format: how wide, how precise, with which sign.
struct Field {
  std::string fill = " ";
  char align = 0, sign = 0;  // align: < > ^ =
  bool alternate = false, comma = false;
  int64_t width = 0, precision = -1;
  char type = 0;
};
// `v` by `field.type` ("d", "f", "x", ..., 0: by its kind), padded.
void print_field(Text& out, const Value& v, Field field);

}  // namespace cria::jinja
