// access.cpp - what stands inside a value: attributes, items, slices.
#include "text/jinja/operators.h"
#include "text/jinja/strings.h"

#include <algorithm>

namespace cria::jinja {

namespace {

Value neighbour(const Loop& loop, size_t index, std::string_view name) {
  return index < loop.items->items.size() && index < loop.count ? loop.items->items[index]
                                                                : Value::undefined(name);
}

Value loop_attribute(const Loop& loop, std::string_view name) {
  const auto number = [](size_t n) { return Value::integer(static_cast<int64_t>(n)); };
  if (name == "index") return number(loop.index + 1);
  if (name == "index0") return number(loop.index);
  if (name == "first") return Value::boolean(loop.index == 0);
  if (name == "last") return Value::boolean(loop.index + 1 == loop.count);
  if (name == "length") return number(loop.count);
  if (name == "revindex") return number(loop.count - loop.index);
  if (name == "revindex0") return number(loop.count - loop.index - 1);
  if (name == "previtem") return neighbour(loop, loop.index - 1, name);
  if (name == "nextitem") return neighbour(loop, loop.index + 1, name);
  if (name == "depth") return number(1);  // counts only recursive loops
  if (name == "depth0") return number(0);
  return Value::undefined(name);
}

Value cycler_attribute(Runtime& rt, const Function& cycler, std::string_view name) {
  const std::vector<Value>& state = cycler.self.as_list().items;  // the position, then the items
  if (name == "current") return state[static_cast<size_t>(state[0].as_int()) + 1];
  const Routine* method = find_global(name == "next" ? "cycler.next" : "cycler.reset");
  if (name != "next" && name != "reset") return Value::undefined(name);
  return Value::of(&rt.function({.name = name, .routine = method, .self = cycler.self}));
}

}  // namespace

const Routine* find_method(const Value& object, std::string_view name) {
  if (object.string()) return find_string_method(name);
  if (object.dict()) return find_dict_method(name);
  if (object.list()) return find_list_method(object, name);
  if (object.is(Kind::kLoop)) return find_loop_method(name);
  return nullptr;
}

Value attribute(Runtime& rt, const Value& object, std::string_view name) {
  if (object.undefined()) rt.error("\"{}\" is undefined: it has no \"{}\"", object.as_text(), name);
  if (const Routine* method = find_method(object, name))
    return Value::of(&rt.function({.name = name, .routine = method, .self = object}));
  if (object.dict() || object.is(Kind::kNamespace)) {
    rt.step(1 + object.as_dict().items.size() / 16);
    const Value* found = object.as_dict().find(name);
    return found != nullptr ? *found : Value::undefined(name);
  }
  if (object.is(Kind::kLoop)) return loop_attribute(object.as_loop(), name);
  if (object.list() && object.sequence() == Sequence::kGroup) {
    if (name == "grouper") return object.as_list().items[0];
    if (name == "list") return object.as_list().items[1];
  }
  if (object.is(Kind::kFunction)) {
    const Function& f = object.as_function();
    if (f.name == "cycler" && f.self.list()) return cycler_attribute(rt, f, name);
    if (name == "name") return Value::borrowed(f.name);
  }
  return Value::undefined(name);
}

Value item(Runtime& rt, const Value& object, const Value& key) {
  if (object.undefined()) rt.error("\"{}\" is undefined: it has no items", object.as_text());
  if (object.dict() && hashable(key)) {
    if (const Value* found = rt.find(object.as_dict(), key)) return *found;
  }
  if (object.indexable() && key.integral()) {
    const std::vector<Value>& items = object.as_list().items;
    const int64_t i = key.as_int() + (key.as_int() < 0 ? std::ssize(items) : 0);
    if (i >= 0 && i < std::ssize(items)) return items[static_cast<size_t>(i)];
  }
  if (object.string() && key.integral()) {
    rt.step(1 + object.as_text().size() / 64);
    const std::string_view c = character_at(object.as_text(), key.as_int());
    if (!c.empty()) return Value::borrowed(c);
  }
  if (key.string()) return attribute(rt, object, key.as_text());
  return Value::undefined("item");
}

namespace {

struct Range {
  int64_t start, stop, step, count;
};

// Python's slice.indices.
Range range_of(Runtime& rt, int64_t size, const Value& start, const Value& stop,
               const Value& step) {
  for (const Value* v : {&start, &stop, &step})
    if (!v->is(Kind::kNone) && !v->integral())
      rt.error("a slice takes integers, not {}", v->type_name());
  Range r{.start = 0, .stop = 0, .step = step.is(Kind::kNone) ? 1 : step.as_int(), .count = 0};
  if (r.step == 0) rt.error("the step of a slice cannot be 0");
  r.step = std::max(r.step, -INT64_MAX);
  const int64_t low = r.step < 0 ? -1 : 0, high = r.step < 0 ? size - 1 : size;
  const auto clamped = [&](const Value& v, int64_t fallback) {
    if (v.is(Kind::kNone)) return fallback;
    const int64_t i = v.as_int();
    return i < 0 ? std::max(i + size, low) : std::min(i, high);
  };
  r.start = clamped(start, r.step < 0 ? high : low);
  r.stop = clamped(stop, r.step < 0 ? low : high);
  if (r.step > 0 && r.start < r.stop)
    r.count = (r.stop - r.start - 1) / r.step + 1;
  else if (r.step < 0 && r.stop < r.start)
    r.count = (r.start - r.stop - 1) / -r.step + 1;
  return r;
}

}  // namespace

Value slice(Runtime& rt, const Value& object, const Value& start, const Value& stop,
            const Value& step) {
  if (object.string()) {
    const std::string_view s = object.as_text();
    rt.step(1 + s.size() / 64);
    const Range r = range_of(rt, character_count(s), start, stop, step);
    if (r.step == 1) return Value::borrowed(characters(s, r.start, r.start + r.count));
    const std::vector<std::string_view> all = split_characters(s);
    rt.charge(all.size() * sizeof(std::string_view));
    Text out(rt);
    for (int64_t i = 0; i < r.count; ++i) out.put(all[static_cast<size_t>(r.start + i * r.step)]);
    return out.value();
  }
  if (object.undefined()) rt.error("\"{}\" is undefined: it has no items", object.as_text());
  if (!object.indexable()) return Value::undefined("slice");
  const std::vector<Value>& items = object.as_list().items;
  const Range r = range_of(rt, std::ssize(items), start, stop, step);
  List& made = rt.list(static_cast<size_t>(r.count));
  for (int64_t i = 0; i < r.count; ++i)
    made.items.push_back(items[static_cast<size_t>(r.start + i * r.step)]);
  if (object.sequence() == Sequence::kRange) {
    const auto [first, last, each] = object.as_list().range;
    made.range = {first + r.start * each, first + r.stop * each, each * r.step};
    return Value::of(&made, Sequence::kRange);
  }
  const bool tuple = object.sequence() != Sequence::kList;
  return Value::of(&made, tuple ? Sequence::kTuple : Sequence::kList);
}

List& items_of(Runtime& rt, const Value& v) {
  switch (v.kind()) {
    case Kind::kList:
      return v.as_list();
    case Kind::kUndefined:
      return rt.list();
    case Kind::kDict: {
      List& keys = rt.list(v.as_dict().items.size());
      for (const auto& [key, value] : v.as_dict().items) keys.items.push_back(key);
      return keys;
    }
    case Kind::kString: {
      const std::vector<std::string_view> all = split_characters(v.as_text());
      List& made = rt.list(all.size());
      for (const std::string_view c : all) made.items.push_back(Value::borrowed(c));
      return made;
    }
    case Kind::kIterator: {
      Iterator& iterator = v.as_iterator();
      if (iterator.next == 0) {
        iterator.next = iterator.items->items.size();
        return *iterator.items;
      }
      List& rest = rt.list();
      while (iterator.next < iterator.items->items.size())
        rt.append(rest, iterator.items->items[iterator.next++]);
      return rest;
    }
    default:
      rt.error("{} cannot be iterated over", v.type_name());
  }
}

int64_t length(Runtime& rt, const Value& v) {
  switch (v.kind()) {
    case Kind::kUndefined:
      return 0;
    case Kind::kString:
      rt.step(1 + v.as_text().size() / 64);
      return character_count(v.as_text());
    case Kind::kList:
      return std::ssize(v.as_list().items);
    case Kind::kDict:
      return std::ssize(v.as_dict().items);
    default:
      rt.error("{} has no length", v.type_name());
  }
}

}  // namespace cria::jinja
