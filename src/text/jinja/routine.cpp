#include "text/jinja/routine.h"

#include "text/jinja/operators.h"

#include <algorithm>

namespace cria::jinja {

namespace {

std::string_view next_word(std::string_view& words) {
  const size_t end = std::min(words.find(' '), words.size());
  const std::string_view word = words.substr(0, end);
  words.remove_prefix(std::min(end + 1, words.size()));
  return word;
}

void bind(Call& call, const Routine& routine) {
  const Arguments& given = call.given;
  std::string_view names = routine.signature;
  size_t count = 0, used = 0;
  for (; !names.empty(); ++count) {
    const std::string_view name = next_word(names);
    if (count < given.positional.size()) call.slots[count] = given.positional[count];
    for (const auto& [key, value] : given.named) {
      if (key != name) continue;
      if (!call.slots[count].missing())
        call.rt.error("{}: \"{}\" is given twice", routine.name, name);
      call.slots[count] = value;
      ++used;
    }
    if (count < routine.required && call.slots[count].missing())
      call.rt.error("{}: argument \"{}\" is missing", routine.name, name);
  }
  if (given.positional.size() > count)
    call.rt.error("{} takes at most {} arguments, not {}", routine.name, count,
                  given.positional.size());
  if (used < given.named.size())
    call.rt.error("{} has no argument called like one of those given", routine.name);
}

}  // namespace

std::string_view Call::text(size_t i, std::string_view fallback) const {
  if (slots[i].none_or_missing()) return fallback;
  if (!slots[i].string())
    rt.error("argument {} must be a string, not {}", i + 1, slots[i].type_name());
  return slots[i].as_text();
}

int64_t Call::integer(size_t i, int64_t fallback) const {
  if (slots[i].none_or_missing()) return fallback;
  if (!slots[i].integral())
    rt.error("argument {} must be an integer, not {}", i + 1, slots[i].type_name());
  return slots[i].as_int();
}

bool Call::flag(size_t i, bool fallback) const {
  return slots[i].missing() ? fallback : slots[i].truth();
}

const Routine* find_routine(std::span<const Routine> table, std::string_view name) {
  const auto found = std::ranges::find(table, name, &Routine::name);
  return found == table.end() ? nullptr : &*found;
}

Value run_routine(Runtime& rt, const Routine& routine, const Value& subject,
                  const Arguments& arguments) {
  const Position at = rt.at;
  rt.step();
  Call call{.rt = rt, .subject = subject, .given = arguments};
  if (routine.signature != "*") bind(call, routine);
  const Value result = routine.run(call);
  rt.at = at;
  return result;
}

}  // namespace cria::jinja
