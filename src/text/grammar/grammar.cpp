#include "text/grammar/grammar.h"

#include "base/error.h"
#include "text/grammar/gbnf.h"
#include "text/grammar/pattern.h"
#include "text/grammar/schema.h"

#include <algorithm>
#include <array>

namespace cria::grammar {
namespace {

constexpr size_t kMostTransitions = 16u << 20;

// {"type": KIND, KEY: text} and nothing else; none when it is something else.
std::optional<std::string> text_format(const Json& format, const char* kind, const char* key) {
  const Json* type = json_find(format, "type");
  if (type == nullptr || *type != kind) return std::nullopt;
  const Json* text = json_find(format, key);
  if (text == nullptr || !text->is_string() || format.size() != 2)
    fail(ErrorKind::kInvalidInput, R"(invalid format: expected {{"type": "{}", "{}": "..."}})",
         kind, key);
  return text->get<std::string>();
}

Expr compile_part(Expressions& to, const Json& format, const RuleFacts& facts) {
  if (format.is_string() && format == "json") return any_object(to);
  if (!format.is_object())
    fail(ErrorKind::kInvalidInput,
         "invalid format: {}; expected \"json\" or a valid JSON Schema object", dump_json(format));
  if (format.empty()) return any_object(to);
  if (const auto text = text_format(format, "gbnf", "grammar")) return parse_gbnf(to, *text, facts);
  if (const auto text = text_format(format, "regex", "regex"))
    return compile_pattern(to, *text, Match::kWhole, Spelling::kPlain);
  return compile_schema(to, format, facts.dead);
}

// A thought up to the first closing mark, white space, then `answer`; white space is not the
// answer's, as the parsers of answers have it.
Expr after_thinking(Expressions& to, const ThinkingMarks& marks, Expr answer) {
  constexpr int32_t kMostSpace = 8;
  Bytes spaces;
  spaces.set(' ').set('\t').set('\r').set('\n');
  const Expr space = to.repeat(to.bytes(spaces), 0, kMostSpace);
  const Expr byte = to.bytes(Bytes().set()), any = to.repeat(byte, 0, kNoLimit);
  const Expr closed = to.sequence(any, to.literal(marks.close));
  const Expr goes_on = to.sequence(std::array{closed, byte, any});
  const Expr thought = to.both(closed, to.negation(goes_on));
  const Expr rest = to.sequence(std::array{thought, space, answer});
  if (marks.inside) return rest;
  return to.choice(to.sequence(std::array{space, to.literal(marks.open), rest}), answer);
}

}  // namespace

Grammar Grammar::compile(const Json& format, const std::optional<ThinkingMarks>& thinking) {
  // What must be known of rules before they are used is found out by a first try, or two.
  RuleFacts facts;
  for (int attempt = 0;; ++attempt) {
    Grammar out;
    Expressions& to = out.expressions_;
    out.start_ = compile_part(to, format, facts);
    if (out.start_ == kNothing)
      fail(ErrorKind::kInvalidInput, "invalid format: no text matches it");
    RuleFacts found{.nullable = to.nullable_rules(), .dead = to.productive_rules()};
    found.dead.flip();
    const auto any = [](const std::vector<bool>& list) {
      return std::ranges::find(list, true) != list.end();
    };
    const bool same =
        (found.nullable == facts.nullable || (facts.nullable.empty() && !any(found.nullable))) &&
        (found.dead == facts.dead || (facts.dead.empty() && !any(found.dead)));
    if (!same && attempt < 3) {
      facts = std::move(found);
      continue;
    }
    if (thinking) out.start_ = after_thinking(to, *thinking, out.start_);
    return out;
  }
}

Expr Grammar::find_next(Expr state, uint8_t byte) {
  if (state == kNothing) return kNothing;
  const Expr out = expressions_.after(state, byte);
  const size_t classes = expressions_.classes();
  if (row_of_.size() <= state) row_of_.resize(std::max<size_t>(state + 1, expressions_.size()), 0);
  if (row_of_[state] == 0) {
    if (rows_.size() + classes > kMostTransitions)
      fail(ErrorKind::kTooLarge, "the format has too many states; make it simpler");
    if (rows_.empty()) rows_.resize(classes, kUnknown);
    row_of_[state] = static_cast<uint32_t>(rows_.size());
    rows_.resize(rows_.size() + classes, kUnknown);
  }
  for (const uint8_t like : expressions_.classes_like(state, byte))
    rows_[row_of_[state] + like] = out;
  return out;
}

bool Grammar::worn() const {
  constexpr size_t kManyStates = 300'000;
  return expressions_.size() > kManyStates || rows_.size() > kMostTransitions / 3;
}

bool Grammar::accepts(std::string_view text) {
  Expr state = start_;
  for (const char c : text) state = next(state, static_cast<uint8_t>(c));
  return may_end(state);
}

Expr Grammar::shortened(Expr state, int32_t bytes) {
  return shortened(state, bytes, 0);
}

Expr Grammar::shortened(Expr state, int32_t bytes, int depth) {
  constexpr int kMostDepth = 6;  // further in there may stay what tells states apart needlessly
  const Node node = expressions_[state];
  if (depth > kMostDepth) return state;
  switch (node.kind) {
    case Kind::kSequence: {
      const Expr a = shortened(node.a, bytes, depth + 1), b = shortened(node.b, bytes, depth + 1);
      return expressions_.sequence(a, b);
    }
    case Kind::kGroup:
      return expressions_.group(shortened(node.a, bytes, depth + 1));
    case Kind::kChoice: {
      const auto all = expressions_.alternatives(state);
      std::vector<Expr> parts(all.begin(), all.end());
      for (Expr& part : parts) part = shortened(part, bytes, depth + 1);
      return expressions_.choice(parts);
    }
    case Kind::kRepeat: {
      const int32_t most = bytes + 1;
      return expressions_.repeat(node.a, std::min(node.min, most),
                                 node.max > most ? kNoLimit : node.max);
    }
    default:
      return state;
  }
}

}  // namespace cria::grammar
