#include "text/grammar/numbers.h"

#include "base/error.h"

#include <array>
#include <cstdint>
#include <limits>
#include <numeric>
#include <string>
#include <string_view>
#include <vector>

namespace cria::grammar {
namespace {

constexpr int32_t kMostDigits = 20;
constexpr int32_t kMostExact = 15;  // what floating point holds

// |value|, without zeros that say nothing.
struct Decimal {
  bool negative = false;
  std::string whole, fraction;
  bool zero() const { return whole == "0" && fraction.empty(); }
};

Decimal decimal(const Json& value, std::string_view what = "bound") {
  std::string text = dump_json(value);
  Decimal out;
  if (text.starts_with('-')) {
    out.negative = true;
    text.erase(0, 1);
  }
  const size_t point = text.find('.');
  out.whole = text.substr(0, point);
  if (point != std::string::npos) out.fraction = text.substr(point + 1);
  while (out.fraction.ends_with('0')) out.fraction.pop_back();
  if (text.find_first_of("eE") != std::string::npos || out.whole.size() > kMostDigits ||
      out.fraction.size() > kMostDigits)
    fail(ErrorKind::kUnsupported, "the {} {} has an exponent or more than {} digits", what,
         dump_json(value), kMostDigits);
  if (out.zero()) out.negative = false;
  return out;
}

// number / 10^places.
struct Divisor {
  int64_t number = 1;
  int32_t places = 0;
};

// Without zeros at the end, which cost no states.
int64_t remainders(int64_t number) {
  while (number > 0 && number % 10 == 0) number /= 10;
  return number;
}

// Throws for what is too large to be counted by an automaton.
void check_size(int64_t number, const Json& value) {
  constexpr int64_t kMostNumber = 1'000'000, kMostRemainders = 1024;
  if (number == 0 || number > kMostNumber || remainders(number) > kMostRemainders)
    fail(ErrorKind::kUnsupported,
         "\"multipleOf\": {} is not supported: without zeros at its end, and together with others, "
         "it may be at most {}",
         dump_json(value), kMostRemainders);
}

Divisor divisor(const Json& value) {
  constexpr size_t kMostPlaces = 6;
  const Decimal from = decimal(value, "\"multipleOf\"");
  Divisor out{.number = 0, .places = static_cast<int32_t>(from.fraction.size())};
  int64_t fives = 1;
  for (size_t i = 0; i < from.fraction.size(); ++i) fives *= 5;
  const std::string digits = from.whole + from.fraction;
  if (from.fraction.size() <= kMostPlaces && digits.size() < kMostDigits - 2)
    out.number = std::stoll(digits);
  check_size(out.number, value);
  if (out.number % fives != 0)
    fail(ErrorKind::kUnsupported,
         "\"multipleOf\": {} is not supported: it is no binary fraction (as 0.5 and 0.125 are), so "
         "that validators round differently; use a smaller unit",
         dump_json(value));
  return out;
}

// Its multiples are those of all.
Divisor common_divisor(const std::vector<Json>& values) {
  Divisor out = divisor(values.front());
  for (const Json& value : values) {
    Divisor next = divisor(value);
    for (; out.places < next.places; ++out.places) out.number *= 10;
    for (; next.places < out.places; ++next.places) next.number *= 10;
    out.number = std::lcm(out.number, next.number);
    for (; out.places > 0 && out.number % 10 == 0; --out.places) out.number /= 10;
    check_size(out.number, value);
  }
  return out;
}

class Numbers {
 public:
  explicit Numbers(Expressions& to) : to_(to) {}

  Expr digits(int32_t min, int32_t max) { return to_.repeat(range('0', '9'), min, max); }
  Expr whole(int32_t most = kMostDigits) {
    return to_.choice(to_.literal("0"), to_.sequence(range('1', '9'), digits(0, most - 1)));
  }
  Expr fraction() { return to_.sequence(to_.literal("."), digits(1, kMostDigits)); }
  // Without a sign.
  Expr multiples(const Divisor& divisor, bool whole_only) {
    std::vector<Expr> out;
    for (int32_t places = 0; places <= (whole_only ? 0 : divisor.places); ++places) {
      // Digits that are missing are zeros: what they do to the number they need not do any more.
      int64_t shift = 1;
      for (int32_t i = places; i < divisor.places; ++i) shift *= 10;
      const int64_t number = divisor.number / std::gcd(divisor.number, shift);
      out.push_back(
          places == 0 ? whole_multiples(number, kMostExact - divisor.places)
                      : to_.both(to_.sequence(std::array{whole(kMostExact - divisor.places),
                                                         to_.literal("."), digits(places, places)}),
                                 to_.multiple(static_cast<uint32_t>(number))));
    }
    return to_.choice(out);
  }
  Expr negative(Expr e) { return to_.sequence(to_.literal("-"), e); }

