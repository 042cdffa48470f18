// tests.cpp - what stands behind "is".
#include "text/jinja/operators.h"
#include "text/jinja/routine.h"
#include "text/jinja/strings.h"

#include <array>

namespace cria::jinja {

namespace {

template <bool (*kHolds)(const Value&)>
Value test(Call& c) {
  return Value::boolean(kHolds(c.subject));
}

template <Operator kOperator>
Value compared(Call& c) {
  return Value::boolean(compare(c.rt, kOperator, c.subject, c[0]));
}

bool is_defined(const Value& v) {
  return !v.undefined();
}
bool is_undefined(const Value& v) {
  return v.undefined();
}
bool is_none(const Value& v) {
  return v.is(Kind::kNone);
}
bool is_string(const Value& v) {
  return v.string();
}
bool is_mapping(const Value& v) {
  return v.dict();
}
bool is_iterable(const Value& v) {
  return v.string() || v.list() || v.dict() || v.undefined() || v.is(Kind::kIterator) ||
         v.is(Kind::kLoop);
}
// Jinja asks for a length and items by index, which dicts have, too.
bool is_sequence(const Value& v) {
  return v.string() || v.indexable() || v.dict() || v.undefined();
}
bool is_true(const Value& v) {
  return v.is(Kind::kBool) && v.as_bool();
}
bool is_false(const Value& v) {
  return v.is(Kind::kBool) && !v.as_bool();
}
bool is_boolean(const Value& v) {
  return v.is(Kind::kBool);
}
bool is_number(const Value& v) {
  return v.numeric();
}
bool is_integer(const Value& v) {
  return v.is(Kind::kInt);
}
bool is_float(const Value& v) {
  return v.is(Kind::kFloat);
}
bool is_callable(const Value& v) {
  return v.is(Kind::kFunction) || v.is(Kind::kLoop) || v.undefined();
}

int64_t remainder(Call& c, const Value& by) {
  const Value rest = arithmetic(c.rt, Operator::kModulo, c.subject, by);
  return rest.integral() ? rest.as_int() : rest.as_float() != 0;
}

Value odd(Call& c) {
  return Value::boolean(remainder(c, Value::integer(2)) == 1);
}
Value even(Call& c) {
  return Value::boolean(remainder(c, Value::integer(2)) == 0);
}
Value divisible(Call& c) {
  return Value::boolean(remainder(c, c[0]) == 0);
}
Value lower_case(Call& c) {
  return Value::boolean(c.subject.string() && is_lower(c.subject.as_text()));
}
Value upper_case(Call& c) {
  return Value::boolean(c.subject.string() && is_upper(c.subject.as_text()));
}
Value same_as(Call& c) {
  return Value::boolean(c.subject.same_object(c[0]));
}
Value is_filter(Call& c) {
  return Value::boolean(c.subject.string() && find_filter(c.subject.as_text()) != nullptr);
}
Value is_test(Call& c) {
  return Value::boolean(c.subject.string() && find_test(c.subject.as_text()) != nullptr);
}

constexpr std::array kTests = {
    Routine{"!=", "other", 1, compared<Operator::kNotEqual>},
    Routine{"<", "other", 1, compared<Operator::kLess>},
    Routine{"<=", "other", 1, compared<Operator::kLessEqual>},
    Routine{"==", "other", 1, compared<Operator::kEqual>},
    Routine{">", "other", 1, compared<Operator::kGreater>},
    Routine{">=", "other", 1, compared<Operator::kGreaterEqual>},
    Routine{"boolean", "", 0, test<is_boolean>},
    Routine{"callable", "", 0, test<is_callable>},
    Routine{"defined", "", 0, test<is_defined>},
    Routine{"divisibleby", "number", 1, divisible},
    Routine{"eq", "other", 1, compared<Operator::kEqual>},
    Routine{"equalto", "other", 1, compared<Operator::kEqual>},
    Routine{"even", "", 0, even},
    Routine{"false", "", 0, test<is_false>},
    Routine{"filter", "", 0, is_filter},
    Routine{"float", "", 0, test<is_float>},
    Routine{"ge", "other", 1, compared<Operator::kGreaterEqual>},
    Routine{"greaterthan", "other", 1, compared<Operator::kGreater>},
    Routine{"gt", "other", 1, compared<Operator::kGreater>},
    Routine{"in", "seq", 1, compared<Operator::kIn>},
    Routine{"integer", "", 0, test<is_integer>},
    Routine{"iterable", "", 0, test<is_iterable>},
    Routine{"le", "other", 1, compared<Operator::kLessEqual>},
    Routine{"lessthan", "other", 1, compared<Operator::kLess>},
    Routine{"lower", "", 0, lower_case},
    Routine{"lt", "other", 1, compared<Operator::kLess>},
    Routine{"mapping", "", 0, test<is_mapping>},
    Routine{"ne", "other", 1, compared<Operator::kNotEqual>},
    Routine{"none", "", 0, test<is_none>},
    Routine{"number", "", 0, test<is_number>},
    Routine{"odd", "", 0, odd},
    Routine{"sameas", "other", 1, same_as},
    Routine{"sequence", "", 0, test<is_sequence>},
    Routine{"string", "", 0, test<is_string>},
    Routine{"test", "", 0, is_test},
    Routine{"true", "", 0, test<is_true>},
    Routine{"undefined", "", 0, test<is_undefined>},
    Routine{"upper", "", 0, upper_case},
};

}  // namespace

const Routine* find_test(std::string_view name) {
  return find_routine(kTests, name);
}

}  // namespace cria::jinja
