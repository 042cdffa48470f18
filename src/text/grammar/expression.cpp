#include "text/grammar/expression.h"

#include "base/error.h"

#include <algorithm>
#include <deque>
#include <functional>
#include <utility>

namespace cria::grammar {
namespace {

constexpr size_t kMostNodes = 1'000'000;
constexpr size_t kMostAlternatives = 20'000;  // of an expression that somebody wrote
constexpr size_t kMostSearch = 500'000;       // derivatives to find a text of an intersection
constexpr size_t kMostRules = 2'000;          // a derivative may nest as deep as there are rules

uint64_t mixed(uint64_t hash, uint64_t value) {
  hash = (hash ^ value) * 0x9E3779B97F4A7C15u;
  return hash ^ (hash >> 29);
}

[[noreturn]] void too_complex() {
  fail(ErrorKind::kTooLarge,
       "the grammar is too complex: more than {} states; make it simpler, or bounds smaller",
       kMostNodes);
}

}  // namespace

Expressions::Expressions() : representatives_{0} {
  nodes_.push_back({.kind = Kind::kNone});
  nodes_.push_back({.kind = Kind::kEmpty, .nullable = true});
}

std::span<const Expr> Expressions::alternatives(Expr choice) const {
  return std::span(pool_).subspan(nodes_[choice].a, nodes_[choice].b);
}

Expr Expressions::intern(const Node& node) {
  uint64_t hash = mixed(static_cast<uint64_t>(node.kind), node.a);
  hash = mixed(mixed(hash, node.b), static_cast<uint64_t>(node.min));
  hash = mixed(hash, static_cast<uint64_t>(node.max));
  const auto [first, last] = index_.equal_range(hash);
  for (auto it = first; it != last; ++it)
    if (nodes_[it->second] == node) return it->second;
  if (nodes_.size() >= kMostNodes) too_complex();
  nodes_.push_back(node);
  index_.emplace(hash, static_cast<Expr>(nodes_.size() - 1));
  return static_cast<Expr>(nodes_.size() - 1);
}

Expr Expressions::bytes(const Bytes& set) {
  if (set.none()) return kNothing;
  const size_t hash = std::hash<Bytes>{}(set);
  const auto [first, last] = set_index_.equal_range(hash);
  for (auto it = first; it != last; ++it)
    if (sets_[it->second] == set) return intern({.kind = Kind::kBytes, .a = it->second});
  const auto number = static_cast<uint32_t>(sets_.size());
  sets_.push_back(set);
  set_index_.emplace(hash, number);
  refine_classes(set);
  return intern({.kind = Kind::kBytes, .a = number});
}

// A class that `set` holds a part of only becomes two.
void Expressions::refine_classes(const Bytes& set) {
  std::array<int, 512> fresh;
  fresh.fill(-1);
  representatives_.clear();
  for (size_t byte = 0; byte < 256; ++byte) {
    int& number = fresh[class_of_[byte] * size_t{2} + (set[byte] ? 1 : 0)];
    if (number < 0) {
      number = static_cast<int>(representatives_.size());
      representatives_.push_back(static_cast<uint8_t>(byte));
    }
    class_of_[byte] = static_cast<uint8_t>(number);
  }
}

Expr Expressions::byte_range(uint8_t first, uint8_t last) {
  Bytes set;
  for (size_t byte = first; byte <= last; ++byte) set.set(byte);
  return bytes(set);
}

Expr Expressions::literal(std::string_view text) {
  Expr out = kEmptyText;
  for (size_t i = text.size(); i > 0; --i) {
    const auto byte = static_cast<uint8_t>(text[i - 1]);
    out = sequence(byte_range(byte, byte), out);
  }
  return out;
}

bool Expressions::led_by_group(Expr e) const {
  const Node& node = nodes_[e];
  if (node.kind == Kind::kChoice) {
    const auto parts = alternatives(e);
    return std::ranges::any_of(parts, [&](Expr part) { return led_by_group(part); });
  }
  return node.kind == Kind::kGroup ||
         (node.kind == Kind::kSequence && nodes_[node.a].kind == Kind::kGroup);
}

Expr Expressions::sequence(Expr a, Expr b) {
  if (a == kNothing || b == kNothing) return kNothing;
  if (a == kEmptyText) return b;
  if (b == kEmptyText) return a;
  // Sequences lean to the right, and ways that have entered a group stay apart: what has been
  // opened is then a list, however deep it is.
  const Node first = nodes_[a];
  if (first.kind == Kind::kSequence) return sequence(first.a, sequence(first.b, b));
  if (first.kind == Kind::kChoice && led_by_group(a)) {
    std::vector<Expr> parts(alternatives(a).begin(), alternatives(a).end());
    for (Expr& part : parts) part = sequence(part, b);
    return choice(parts);
  }
  return intern({.kind = Kind::kSequence,
                 .nullable = first.nullable && nodes_[b].nullable,
                 .has_rule = first.has_rule || nodes_[b].has_rule,
                 .a = a,
                 .b = b});
}

Expr Expressions::sequence(std::span<const Expr> parts) {
  Expr out = kEmptyText;
  for (size_t i = parts.size(); i > 0; --i) out = sequence(parts[i - 1], out);
  return out;
}

Expr Expressions::choice(std::span<const Expr> parts) {
  std::vector<Expr> flat;
  Bytes set;
  for (const Expr part : parts) {
    if (part == kNothing) continue;
    const Kind kind = nodes_[part].kind;
    if (kind == Kind::kBytes) {
      set |= sets_[nodes_[part].a];
    } else if (kind == Kind::kChoice) {
      for (const Expr inner : alternatives(part))
        if (nodes_[inner].kind == Kind::kBytes)
          set |= sets_[nodes_[inner].a];
        else
          flat.push_back(inner);
    } else {
      flat.push_back(part);
    }
  }
  if (set.any()) flat.push_back(bytes(set));
  std::ranges::sort(flat);
  flat.erase(std::ranges::unique(flat).begin(), flat.end());
  return intern_choice(std::move(flat));
}

Expr Expressions::intern_choice(std::vector<Expr> parts) {
  if (parts.empty()) return kNothing;
  if (parts.size() == 1) return parts.front();
  if (parts.size() > kMostAlternatives)
    fail(ErrorKind::kTooLarge, "the grammar is too complex: more than {} ways at once",
         kMostAlternatives);
  uint64_t hash = 0x51ED;
  for (const Expr part : parts) hash = mixed(hash, part);
  const auto [first, last] = index_.equal_range(hash);
  for (auto it = first; it != last; ++it)
    if (nodes_[it->second].kind == Kind::kChoice &&
        std::ranges::equal(alternatives(it->second), parts))
      return it->second;
  if (nodes_.size() >= kMostNodes || pool_.size() > 4 * kMostNodes) too_complex();
  Node node{.kind = Kind::kChoice,
            .a = static_cast<uint32_t>(pool_.size()),
            .b = static_cast<uint32_t>(parts.size())};
  for (const Expr part : parts) {
    node.nullable = node.nullable || nodes_[part].nullable;
    node.has_rule = node.has_rule || nodes_[part].has_rule;
  }
  pool_.insert(pool_.end(), parts.begin(), parts.end());
  nodes_.push_back(node);
  index_.emplace(hash, static_cast<Expr>(nodes_.size() - 1));
  return static_cast<Expr>(nodes_.size() - 1);
}

Expr Expressions::repeat(Expr e, int32_t min, int32_t max) {
  if (max == 0 || e == kEmptyText) return kEmptyText;
  if (min > max) return kNothing;
  if (e == kNothing) return min == 0 ? kEmptyText : kNothing;
  const Node node = nodes_[e];
  if (node.nullable) min = 0;
  if (min == 1 && max == 1) return e;
  return intern({.kind = Kind::kRepeat,
                 .nullable = min == 0,
                 .has_rule = node.has_rule,
                 .a = e,
                 .min = min,
                 .max = max});
}

Expr Expressions::both(Expr a, Expr b) {
  if (a > b) std::swap(a, b);
  if (a == kNothing || a == b) return a;
  const Node first = nodes_[a], second = nodes_[b];
  if (first.has_rule || second.has_rule)
    fail(ErrorKind::kUnsupported,
         "what refers to a rule cannot be combined with another condition");
  if (a == kEmptyText) return second.nullable ? kEmptyText : kNothing;
  const Expr out =
      intern({.kind = Kind::kBoth, .nullable = first.nullable && second.nullable, .a = a, .b = b});
  return searching_ || is_alive(out) ? out : kNothing;
}

Expr Expressions::negation(Expr e) {
  const Node node = nodes_[e];
  if (node.has_rule) fail(ErrorKind::kUnsupported, "what refers to a rule cannot be excluded");
  if (node.kind == Kind::kNot) return node.a;
  return intern({.kind = Kind::kNot, .nullable = !node.nullable, .a = e});
}

Expr Expressions::group(Expr e) {
  const Node node = nodes_[e];
  if (e == kNothing || e == kEmptyText || node.kind == Kind::kGroup) return e;
  if (led_by_group(e)) {
    if (node.kind == Kind::kSequence) return sequence(node.a, group(node.b));
    std::vector<Expr> parts(alternatives(e).begin(), alternatives(e).end());
    for (Expr& part : parts) part = group(part);
    return choice(parts);
  }
  return intern(
      {.kind = Kind::kGroup, .nullable = node.nullable, .has_rule = node.has_rule, .a = e});
}

Expr Expressions::multiple(uint32_t divisor) {
  if (digit_sets_.empty())
    for (const char c : std::string_view("0123456789."))
      digit_sets_.push_back(nodes_[literal(std::string_view(&c, 1))].a);
  return intern({.kind = Kind::kMultiple, .nullable = true, .a = 0, .b = divisor});
}

Expr Expressions::declare_rule(bool nullable) {
  if (bodies_.size() >= kMostRules)
    fail(ErrorKind::kTooLarge, "the grammar has more than {} rules", kMostRules);
  bodies_.push_back(kNothing);
  return intern({.kind = Kind::kRule,
                 .nullable = nullable,
                 .has_rule = true,
                 .a = static_cast<uint32_t>(bodies_.size() - 1)});
}

void Expressions::define_rule(Expr rule, Expr body) {
  bodies_[nodes_[rule].a] = body;
}

Expr Expressions::after(Expr e, uint8_t byte) {
  derived_.clear();
  return derive(e, byte);
}

// The sets of all single bytes that a derivative looks at.
std::vector<uint32_t> Expressions::first_sets(Expr e) {
  seen_.resize(nodes_.size(), 0);
  ++round_;
  std::vector<uint32_t> sets;
  std::vector<Expr> open{e};
  while (!open.empty()) {
    const Expr next = open.back();
    open.pop_back();
    if (std::exchange(seen_[next], round_) == round_) continue;
    const Node& node = nodes_[next];
    switch (node.kind) {
      case Kind::kNone:
      case Kind::kEmpty:
        break;
      case Kind::kBytes:
        sets.push_back(node.a);
        break;
      case Kind::kSequence:
        open.push_back(node.a);
        if (nodes_[node.a].nullable) open.push_back(node.b);
        break;
      case Kind::kChoice:
        open.insert(open.end(), alternatives(next).begin(), alternatives(next).end());
        break;
      case Kind::kBoth:
        open.push_back(node.a);
        open.push_back(node.b);
        break;
      case Kind::kRule:
        open.push_back(bodies_[node.a]);
        break;
      case Kind::kNot:
      case Kind::kRepeat:
      case Kind::kGroup:
        open.push_back(node.a);
        break;
      case Kind::kMultiple:
        sets.insert(sets.end(), digit_sets_.begin(), digit_sets_.end());
        break;
    }
  }
  return sets;
}

std::vector<uint8_t> Expressions::classes_like(Expr e, uint8_t byte) {
  const std::vector<uint32_t> sets = first_sets(e);
  std::vector<uint8_t> out;
  for (size_t i = 0; i < representatives_.size(); ++i) {
    const uint8_t other = representatives_[i];
    if (std::ranges::all_of(sets, [&](uint32_t s) { return sets_[s][byte] == sets_[s][other]; }))
      out.push_back(static_cast<uint8_t>(i));
  }
  return out;
}

// One byte of each kind that the first byte of a text of `e` can be. They are much fewer than all
// classes where others are told apart elsewhere: by a pattern beside a number, say.
std::vector<uint8_t> Expressions::kinds_of_first(Expr e) {
  std::vector<uint32_t> sets = first_sets(e);
  std::ranges::sort(sets);
  sets.erase(std::ranges::unique(sets).begin(), sets.end());
  const size_t classes = representatives_.size();
  std::vector<size_t> kind_of(classes, 0);
  size_t kinds = 1;
  for (size_t i = 0; i < sets.size() && kinds < classes; ++i) {
    std::array<size_t, 512> fresh{};
    kinds = 0;
    for (size_t c = 0; c < classes; ++c) {
      size_t& number = fresh[2 * kind_of[c] + (sets_[sets[i]][representatives_[c]] ? 1 : 0)];
      if (number == 0) number = ++kinds;
      kind_of[c] = number - 1;
    }
  }
  std::vector<uint8_t> out;
  for (size_t c = 0; c < classes; ++c)
    if (kind_of[c] == out.size()) out.push_back(representatives_[c]);  // the first of its kind
  return out;
}

Expr Expressions::derive(Expr e, uint8_t byte) {
  const Node node = nodes_[e];
  if (node.kind == Kind::kSequence) return derive_sequence(e, byte);
  const bool shared = node.kind == Kind::kRule || node.kind == Kind::kChoice;
  if (shared)
    if (const auto known = derived_.find(e); known != derived_.end()) return known->second;
  Expr out = kNothing;
  if (node.kind == Kind::kChoice) {
    std::vector<Expr> parts(alternatives(e).begin(), alternatives(e).end());
    for (Expr& part : parts) part = derive(part, byte);
    out = choice(parts);
  } else {
    out = derive_node(node, byte);
  }
  if (shared) derived_.emplace(e, out);
  return out;
}

Expr Expressions::derive_node(const Node& node, uint8_t byte) {
  switch (node.kind) {
    case Kind::kBytes:
      return sets_[node.a][byte] ? kEmptyText : kNothing;
    case Kind::kBoth: {
      const Expr a = derive(node.a, byte);
      return a == kNothing ? kNothing : both(a, derive(node.b, byte));
    }
    case Kind::kNot:
      return negation(derive(node.a, byte));
    case Kind::kRepeat: {
      const Expr first = derive(node.a, byte);
      if (first == kNothing) return kNothing;
      const int32_t max = node.max == kNoLimit ? kNoLimit : node.max - 1;
      return sequence(first, repeat(node.a, std::max(node.min - 1, 0), max));
    }
    case Kind::kRule:
      return group(derive(bodies_[node.a], byte));
    case Kind::kGroup:
      return group(derive(node.a, byte));
    case Kind::kMultiple: {
      if (byte != '.' && (byte < '0' || byte > '9')) return kNothing;
      Node next = node;
      if (byte != '.')
        next.a = static_cast<uint32_t>((uint64_t{node.a} * 10 + (byte - '0')) % node.b);
      next.nullable = next.a == 0;
      return intern(next);
    }
    default:
      return kNothing;
  }
}

// A loop along the sequence, which may have thousands of parts that can be left out.
Expr Expressions::derive_sequence(Expr e, uint8_t byte) {
  std::vector<Expr> ways;
  for (;;) {
    const Node node = nodes_[e];
    if (node.kind != Kind::kSequence) {
      ways.push_back(derive(e, byte));
      break;
    }
    ways.push_back(sequence(derive(node.a, byte), node.b));
    if (!nodes_[node.a].nullable) break;
    e = node.b;
  }
  return ways.size() == 1 ? ways.front() : choice(ways);
}

bool Expressions::surely_alive(Expr e) const {
  const auto known = alive_.find(e);
  return nodes_[e].nullable || (known != alive_.end() && known->second);
}

// A search for a text; what lies on the way to it is alive, too.
bool Expressions::is_alive(Expr both) {
  if (const auto known = alive_.find(both); known != alive_.end()) return known->second;
  // Whatever ends the search, derivatives ask again and remember what they knew.
  struct Search {
    explicit Search(Expressions& expressions)
        : of(expressions), derived(std::exchange(of.derived_, {})) {
      of.searching_ = true;
    }
    ~Search() {
      of.searching_ = false;
      of.derived_ = std::move(derived);
    }
    Search(const Search&) = delete;
    Search& operator=(const Search&) = delete;
    Expressions& of;
    std::unordered_map<Expr, Expr> derived;
  };
  const Search search(*this);
  std::unordered_map<Expr, Expr> visits{{both, both}};  // each with where it was reached from
  size_t steps = 0;
  std::deque<Expr> queue{both};
  Expr found = surely_alive(both) ? both : kNothing;
  while (!queue.empty() && found == kNothing) {
    const Expr e = queue.front();
    queue.pop_front();
    const std::vector<uint8_t> alphabet = kinds_of_first(e);
    for (const uint8_t byte : alphabet) {
      derived_.clear();
      const Expr next = derive(e, byte);
      if (next == kNothing || !visits.try_emplace(next, e).second) continue;
      queue.push_back(next);
      if (!surely_alive(next)) continue;
      found = next;
      break;
    }
    steps += alphabet.size();
    if (steps > kMostSearch)
      fail(ErrorKind::kTooLarge,
           "the conditions on one text are too complex to be combined; drop one, or make bounds "
           "smaller");
  }
  if (found == kNothing) {
    for (const auto& [e, from] : visits)
      if (nodes_[e].kind == Kind::kBoth) alive_.emplace(e, false);
    return false;
  }
  for (Expr e = found;; e = visits.at(e)) {
    if (nodes_[e].kind == Kind::kBoth) alive_.insert_or_assign(e, true);
    if (e == both) break;
  }
  return true;
}

bool Expressions::matches(Expr e, std::string_view text) {
  for (const char c : text) {
    e = after(e, static_cast<uint8_t>(c));
    if (e == kNothing) return false;
  }
  return nodes_[e].nullable;
}

// What holds for a rule follows from what holds for the parts of its body: beginning with none,
// until nothing more follows. `any_text`: whether some text matches, else whether the empty one
// does.
std::vector<bool> Expressions::settle_rules(bool any_text) const {
  std::vector<bool> rules(bodies_.size(), false), holds(nodes_.size());
  const auto follows = [&](Expr e) -> bool {
    const Node& node = nodes_[e];
    switch (node.kind) {
      case Kind::kNone:
        return false;
      case Kind::kSequence:
        return holds[node.a] && holds[node.b];
      case Kind::kRepeat:
        return node.min == 0 || holds[node.a];
      case Kind::kGroup:
        return holds[node.a];
      case Kind::kRule:
        return rules[node.a];
      case Kind::kChoice:
        return std::ranges::any_of(alternatives(e), [&](Expr part) { return holds[part]; });
      default:
        return any_text || node.nullable;
    }
  };
  // Parts come before what they are parts of, so one pass settles all that the rules known so far
  // allow.
  for (bool changed = true; changed;) {
    changed = false;
    for (Expr e = 0; e < nodes_.size(); ++e) holds[e] = follows(e);
    for (size_t rule = 0; rule < rules.size(); ++rule) {
      if (rules[rule] || !holds[bodies_[rule]]) continue;
      rules[rule] = changed = true;
    }
  }
  return rules;
}

size_t Expressions::left_recursive_rule() const {
  // By rule: the rules that one of its texts may begin with.
  std::vector<std::vector<uint32_t>> begins(bodies_.size());
  for (size_t rule = 0; rule < bodies_.size(); ++rule) {
    std::vector<Expr> open{bodies_[rule]};
    std::vector<bool> seen(nodes_.size(), false);
    while (!open.empty()) {
      const Expr e = open.back();
      open.pop_back();
      if (seen[e] || !nodes_[e].has_rule) continue;
      seen[e] = true;
      const Node& node = nodes_[e];
      if (node.kind == Kind::kRule) {
        begins[rule].push_back(node.a);
      } else if (node.kind == Kind::kChoice) {
        open.insert(open.end(), alternatives(e).begin(), alternatives(e).end());
      } else {
        open.push_back(node.a);
        if (node.kind == Kind::kSequence && nodes_[node.a].nullable) open.push_back(node.b);
      }
    }
  }
  // A rule that cannot be peeled off because it waits for itself is in a circle.
  std::vector<size_t> waits(bodies_.size(), 0);
  std::vector<std::vector<size_t>> users(bodies_.size());
  std::vector<size_t> ready;
  for (size_t rule = 0; rule < begins.size(); ++rule) {
    waits[rule] = begins[rule].size();
    for (const uint32_t first : begins[rule]) users[first].push_back(rule);
    if (begins[rule].empty()) ready.push_back(rule);
  }
  while (!ready.empty()) {
    const size_t done = ready.back();
    ready.pop_back();
    for (const size_t user : users[done])
      if (--waits[user] == 0) ready.push_back(user);
  }
  const auto stuck = std::ranges::find_if(waits, [](size_t count) { return count > 0; });
  return static_cast<size_t>(stuck - waits.begin());
}

}  // namespace cria::grammar