  // Numbers without a sign that are at least (at most) `bound`, or more (less).
  Expr above(const Decimal& bound, bool strict) {
    Expr tail = kNothing;
    if (!bound.fraction.empty())
      tail = to_.sequence(to_.literal("."), fraction_above(bound.fraction, strict));
    else
      tail = strict ? to_.sequence(to_.literal("."), not_all_zero()) : to_.optional(fraction());
    return to_.choice(to_.sequence(whole_above(bound.whole), to_.optional(fraction())),
                      to_.sequence(to_.literal(bound.whole), tail));
  }
  Expr below(const Decimal& bound, bool strict) {
    Expr tail = kNothing;
    if (!bound.fraction.empty())
      tail = to_.optional(to_.sequence(to_.literal("."), fraction_below(bound.fraction, strict)));
    else if (!strict)
      tail = to_.optional(to_.sequence(to_.literal("."), zeros(1)));
    return to_.choice(to_.sequence(whole_below(bound.whole), to_.optional(fraction())),
                      to_.sequence(to_.literal(bound.whole), tail));
  }

  // With signs. Minus zero is spelled 0.
  Expr at_least(const Bound& bound) {
    const Decimal value = decimal(bound.value);
    if (!value.negative) return above(value, bound.strict);
    return to_.choice(unsigned_number(), negative(below(value, bound.strict)));
  }
  Expr at_most(const Bound& bound) {
    const Decimal value = decimal(bound.value);
    if (value.negative) return negative(above(value, bound.strict));
    return to_.choice(below(value, bound.strict), negative(unsigned_number()));
  }
  Expr unsigned_number() { return to_.sequence(whole(), to_.optional(fraction())); }

 private:
  // Zeros at the end of the divisor are zeros at the end of the multiple, and no states.
  Expr whole_multiples(int64_t of, int32_t most) {
    int32_t tens = 0;
    for (; of % 10 == 0; of /= 10) ++tens;
    const Expr nonzero = to_.sequence(range('1', '9'), digits(0, most - tens - 1));
    const Expr head = to_.both(nonzero, to_.multiple(static_cast<uint32_t>(of)));
    return to_.choice(to_.literal("0"), to_.sequence(head, to_.repeat(digit('0'), tens, tens)));
  }
  Expr range(char first, char last) {
    if (first > last) return kNothing;
    return to_.byte_range(static_cast<uint8_t>(first), static_cast<uint8_t>(last));
  }
  Expr digit(char c) { return range(c, c); }
  Expr zeros(int32_t min) { return to_.repeat(digit('0'), min, kMostDigits); }
  Expr not_all_zero() {
    const std::vector<Expr> parts = {zeros(0), range('1', '9'), digits(0, kMostDigits)};
    return to_.sequence(parts);
  }

  Expr whole_above(std::string_view bound) {
    const auto size = static_cast<int32_t>(bound.size());
    std::vector<Expr> parts;
    if (size < kMostDigits)
      parts.push_back(to_.sequence(range('1', '9'), digits(size, kMostDigits - 1)));
    for (size_t i = 0; i < bound.size(); ++i)
      parts.push_back(differing(bound, i, range(static_cast<char>(bound[i] + 1), '9')));
    return to_.choice(parts);
  }
  Expr whole_below(std::string_view bound) {
    const auto size = static_cast<int32_t>(bound.size());
    std::vector<Expr> parts;
    if (size > 1) {
      parts.push_back(digit('0'));
      parts.push_back(to_.sequence(range('1', '9'), digits(0, size - 2)));
    }
    for (size_t i = 0; i < bound.size(); ++i) {
      const char least = i == 0 && size > 1 ? '1' : '0';
      parts.push_back(differing(bound, i, range(least, static_cast<char>(bound[i] - 1))));
    }
    return to_.choice(parts);
  }
  // As long as `bound`, the same up to digit i, and there one of `next`.
  Expr differing(std::string_view bound, size_t i, Expr next) {
    const auto rest = static_cast<int32_t>(bound.size() - i - 1);
    return to_.sequence(to_.literal(bound.substr(0, i)), to_.sequence(next, digits(rest, rest)));
  }

