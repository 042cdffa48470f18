// operators.h - Python's operators on values. All throw Error{kInvalidInput} where Python raises.
#pragma once

#include "text/jinja/node.h"

#include <string_view>

namespace cria::jinja {

Value arithmetic(Runtime& rt, Operator op, const Value& a, const Value& b);
Value negated(Runtime& rt, const Value& v);
bool compare(Runtime& rt, Operator op, const Value& a, const Value& b);
bool equal(Runtime& rt, const Value& a, const Value& b);
bool less(Runtime& rt, const Value& a, const Value& b);
bool contains(Runtime& rt, const Value& container, const Value& item);
bool hashable(const Value& v);
void check_hashable(Runtime& rt, const Value& v);

// Of the object's type; null when it has no such method.
const Routine* find_method(const Value& object, std::string_view name);
// obj.name and obj[key]: methods, items, then undefined. Undefined itself has neither.
Value attribute(Runtime& rt, const Value& object, std::string_view name);
Value item(Runtime& rt, const Value& object, const Value& key);
Value slice(Runtime& rt, const Value& object, const Value& start, const Value& stop,
            const Value& step);

// str.replace; all of them when `most` is negative.
Value replaced(Runtime& rt, std::string_view s, std::string_view from, std::string_view to,
               int64_t most);

// The items that a loop over `v` sees: of a list itself, not a copy.
List& items_of(Runtime& rt, const Value& v);
int64_t length(Runtime& rt, const Value& v);

}  // namespace cria::jinja
