// globals.cpp - the functions a template finds without being given them.
#include "text/jinja/format.h"
#include "text/jinja/operators.h"
#include "text/jinja/routine.h"

#include <array>
#include <ctime>

namespace cria::jinja {

namespace {

constexpr int64_t kMaxRange = 100'000;  // as Jinja2's sandbox

Value range(Call& c) {
  const std::vector<Value>& given = c.given.positional;
  for (const Value& v : given)
    if (!v.integral()) c.rt.error("range takes integers, not {}", v.type_name());
  if (given.empty() || given.size() > 3 || !c.given.named.empty())
    c.rt.error("range takes one to three integers");
  const int64_t start = given.size() > 1 ? given[0].as_int() : 0;
  const int64_t stop = given[given.size() > 1 ? 1 : 0].as_int();
  const int64_t step = given.size() > 2 ? given[2].as_int() : 1;
  if (step == 0) c.rt.error("the step of range cannot be 0");
  const double count =
      (static_cast<double>(stop) - static_cast<double>(start)) / static_cast<double>(step);
  if (count > static_cast<double>(kMaxRange)) c.rt.error("a range has at most {} items", kMaxRange);
  List& made = c.rt.list();
  for (int64_t i = start; step > 0 ? i < stop : i > stop;) {
    c.rt.append(made, Value::integer(i));
    if (__builtin_add_overflow(i, step, &i)) break;
  }
  made.range = {start, stop, step};
  return Value::of(&made, Sequence::kRange);
}

Dict& named_values(Call& c) {
  Dict& made = c.rt.dict();
  for (const Value& from : c.given.positional) {
    if (from.dict()) {
      for (const auto& [key, value] : from.as_dict().items) c.rt.set(made, key, value);
      continue;
    }
    for (const Value& pair : items_of(c.rt, from).items) {
      const std::vector<Value>& both = items_of(c.rt, pair).items;
      if (both.size() != 2) c.rt.error("dict takes pairs");
      c.rt.set(made, both[0], both[1]);
    }
  }
  for (const auto& [name, value] : c.given.named) c.rt.set(made, Value::borrowed(name), value);
  return made;
}

Value dict(Call& c) {
  return Value::of(&named_values(c));
}

Value make_namespace(Call& c) {
  return Value::of(&named_values(c), Kind::kNamespace);
}

Value raise_exception(Call& c) {
  const Value message = to_string(c.rt, c[0]);
  throw Error(ErrorKind::kInvalidInput, std::string(message.as_text()));
}

Value strftime_now(Call& c) {
  std::tm now = {};
  if (c.rt.now) {
    now = *c.rt.now;
  } else {
    const std::time_t seconds = std::time(nullptr);
    localtime_r(&seconds, &now);
  }
  const std::string format(c.text(0));
  if (format.empty()) return Value::borrowed("");
  if (format.size() > 1000) c.rt.error("a date format of {} bytes is too long", format.size());
  std::string out(4096 + format.size() * 64, '\0');
  out.resize(std::strftime(out.data(), out.size(), format.c_str(), &now));
  return c.rt.text(out);
}

Value cycler(Call& c) {
  if (c.given.positional.empty()) c.rt.error("cycler needs at least one item");
  List& state = c.rt.list(c.given.positional.size() + 1);
  state.items = {Value::integer(0)};
  for (const Value& v : c.given.positional) state.items.push_back(v);
  return Value::of(
      &c.rt.function({.name = "cycler", .routine = nullptr, .self = Value::of(&state)}));
}

Value cycler_next(Call& c) {
  std::vector<Value>& state = c.subject.as_list().items;
  const int64_t at = state[0].as_int();
  state[0] = Value::integer((at + 1) % (std::ssize(state) - 1));
  return state[static_cast<size_t>(at) + 1];
}

Value cycler_reset(Call& c) {
  c.subject.as_list().items[0] = Value::integer(0);
  return Value::none();
}

Value joiner_call(Call& c) {
  std::vector<Value>& state = c.subject.as_list().items;  // the separator, then whether it is used
  if (state[1].truth()) return state[0];
  state[1] = Value::boolean(true);
  return Value::borrowed("");
}

constexpr Routine kJoinerCall{"joiner", "", 0, joiner_call};

Value joiner(Call& c) {
  List& state = c.rt.list(2);
  state.items = {c[0].missing() ? Value::borrowed(", ") : c[0], Value::boolean(false)};
  return Value::of(
      &c.rt.function({.name = "joiner", .routine = &kJoinerCall, .self = Value::of(&state)}));
}

constexpr std::array kGlobals = {
    Routine{"cycler", "*", 0, cycler},
    Routine{"cycler.next", "", 0, cycler_next},
    Routine{"cycler.reset", "", 0, cycler_reset},
    Routine{"dict", "*", 0, dict},
    Routine{"joiner", "sep", 0, joiner},
    Routine{"namespace", "*", 0, make_namespace},
    Routine{"raise_exception", "message", 1, raise_exception},
    Routine{"range", "*", 0, range},
    Routine{"strftime_now", "format", 1, strftime_now},
};

}  // namespace

const Routine* find_global(std::string_view name) {
  return find_routine(kGlobals, name);
}

}  // namespace cria::jinja