  Expr fraction_above(std::string_view bound, bool strict) {
    Expr out = strict ? not_all_zero() : digits(0, kMostDigits);
    for (size_t i = bound.size(); i > 0; --i) {
      const char c = bound[i - 1];
      out = to_.choice(to_.sequence(range(static_cast<char>(c + 1), '9'), digits(0, kMostDigits)),
                       to_.sequence(digit(c), out));
    }
    return out;
  }
  // `bound` does not end in 0, so a beginning of it that stops early is less.
  Expr fraction_below(std::string_view bound, bool strict) {
    Expr out = strict ? kNothing : zeros(0);
    for (size_t i = bound.size(); i > 0; --i) {
      const char c = bound[i - 1];
      const Expr same = i == bound.size() ? out : to_.optional(out);
      out = to_.choice(to_.sequence(range('0', static_cast<char>(c - 1)), digits(0, kMostDigits)),
                       to_.sequence(digit(c), same));
    }
    return out;
  }

  Expressions& to_;
};

template <class Integer>
NumberRange all_of() {
  return {.whole = true,
          .least = Bound{.value = std::numeric_limits<Integer>::min()},
          .most = Bound{.value = std::numeric_limits<Integer>::max()}};
}

}  // namespace

NumberRange number_range(const Json& schema, bool whole) {
  const auto has = [&](const char* key) { return schema.find(key) != schema.end(); };
  NumberRange out{.whole = whole, .least = {}, .most = {}};
  const auto bound = [&](const char* plain, const char* strict, bool least) {
    std::optional<Bound> result;
    if (has(plain)) result = {.value = schema[plain], .strict = false};
    if (!has(strict)) return result;
    const Json& value = schema[strict];
    const auto number = value.get<double>();
    const bool tighter = !result || (least ? number >= result->value.get<double>()
                                           : number <= result->value.get<double>());
    if (tighter) result = {.value = value, .strict = true};
    return result;
  };
  out.least = bound("minimum", "exclusiveMinimum", true);
  out.most = bound("maximum", "exclusiveMaximum", false);
  if (has("multipleOf")) {
    const Json& divisors = schema["multipleOf"];
    if (divisors.is_array())
      out.multiple_of.assign(divisors.begin(), divisors.end());
    else
      out.multiple_of = {divisors};
  }
  return out;
}

std::optional<NumberRange> integer_format(std::string_view name) {
  if (name == "int8") return all_of<int8_t>();
  if (name == "int16") return all_of<int16_t>();
  if (name == "int32") return all_of<int32_t>();
  if (name == "int" || name == "int64") return all_of<int64_t>();
  if (name == "uint8") return all_of<uint8_t>();
  if (name == "uint16") return all_of<uint16_t>();
  if (name == "uint32") return all_of<uint32_t>();
  if (name == "uint" || name == "uint64") return all_of<uint64_t>();
  return std::nullopt;
}

Expr number(Expressions& to, const NumberRange& range) {
  Numbers numbers(to);
  const Expr sign = to.optional(to.literal("-"));
  if (!range.least && !range.most && range.multiple_of.empty()) {
    if (range.whole) return to.sequence(sign, numbers.whole());
    Bytes e, plus_minus;
    e.set('e').set('E');
    plus_minus.set('+').set('-');
    const std::vector<Expr> exponent = {to.bytes(e), to.optional(to.bytes(plus_minus)),
                                        numbers.digits(1, 2)};
    const std::vector<Expr> parts = {sign, numbers.unsigned_number(),
                                     to.optional(to.sequence(exponent))};
    return to.sequence(parts);
  }
  Expr out = to.sequence(sign, range.whole ? numbers.whole() : numbers.unsigned_number());
  if (!range.multiple_of.empty())
    out = to.sequence(sign, numbers.multiples(common_divisor(range.multiple_of), range.whole));
  if (range.least) out = to.both(out, numbers.at_least(*range.least));
  if (range.most) out = to.both(out, numbers.at_most(*range.most));
  return out;
}

}  // namespace cria::grammar
