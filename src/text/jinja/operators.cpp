#include "text/jinja/operators.h"

#include "text/jinja/format.h"

#include <algorithm>
#include <cmath>

namespace cria::jinja {

namespace {

constexpr int kMaxDepth = 200;  // of values inside values

constexpr std::string_view kSigns[] = {
    "+", "-", "*", "/", "//", "%", "**", "==", "!=", "<", "<=", ">", ">=", "in", "not in"};

std::string_view sign(Operator op) {
  return kSigns[static_cast<size_t>(op)];
}

[[noreturn]] void wrong_types(Runtime& rt, Operator op, const Value& a, const Value& b) {
  for (const Value* v : {&a, &b})
    if (v->undefined()) rt.error("\"{}\" is undefined", v->as_text());
  rt.error("unsupported operand types for {}: {} and {}", sign(op), a.type_name(), b.type_name());
}

Value integer_power(Runtime& rt, int64_t base, int64_t exponent) {
  if (exponent < 0) {
    if (base == 0) rt.error("0 cannot be raised to a negative power");
    return Value::number(std::pow(static_cast<double>(base), static_cast<double>(exponent)));
  }
  int64_t result = 1;
  for (; exponent > 0; exponent >>= 1) {
    bool over = (exponent & 1) != 0 && __builtin_mul_overflow(result, base, &result);
    if (exponent > 1) over = __builtin_mul_overflow(base, base, &base) || over;
    if (over) rt.error("the integer does not fit in 64 bits");
  }
  return Value::integer(result);
}

int64_t floor_divided(Runtime& rt, int64_t a, int64_t b) {
  if (b == 0) rt.error("division by zero");
  if (b == -1) {
    int64_t result = 0;
    if (__builtin_sub_overflow(int64_t{0}, a, &result))
      rt.error("the integer does not fit in 64 bits");
    return result;
  }
  return a / b - ((a % b != 0 && (a % b < 0) != (b < 0)) ? 1 : 0);
}

Value integers(Runtime& rt, Operator op, int64_t a, int64_t b) {
  int64_t result = 0;
  bool over = false;
  switch (op) {
    case Operator::kAdd:
      over = __builtin_add_overflow(a, b, &result);
      break;
    case Operator::kSubtract:
      over = __builtin_sub_overflow(a, b, &result);
      break;
    case Operator::kMultiply:
      over = __builtin_mul_overflow(a, b, &result);
      break;
    case Operator::kDivide:
      if (b == 0) rt.error("division by zero");
      return Value::number(static_cast<double>(a) / static_cast<double>(b));
    case Operator::kFloorDivide:
      return Value::integer(floor_divided(rt, a, b));
    case Operator::kModulo:
      if (b == 0) rt.error("modulo by zero");
      return Value::integer(b == -1 ? 0 : a - floor_divided(rt, a, b) * b);
    default:
      return integer_power(rt, a, b);
  }
  if (over) rt.error("the integer does not fit in 64 bits");
  return Value::integer(result);
}

Value floats(Runtime& rt, Operator op, double a, double b) {
  switch (op) {
    case Operator::kAdd:
      return Value::number(a + b);
    case Operator::kSubtract:
      return Value::number(a - b);
    case Operator::kMultiply:
      return Value::number(a * b);
    case Operator::kPower:
      if (a == 0 && b < 0) rt.error("0.0 cannot be raised to a negative power");
      if (a < 0 && b != std::floor(b)) rt.error("complex numbers are not supported");
      return Value::number(std::pow(a, b));
    default:
      break;
  }
  if (b == 0) rt.error("float division by zero");
  if (op == Operator::kDivide) return Value::number(a / b);
  double rest = std::fmod(a, b);
  if (op == Operator::kModulo) {
    if (rest != 0 && (rest < 0) != (b < 0)) rest += b;
    return Value::number(rest == 0 ? std::copysign(0.0, b) : rest);
  }
  double quotient = (a - rest) / b;
  if (rest != 0 && (rest < 0) != (b < 0)) quotient -= 1;
  return Value::number(quotient == 0 ? std::copysign(0.0, a / b) : std::floor(quotient + 0.5));
}

Value joined(Runtime& rt, const Value& a, const Value& b) {
  if (a.markup() != b.markup() && a.string() && b.string())
    return a.markup() ? joined(rt, a, escaped(rt, b.as_text()))
                      : joined(rt, escaped(rt, a.as_text()), b);
  if (a.string() && b.string()) {
    if (b.as_text().empty()) return a;
    if (a.as_text().empty()) return b;
    Text out(rt);
    out.put(a.as_text());
    out.put(b.as_text());
    const Value sum = out.value();
    return a.markup() ? Value::markup(sum.as_text()) : sum;
  }
  if (!a.list() || !b.list() || a.sequence() != b.sequence() || !a.indexable() ||
      a.sequence() == Sequence::kRange)
    wrong_types(rt, Operator::kAdd, a, b);
  List& made = rt.list(a.as_list().items.size() + b.as_list().items.size());
  for (const Value* part : {&a, &b})
    made.items.insert(made.items.end(), part->as_list().items.begin(), part->as_list().items.end());
  return Value::of(&made, a.sequence());
}

Value repeated(Runtime& rt, const Value& what, int64_t times) {
  const auto count = static_cast<size_t>(std::max<int64_t>(times, 0));
  if (what.string()) {
    Text out(rt);
    out.fill(what.as_text(), count);
    return out.value();
  }
  const std::vector<Value>& items = what.as_list().items;
  if (!items.empty() && count > rt.limits().max_memory / sizeof(Value) / items.size())
    rt.charge(rt.limits().max_memory + 1);
  List& made = rt.list(items.size() * count);
  for (size_t i = 0; i < count; ++i)
    made.items.insert(made.items.end(), items.begin(), items.end());
  return Value::of(&made, what.sequence());
}

bool repeats(const Value& what, const Value& times) {
  return (what.string() || (what.indexable() && what.sequence() != Sequence::kRange)) &&
         times.integral();
}

bool equal_at(Runtime& rt, const Value& a, const Value& b, int& depth);

bool equal_lists(Runtime& rt, const Value& a, const Value& b, int& depth) {
  const auto &left = a.as_list().items, &right = b.as_list().items;
  if (a.sequence() != b.sequence() || left.size() != right.size()) return false;
  for (size_t i = 0; i < left.size(); ++i)
    if (!equal_at(rt, left[i], right[i], depth)) return false;
  return true;
}

bool equal_dicts(Runtime& rt, Dict& a, Dict& b, int& depth) {
  if (a.items.size() != b.items.size()) return false;
  for (const auto& [key, value] : a.items) {
    const Value* other = rt.find(b, key);
    if (other == nullptr || !equal_at(rt, value, *other, depth)) return false;
  }
  return true;
}

bool equal_at(Runtime& rt, const Value& a, const Value& b, int& depth) {
  if (a.numeric() && b.numeric())
    return a.integral() && b.integral() ? a.as_int() == b.as_int() : a.as_float() == b.as_float();
  if (a.kind() != b.kind()) return false;
  if (a.string()) return a.as_text() == b.as_text();
  if (a.undefined() || a.is(Kind::kNone)) return true;
  if (!a.list() && !a.dict()) return a.same_object(b);
  const Deeper deeper(rt, depth, kMaxDepth);
  rt.step();
  return a.list() ? equal_lists(rt, a, b, depth) : equal_dicts(rt, a.as_dict(), b.as_dict(), depth);
}

bool less_at(Runtime& rt, const Value& a, const Value& b, int& depth) {
  if (a.numeric() && b.numeric())
    return a.integral() && b.integral() ? a.as_int() < b.as_int() : a.as_float() < b.as_float();
  if (a.string() && b.string()) return a.as_text() < b.as_text();  // UTF-8 sorts as code points
  if (!a.indexable() || !b.indexable() || a.sequence() != b.sequence())
    wrong_types(rt, Operator::kLess, a, b);
  const Deeper deeper(rt, depth, kMaxDepth);
  rt.step();
  const auto &left = a.as_list().items, &right = b.as_list().items;
  for (size_t i = 0; i < std::min(left.size(), right.size()); ++i)
    if (!equal(rt, left[i], right[i])) return less_at(rt, left[i], right[i], depth);
  return left.size() < right.size();
}

}  // namespace

Value arithmetic(Runtime& rt, Operator op, const Value& a, const Value& b) {
  if (a.integral() && b.integral()) return integers(rt, op, a.as_int(), b.as_int());
  if (a.numeric() && b.numeric()) return floats(rt, op, a.as_float(), b.as_float());
  if (op == Operator::kAdd) return joined(rt, a, b);
  if (op == Operator::kMultiply && repeats(a, b)) return repeated(rt, a, b.as_int());
  if (op == Operator::kMultiply && repeats(b, a)) return repeated(rt, b, a.as_int());
  if (op == Operator::kModulo && a.string()) return percent_format(rt, a.as_text(), b);
  wrong_types(rt, op, a, b);
}

Value negated(Runtime& rt, const Value& v) {
  if (v.is(Kind::kFloat)) return Value::number(-v.as_float());
  if (!v.integral()) rt.error("{} has no negative", v.type_name());
  return integers(rt, Operator::kSubtract, 0, v.as_int());
}

bool equal(Runtime& rt, const Value& a, const Value& b) {
  int depth = 0;
  return equal_at(rt, a, b, depth);
}

bool less(Runtime& rt, const Value& a, const Value& b) {
  int depth = 0;
  return less_at(rt, a, b, depth);
}

bool compare(Runtime& rt, Operator op, const Value& a, const Value& b) {
  switch (op) {
    case Operator::kEqual:
      return equal(rt, a, b);
    case Operator::kNotEqual:
      return !equal(rt, a, b);
    case Operator::kLess:
      return less(rt, a, b);
    case Operator::kGreater:
      return less(rt, b, a);
    case Operator::kLessEqual:
      return less(rt, a, b) || equal(rt, a, b);
    case Operator::kGreaterEqual:
      return less(rt, b, a) || equal(rt, a, b);
    case Operator::kIn:
      return contains(rt, b, a);
    default:
      return !contains(rt, b, a);
  }
}

bool contains(Runtime& rt, const Value& container, const Value& item) {
  if (container.string()) {
    if (!item.string()) rt.error("a string contains strings, not {}", item.type_name());
    rt.step(1 + container.as_text().size() / 64);
    return container.as_text().find(item.as_text()) != std::string_view::npos;
  }
  if (container.dict()) return rt.find(container.as_dict(), item) != nullptr;
  const std::vector<Value>& items = items_of(rt, container).items;
  rt.step(1 + items.size() / 16);
  return std::ranges::any_of(items, [&](const Value& v) { return equal(rt, v, item); });
}

bool hashable(const Value& v) {
  return v.list() ? v.sequence() == Sequence::kTuple || v.sequence() == Sequence::kGroup
                  : !v.dict();
}

void check_hashable(Runtime& rt, const Value& v) {
  if (!hashable(v)) rt.error("{} cannot be a key", v.type_name());
}

}  // namespace cria::jinja
