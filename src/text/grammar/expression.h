// expression.h - languages of byte strings as expressions, and what is left of one after a byte.
//
// A language is never turned into a machine as a whole: `after` gives the derivative by one byte
// (Brzozowski 1964), an expression again. Equal expressions are one (hash-consing), so the
// derivatives that text really reaches are the states of an automaton that is built as it is
// walked. Counts cost nothing until they are counted, and intersection and complement are two more
// operators. Rules make it recursive; only what holds no rule can be intersected or negated.
//
// All growth is bounded: Error{kTooLarge} instead of exponential time or memory.
#pragma once

#include <array>
#include <bitset>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace cria::grammar {

using Expr = uint32_t;  // index into Expressions
using Bytes = std::bitset<256>;

inline constexpr Expr kNothing = 0;    // matches no text
inline constexpr Expr kEmptyText = 1;  // matches the empty text alone
inline constexpr int32_t kNoLimit = std::numeric_limits<int32_t>::max();

enum class Kind : uint8_t {
  kNone,      // of kNothing
  kEmpty,     // of kEmptyText
  kBytes,     // one byte of set a
  kSequence,  // a, then b; a is no sequence
  kChoice,    // any of the b expressions from a on
  kBoth,      // a and b
  kNot,       // any text but a's
  kRepeat,    // a, min to max times
  kRule,      // what rule a is defined as
  kGroup,     // a; a part of a text whose rest stands apart (see TokenMasks)
  kMultiple,  // digits that make a multiple of b out of a number with remainder a
};

struct Node {
  Kind kind = Kind::kNone;
  bool nullable = false;  // matches the empty text
  bool has_rule = false;
  uint32_t a = 0, b = 0;
  int32_t min = 0, max = 0;
  bool operator==(const Node&) const = default;
};

class Expressions {
 public:
  Expressions();
  const Node& operator[](Expr e) const { return nodes_[e]; }
  size_t size() const { return nodes_.size(); }
  std::span<const Expr> alternatives(Expr choice) const;

  Expr bytes(const Bytes& set);
  Expr byte_range(uint8_t first, uint8_t last);
  Expr literal(std::string_view text);
  Expr sequence(Expr a, Expr b);
  Expr sequence(std::span<const Expr> parts);
  Expr choice(std::span<const Expr> parts);
  Expr choice(Expr a, Expr b) { return choice(std::array{a, b}); }
  Expr optional(Expr e) { return choice(e, kEmptyText); }
  // `max` kNoLimit: any number.
  Expr repeat(Expr e, int32_t min, int32_t max);
  // Both throw Error{kUnsupported} for what holds a rule. An intersection of nothing is kNothing.
  Expr both(Expr a, Expr b);
  Expr negation(Expr e);
  Expr group(Expr e);
  // Digits, none too, that are a multiple of `divisor`. Points between them count for nothing.
  Expr multiple(uint32_t divisor);

  // Rules may be used before they are defined; whoever declares one says whether it matches the
  // empty text.
  Expr declare_rule(bool nullable);
  void define_rule(Expr rule, Expr body);
  size_t rules() const { return bodies_.size(); }
  Expr body(Expr rule) const { return bodies_[nodes_[rule].a]; }
  // By rule: whether some text matches it; whether the empty text does.
  std::vector<bool> productive_rules() const { return settle_rules(true); }
  std::vector<bool> nullable_rules() const { return settle_rules(false); }
  // The first rule that can come back to itself before it has read anything; rules() when none can.
  size_t left_recursive_rule() const;

  // What may follow `byte` in texts of `e`; kNothing when none of them begins with it.
  Expr after(Expr e, uint8_t byte);
  // The classes of all bytes after which the same may follow because no set of bytes that `e` may
  // begin with tells them from `byte`.
  std::vector<uint8_t> classes_like(Expr e, uint8_t byte);
  // Whether some text matches both `a` and `b`.
  bool overlap(Expr a, Expr b) { return both(a, b) != kNothing; }
  bool matches(Expr e, std::string_view text);

  // Bytes that no expression tells apart have one class; may only grow finer while expressions are
  // made by anything but `after`.
  uint8_t class_of(uint8_t byte) const { return class_of_[byte]; }
  size_t classes() const { return representatives_.size(); }

 private:
  std::vector<bool> settle_rules(bool any_text) const;
  Expr intern(const Node& node);
  Expr intern_choice(std::vector<Expr> parts);
  Expr derive(Expr e, uint8_t byte);
  Expr derive_node(const Node& node, uint8_t byte);
  Expr derive_sequence(Expr e, uint8_t byte);
  bool is_alive(Expr both);
  bool led_by_group(Expr e) const;
  void refine_classes(const Bytes& set);
  std::vector<uint32_t> first_sets(Expr e);
  std::vector<uint8_t> kinds_of_first(Expr e);
  bool surely_alive(Expr e) const;

  std::vector<Node> nodes_;
  std::vector<Expr> pool_;  // alternatives
  std::vector<Bytes> sets_;
  std::unordered_multimap<uint64_t, Expr> index_;
  std::unordered_multimap<size_t, uint32_t> set_index_;
  std::vector<Expr> bodies_;  // by rule
  std::array<uint8_t, 256> class_of_{};
  std::vector<uint8_t> representatives_;  // by class
  // Within one derivative shared parts are derived once.
  std::unordered_map<Expr, Expr> derived_;
  std::unordered_map<Expr, bool> alive_;  // of kBoth
  std::vector<uint32_t> digit_sets_;      // what kMultiple reads: each digit, the point
  bool searching_ = false;                // is_alive runs: it asks no further questions
  std::vector<uint32_t> seen_;            // of classes_like: the round in which a node was seen
  uint32_t round_ = 0;
};

}  // namespace cria::grammar
