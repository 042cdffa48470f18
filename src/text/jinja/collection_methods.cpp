// collection_methods.cpp - Python's methods of dict and list, and those of the variable loop.
#include "text/jinja/operators.h"
#include "text/jinja/routine.h"
#include "text/jinja/sort.h"

#include <algorithm>
#include <array>

namespace cria::jinja {

namespace {

using Difference = std::ptrdiff_t;

std::vector<Value>& items_in(Call& c) {
  c.rt.step(1 + c.subject.as_list().items.size() / 16);
  return c.subject.as_list().items;
}

// An index from the front; negative ones count from the end.
int64_t from_front(int64_t index, size_t size) {
  return index < 0 ? index + static_cast<int64_t>(size) : index;
}

Value dict_get(Call& c) {
  const Value* found = c.rt.find(c.subject.as_dict(), c[0]);
  return found != nullptr ? *found : c[1].missing() ? Value::none() : c[1];
}

Value dict_items(Call& c) {
  List& pairs = c.rt.list(c.subject.as_dict().items.size());
  for (const auto& [key, value] : c.subject.as_dict().items) {
    List& pair = c.rt.list(2);
    pair.items = {key, value};
    pairs.items.push_back(Value::of(&pair, Sequence::kTuple));
  }
  return Value::of(&pairs, Sequence::kItems);
}

Value dict_keys(Call& c) {
  return Value::of(&items_of(c.rt, c.subject), Sequence::kKeys);
}

Value dict_values(Call& c) {
  List& values = c.rt.list(c.subject.as_dict().items.size());
  for (const auto& [key, value] : c.subject.as_dict().items) values.items.push_back(value);
  return Value::of(&values, Sequence::kValues);
}

Value dict_pop(Call& c) {
  Dict& dict = c.subject.as_dict();
  const Value* found = c.rt.find(dict, c[0]);
  if (found == nullptr) {
    if (c[1].missing()) c.rt.error("pop: the dict has no such key");
    return c[1];
  }
  const Value value = *found;
  std::erase_if(dict.items, [&](const auto& entry) { return &entry.second == found; });
  return value;
}

Value dict_set_default(Call& c) {
  if (const Value* found = c.rt.find(c.subject.as_dict(), c[0])) return *found;
  const Value value = c[1].missing() ? Value::none() : c[1];
  c.rt.set(c.subject.as_dict(), c[0], value);
  return value;
}

Value dict_update(Call& c) {
  Dict& dict = c.subject.as_dict();
  for (const Value& from : c.given.positional) {
    if (!from.dict()) c.rt.error("update takes a dict, not {}", from.type_name());
    const auto entries = from.as_dict().items;  // a copy: it may be the dict itself
    c.rt.charge(entries.size() * sizeof(entries[0]));
    for (const auto& [key, value] : entries) c.rt.set(dict, key, value);
  }
  for (const auto& [name, value] : c.given.named) c.rt.set(dict, Value::borrowed(name), value);
  return Value::none();
}

Value dict_copy(Call& c) {
  Dict& copy = c.rt.dict();
  c.rt.charge(c.subject.as_dict().items.size() * 2 * sizeof(Value));
  copy.items = c.subject.as_dict().items;
  return Value::of(&copy);
}

Value dict_clear(Call& c) {
  c.subject.as_dict().items.clear();
  return Value::none();
}

Value list_append(Call& c) {
  c.rt.append(c.subject.as_list(), c[0]);
  return Value::none();
}

Value list_clear(Call& c) {
  c.subject.as_list().items.clear();
  return Value::none();
}

Value list_copy(Call& c) {
  const std::vector<Value>& from = items_in(c);
  List& copy = c.rt.list(from.size());
  copy.items.assign(from.begin(), from.end());
  return Value::of(&copy);
}

Value list_count(Call& c) {
  const auto is_it = [&](const Value& v) { return equal(c.rt, v, c[0]); };
  return Value::integer(std::ranges::count_if(items_in(c), is_it));
}

Value list_extend(Call& c) {
  const std::vector<Value> more = items_of(c.rt, c[0]).items;  // a copy: it may be the list itself
  for (const Value& v : more) c.rt.append(c.subject.as_list(), v);
  return Value::none();
}

Value list_index(Call& c) {
  const std::vector<Value>& items = items_in(c);
  for (size_t i = 0; i < items.size(); ++i)
    if (equal(c.rt, items[i], c[0])) return Value::integer(static_cast<int64_t>(i));
  c.rt.error("index: the list has no such item");
}

Value list_insert(Call& c) {
  const std::vector<Value>& items = items_in(c);
  const int64_t at =
      std::clamp<int64_t>(from_front(c.integer(0), items.size()), 0, std::ssize(items));
  c.rt.insert(c.subject.as_list(), static_cast<size_t>(at), c[1]);
  return Value::none();
}

Value list_pop(Call& c) {
  std::vector<Value>& items = items_in(c);
  const int64_t at = from_front(c.integer(0, -1), items.size());
  if (at < 0 || at >= std::ssize(items)) c.rt.error("pop: the list has no such item");
  const Value value = items[static_cast<size_t>(at)];
  items.erase(items.begin() + static_cast<Difference>(at));
  return value;
}

Value list_remove(Call& c) {
  const int64_t at = list_index(c).as_int();
  items_in(c).erase(items_in(c).begin() + static_cast<Difference>(at));
  return Value::none();
}

Value list_reverse(Call& c) {
  std::ranges::reverse(items_in(c));
  return Value::none();
}

Value list_sort(Call& c) {
  std::vector<Value>& items = items_in(c);
  const bool reverse = c.flag(0);
  c.rt.charge(items.size() * sizeof(Value));
  merge_sort(items, [&](const Value& a, const Value& b) {
    return reverse ? less(c.rt, b, a) : less(c.rt, a, b);
  });
  return Value::none();
}

Value loop_cycle(Call& c) {
  const std::vector<Value>& items = c.given.positional;
  if (items.empty()) c.rt.error("loop.cycle needs something to cycle through");
  return items[c.subject.as_loop().index % items.size()];
}

Value loop_changed(Call& c) {
  Loop& loop = c.subject.as_loop();
  List& now = c.rt.list(c.given.positional.size());
  now.items = c.given.positional;
  const bool changed =
      loop.changed == nullptr || !equal(c.rt, Value::of(loop.changed), Value::of(&now));
  loop.changed = &now;
  return Value::boolean(changed);
}

constexpr std::array kDictMethods = {
    Routine{"clear", "", 0, dict_clear},
    Routine{"copy", "", 0, dict_copy},
    Routine{"get", "key default", 1, dict_get},
    Routine{"items", "", 0, dict_items},
    Routine{"keys", "", 0, dict_keys},
    Routine{"pop", "key default", 1, dict_pop},
    Routine{"setdefault", "key default", 1, dict_set_default},
    Routine{"update", "*", 0, dict_update},
    Routine{"values", "", 0, dict_values},
};

constexpr std::array kListMethods = {
    Routine{"append", "object", 1, list_append},
    Routine{"clear", "", 0, list_clear},
    Routine{"copy", "", 0, list_copy},
    Routine{"count", "value", 1, list_count},
    Routine{"extend", "iterable", 1, list_extend},
    Routine{"index", "value", 1, list_index},
    Routine{"insert", "index object", 2, list_insert},
    Routine{"pop", "index", 0, list_pop},
    Routine{"remove", "value", 1, list_remove},
    Routine{"reverse", "", 0, list_reverse},
    Routine{"sort", "reverse", 0, list_sort},
};

constexpr std::array kTupleMethods = {
    Routine{"count", "value", 1, list_count},
    Routine{"index", "value", 1, list_index},
};

constexpr std::array kLoopMethods = {
    Routine{"changed", "*", 0, loop_changed},
    Routine{"cycle", "*", 0, loop_cycle},
};

}  // namespace

const Routine* find_dict_method(std::string_view name) {
  return find_routine(kDictMethods, name);
}

const Routine* find_list_method(const Value& list, std::string_view name) {
  if (list.sequence() == Sequence::kList) return find_routine(kListMethods, name);
  return list.indexable() ? find_routine(kTupleMethods, name) : nullptr;
}

const Routine* find_loop_method(std::string_view name) {
  return find_routine(kLoopMethods, name);
}

}  // namespace cria::jinja
