// routine.h - filters, tests, methods and global functions: one row each in a table.
#pragma once

#include "text/jinja/runtime.h"
#include "text/jinja/value.h"

#include <array>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

namespace cria::jinja {

struct Arguments {
  std::vector<Value> positional;
  std::vector<std::pair<std::string_view, Value>> named;
};

struct Call {
  static constexpr size_t kMost = 6;
  Runtime& rt;
  Value subject;  // what a filter or test is applied to, what a method belongs to
  std::array<Value, kMost> slots = {};  // by the order of the signature; kMissing when not given
  const Arguments& given;

  const Value& operator[](size_t i) const { return slots[i]; }
  // The text, integer or truth of a parameter, or the default when it is not given. An error for
  // another type.
  std::string_view text(size_t i, std::string_view fallback = {}) const;
  int64_t integer(size_t i, int64_t fallback = 0) const;
  bool flag(size_t i, bool fallback = false) const;
};

struct Routine {
  std::string_view name;
  std::string_view signature;  // names of parameters; "*": takes what comes
  size_t required;
  Value (*run)(Call& call);
};

// Null when there is none of that name.
const Routine* find_filter(std::string_view name);
const Routine* find_test(std::string_view name);
const Routine* find_global(std::string_view name);
const Routine* find_string_method(std::string_view name);
const Routine* find_list_method(const Value& list, std::string_view name);
const Routine* find_dict_method(std::string_view name);
const Routine* find_loop_method(std::string_view name);

// Binds the arguments to the signature and runs it. Throws Error{kInvalidInput} for missing,
// unknown or too many.
Value run_routine(Runtime& rt, const Routine& routine, const Value& subject,
                  const Arguments& arguments);

const Routine* find_routine(std::span<const Routine> table, std::string_view name);

}  // namespace cria::jinja
