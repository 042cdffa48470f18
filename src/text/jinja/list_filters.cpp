#include "text/jinja/list_filters.h"

#include "text/jinja/format.h"
#include "text/jinja/operators.h"
#include "text/jinja/sort.h"
#include "text/jinja/strings.h"

#include <algorithm>
#include <array>
#include <charconv>

namespace cria::jinja {

namespace {

// "a.b.0" or a number, as attribute= takes it.
Value at_path(Runtime& rt, Value v, const Value& path) {
  if (path.none_or_missing()) return v;
  if (path.integral()) return item(rt, v, path);
  if (!path.string()) rt.error("an attribute is a string or an integer");
  for (const std::string_view part : split(path.as_text(), ".", -1)) {
    int64_t index = 0;
    const auto [stop, error] = std::from_chars(part.data(), part.data() + part.size(), index);
    const bool number = error == std::errc() && stop == part.data() + part.size();
    v = item(rt, v, number ? Value::integer(index) : Value::borrowed(part));
  }
  return v;
}

// What values are compared by: texts without regard to case unless asked.
Value sort_key(Runtime& rt, const Value& v, const Value& path, bool case_sensitive) {
  const Value key = at_path(rt, v, path);
  return key.string() && !case_sensitive ? rt.text(lower(key.as_text())) : key;
}

void sort_by_keys(Runtime& rt, std::vector<std::pair<Value, Value>>& keyed, bool reverse) {
  rt.charge(keyed.size() * sizeof(keyed[0]));
  merge_sort(keyed, [&](const auto& a, const auto& b) {
    rt.step();
    return reverse ? less(rt, b.first, a.first) : less(rt, a.first, b.first);
  });
}

std::vector<std::pair<Value, Value>> keyed(Call& c, const Value& path, bool case_sensitive) {
  std::vector<std::pair<Value, Value>> all;
  for (const Value& v : items_of(c.rt, c.subject).items) {
    c.rt.charge(sizeof(all[0]));
    all.emplace_back(sort_key(c.rt, v, path, case_sensitive), v);
  }
  return all;
}

Value batch(Call& c) {
  const int64_t size = c.integer(0);
  if (size < 1) c.rt.error("a batch has at least 1 item, not {}", size);
  List& batches = c.rt.list();
  List* current = nullptr;
  for (const Value& v : items_of(c.rt, c.subject).items) {
    if (current == nullptr || std::ssize(current->items) == size) {
      current = &c.rt.list();
      c.rt.append(batches, Value::of(current));
    }
    c.rt.append(*current, v);
  }
  if (current != nullptr && !c[1].none_or_missing())
    while (std::ssize(current->items) < size) c.rt.append(*current, c[1]);
  return c.rt.iterator(batches);
}

Value dict_sort(Call& c) {
  if (!c.subject.dict()) c.rt.error("dictsort takes a dict, not {}", c.subject.type_name());
  const std::string_view by = c.text(1, "key");
  if (by != "key" && by != "value") c.rt.error("dictsort sorts by key or value, not \"{}\"", by);
  std::vector<std::pair<Value, Value>> all;
  for (const auto& [key, value] : c.subject.as_dict().items) {
    List& pair = c.rt.list(2);
    pair.items = {key, value};
    all.emplace_back(sort_key(c.rt, by == "key" ? key : value, {}, c.flag(0)),
                     Value::of(&pair, Sequence::kTuple));
  }
  sort_by_keys(c.rt, all, c.flag(2));
  List& sorted = c.rt.list(all.size());
  for (const auto& [key, pair] : all) sorted.items.push_back(pair);
  return Value::of(&sorted);
}

Value first(Call& c) {
  if (c.subject.is(Kind::kIterator)) {
    Iterator& it = c.subject.as_iterator();
    if (it.next < it.items->items.size()) return it.items->items[it.next++];
    return Value::undefined("first");
  }
  const std::vector<Value>& items = items_of(c.rt, c.subject).items;
  return items.empty() ? Value::undefined("first") : items.front();
}

Value last(Call& c) {
  if (c.subject.is(Kind::kIterator)) c.rt.error("a generator has no last item");
  const std::vector<Value>& items = items_of(c.rt, c.subject).items;
  return items.empty() ? Value::undefined("last") : items.back();
}

Value group_by(Call& c) {
  auto all = keyed(c, c[0], c.flag(2));
  if (!c[1].missing()) {
    for (auto& [key, v] : all)
      if (key.undefined()) key = c[1];
  }
  sort_by_keys(c.rt, all, false);
  List& groups = c.rt.list();
  const Value* previous = nullptr;
  List* current = nullptr;
  for (const auto& [key, v] : all) {
    if (previous == nullptr || !equal(c.rt, *previous, key)) {
      current = &c.rt.list();
      List& group = c.rt.list(2);
      const Value shown = at_path(c.rt, v, c[0]);
      group.items = {shown.undefined() ? key : shown, Value::of(current)};
      c.rt.append(groups, Value::of(&group, Sequence::kGroup));
    }
    c.rt.append(*current, v);
    previous = &key;
  }
  return Value::of(&groups);
}

Value items(Call& c) {
  if (c.subject.undefined()) return c.rt.iterator(c.rt.list());
  if (!c.subject.dict()) c.rt.error("items takes a dict, not {}", c.subject.type_name());
  List& pairs = c.rt.list(c.subject.as_dict().items.size());
  for (const auto& [key, value] : c.subject.as_dict().items) {
    List& pair = c.rt.list(2);
    pair.items = {key, value};
    pairs.items.push_back(Value::of(&pair, Sequence::kTuple));
  }
  return c.rt.iterator(pairs);
}

Value join(Call& c) {
  Text out(c.rt);
  const Value separator = c[0].missing() ? Value::borrowed("") : to_string(c.rt, c[0]);
  bool first_item = true;
  for (const Value& v : items_of(c.rt, c.subject).items) {
    if (!std::exchange(first_item, false)) out.put(separator.as_text());
    print(out, at_path(c.rt, v, c[1]));
  }
  return out.value();
}

Value count(Call& c) {
  return Value::integer(length(c.rt, c.subject));
}

Value to_list(Call& c) {
  const std::vector<Value>& from = items_of(c.rt, c.subject).items;
  List& made = c.rt.list(from.size());
  made.items.assign(from.begin(), from.end());
  return Value::of(&made);
}

Arguments rest_of(const Arguments& given, size_t from) {
  Arguments rest{.named = given.named};
  if (given.positional.size() > from)
    rest.positional.assign(given.positional.begin() + static_cast<std::ptrdiff_t>(from),
                           given.positional.end());
  return rest;
}

// What map and select go through: like the original, anything false is empty to them.
List& items_if_any(Call& c) {
  return c.subject.truth() ? items_of(c.rt, c.subject) : c.rt.list();
}

Value map(Call& c) {
  List& made = c.rt.list();
  Value path, fallback;
  for (const auto& [name, value] : c.given.named) {
    if (name == "attribute") path = value;
    if (name == "default") fallback = value;
  }
  const Routine* filter = nullptr;
  if (path.missing()) {
    if (c.given.positional.empty() || !c.given.positional[0].string())
      c.rt.error("map needs the name of a filter, or attribute=");
    filter = find_filter(c.given.positional[0].as_text());
    if (filter == nullptr) c.rt.error("there is no filter \"{}\"", c.given.positional[0].as_text());
  }
  const Arguments rest = rest_of(c.given, 1);
  for (const Value& v : items_if_any(c).items) {
    Value mapped = filter != nullptr ? run_routine(c.rt, *filter, v, rest) : at_path(c.rt, v, path);
    if (filter == nullptr && mapped.undefined() && !fallback.missing()) mapped = fallback;
    c.rt.append(made, mapped);
  }
  return c.rt.iterator(made);
}

// select, reject and their forms on an attribute: those for which the test (else their truth) is
// `wanted`.
Value choose(Call& c, bool by_attribute, bool wanted) {
  const std::vector<Value>& given = c.given.positional;
  const size_t skip = by_attribute ? 1 : 0;
  if (given.size() < skip) c.rt.error("the name of an attribute is missing");
  const Routine* test = nullptr;
  if (given.size() > skip) {
    if (!given[skip].string()) c.rt.error("the name of a test is a string");
    test = find_test(given[skip].as_text());
    if (test == nullptr) c.rt.error("there is no test \"{}\"", given[skip].as_text());
  }
  const Arguments rest = rest_of(c.given, skip + 1);
  List& chosen = c.rt.list();
  for (const Value& v : items_if_any(c).items) {
    const Value tested = by_attribute ? at_path(c.rt, v, given[0]) : v;
    const bool holds =
        test != nullptr ? run_routine(c.rt, *test, tested, rest).truth() : tested.truth();
    if (holds == wanted) c.rt.append(chosen, v);
  }
  return c.rt.iterator(chosen);
}

Value select(Call& c) {
  return choose(c, false, true);
}
Value reject(Call& c) {
  return choose(c, false, false);
}
Value select_by_attribute(Call& c) {
  return choose(c, true, true);
}
Value reject_by_attribute(Call& c) {
  return choose(c, true, false);
}

// The least by the sort key, or the greatest.
Value extreme(Call& c, bool greatest) {
  const auto all = keyed(c, c[1], c.flag(0));
  if (all.empty()) return Value::undefined(greatest ? "max" : "min");
  const auto* best = &all[0];
  for (const auto& entry : all) {
    const bool better =
        greatest ? less(c.rt, best->first, entry.first) : less(c.rt, entry.first, best->first);
    if (better) best = &entry;
  }
  return best->second;
}

Value minimum(Call& c) {
  return extreme(c, false);
}
Value maximum(Call& c) {
  return extreme(c, true);
}

Value reverse(Call& c) {
  if (c.subject.string()) {
    Text out(c.rt);
    const auto all = split_characters(c.subject.as_text());
    for (size_t i = all.size(); i > 0; --i) out.put(all[i - 1]);
    return out.value();
  }
  const std::vector<Value>& from = items_of(c.rt, c.subject).items;
  List& made = c.rt.list(from.size());
  made.items.assign(from.rbegin(), from.rend());
  return c.rt.iterator(made);
}

Value slices(Call& c) {
  const int64_t parts = c.integer(0);
  if (parts < 1) c.rt.error("slice needs at least 1 part, not {}", parts);
  const std::vector<Value>& from = items_of(c.rt, c.subject).items;
  const int64_t each = std::ssize(from) / parts, longer = std::ssize(from) % parts;
  List& made = c.rt.list();
  int64_t at = 0;
  for (int64_t i = 0; i < parts; ++i) {
    c.rt.step();
    List& part = c.rt.list();
    const int64_t end = at + each + (i < longer ? 1 : 0);
    for (; at < end; ++at) c.rt.append(part, from[static_cast<size_t>(at)]);
    if (!c[1].none_or_missing() && longer != 0 && i >= longer) c.rt.append(part, c[1]);
    c.rt.append(made, Value::of(&part));
  }
  return c.rt.iterator(made);
}

Value sort(Call& c) {
  auto all = keyed(c, c[2], c.flag(1));
  sort_by_keys(c.rt, all, c.flag(0));
  List& sorted = c.rt.list(all.size());
  for (const auto& [key, v] : all) sorted.items.push_back(v);
  return Value::of(&sorted);
}

Value sum(Call& c) {
  Value total = c[1].missing() ? Value::integer(0) : c[1];
  for (const Value& v : items_of(c.rt, c.subject).items)
    total = arithmetic(c.rt, Operator::kAdd, total, at_path(c.rt, v, c[0]));
  return total;
}

Value unique(Call& c) {
  List& made = c.rt.list();
  std::vector<Value> seen;
  for (const auto& [key, v] : keyed(c, c[1], c.flag(0))) {
    c.rt.step(1 + seen.size() / 16);
    if (std::ranges::any_of(seen, [&](const Value& s) { return equal(c.rt, s, key); })) continue;
    seen.push_back(key);
    c.rt.append(made, v);
  }
  return c.rt.iterator(made);
}

constexpr std::array kFilters = {
    Routine{"batch", "linecount fill_with", 1, batch},
    Routine{"count", "", 0, count},
    Routine{"dictsort", "case_sensitive by reverse", 0, dict_sort},
    Routine{"first", "", 0, first},
    Routine{"groupby", "attribute default case_sensitive", 1, group_by},
    Routine{"items", "", 0, items},
    Routine{"join", "d attribute", 0, join},
    Routine{"last", "", 0, last},
    Routine{"length", "", 0, count},
    Routine{"list", "", 0, to_list},
    Routine{"map", "*", 0, map},
    Routine{"max", "case_sensitive attribute", 0, maximum},
    Routine{"min", "case_sensitive attribute", 0, minimum},
    Routine{"reject", "*", 0, reject},
    Routine{"rejectattr", "*", 0, reject_by_attribute},
    Routine{"reverse", "", 0, reverse},
    Routine{"select", "*", 0, select},
    Routine{"selectattr", "*", 0, select_by_attribute},
    Routine{"slice", "slices fill_with", 1, slices},
    Routine{"sort", "reverse case_sensitive attribute", 0, sort},
    Routine{"sum", "attribute start", 0, sum},
    Routine{"unique", "case_sensitive attribute", 0, unique},
};

}  // namespace

const Routine* find_list_filter(std::string_view name) {
  return find_routine(kFilters, name);
}

}  // namespace cria::jinja
