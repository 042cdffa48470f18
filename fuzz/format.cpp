// The format of a request: compiled as JSON schema, GBNF and regular expression, and some of the
// states that follow.
#include "base/error.h"
#include "text/grammar/grammar.h"

#include <cstdint>

namespace {

void run(const cria::Json& format, std::string_view text) {
  using namespace cria;
  try {
    grammar::Grammar grammar = grammar::Grammar::compile(format);
    grammar.accepts(text);
    grammar::Expr state = grammar.start();
    for (int step = 0; step < 40 && state != grammar::kNothing; ++step) {
      grammar.shortened(state, 8);
      grammar::Expr next = grammar::kNothing;
      for (int byte = 0; byte < 256 && next == grammar::kNothing; ++byte)
        next = grammar.next(state, static_cast<uint8_t>(byte + 31 * step));
      // Nothing leads into a dead end.
      CRIA_CHECK(next != grammar::kNothing || grammar.may_end(state),
                 "every state leads to an end");
      state = next;
    }
  } catch (const Error&) {
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size > 4096) return 0;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  run({{"type", "gbnf"}, {"grammar", std::string(text)}}, text);
  run({{"type", "regex"}, {"regex", std::string(text)}}, text);
  try {
    run(cria::parse_json(text), text);
  } catch (const cria::Error&) {
  }
  return 0;
}
