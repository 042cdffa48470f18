#include "text/grammar/schema.h"

#include "base/error.h"
#include "text/grammar/conditional.h"
#include "text/grammar/json_parts.h"
#include "text/grammar/numbers.h"
#include "text/grammar/pattern.h"
#include "text/grammar/schema_keywords.h"
#include "text/grammar/string_formats.h"
#include "text/grammar/whole_formats.h"

#include <algorithm>
#include <array>
#include <deque>
#include <map>
#include <optional>
#include <ranges>
#include <string>

namespace cria::grammar {
namespace {

constexpr int kMostDepth = 100;
constexpr int kMostSchemas = 20'000;
constexpr int32_t kMostCount = 100'000;

bool has(const Json& schema, std::string_view key) {
  return schema.find(key) != schema.end();
}

class Compiler {
 public:
  Compiler(Expressions& to, const Json& root, const std::vector<bool>& dead)
      : to_(to), root_(root), dead_(dead), parts_(to) {}

  Expr compile() {
    const Expr out = reference("#", "#");
    while (!waiting_.empty()) {
      const auto [rule, pointer] = waiting_.front();
      waiting_.pop_front();
      to_.define_rule(rule, value(resolve(root_, pointer, pointer), pointer, 0));
    }
    return out;
  }

 private:
  struct Count {
    int32_t min = 0, max = kNoLimit;
  };
  // Constants that somebody listed beside a "format", or beside alternatives one of which has it.
  enum class Constants { kListed, kOfAlternative };

  Expr reference(const std::string& pointer, const std::string& place) {
    resolve(root_, pointer, place);  // must be there
    auto known = rules_.find(pointer);
    if (known == rules_.end()) {
      known = rules_.emplace(pointer, to_.declare_rule(false)).first;
      waiting_.emplace_back(known->second, pointer);
    }
    const size_t number = to_[known->second].a;
    return number < dead_.size() && dead_[number] ? kNothing : known->second;
  }

  void spend(int depth, const std::string& place) {
    if (depth > kMostDepth)
      fail(ErrorKind::kTooLarge,
           "the schema is too deep at {}; a \"$ref\" that is combined with "
           "other keywords must not come back to itself",
           place);
    if (++spent_ > kMostSchemas)
      fail(ErrorKind::kTooLarge, "the schema is too large: more than {} parts", kMostSchemas);
  }

  Expr value(const Json& schema, const std::string& place, int depth) {
    spend(depth, place);
    if (schema.is_object() && has(schema, "$ref")) {
      check_keywords(schema, place);
      const bool alone = std::ranges::all_of(schema.items(), [](const auto& item) {
        const std::string& key = item.key();
        return key == "$ref" || is_annotation(key) || key == "$defs" || key == "definitions" ||
               key == "$id";
      });
      if (alone) return reference(schema["$ref"].get<std::string>(), child(place, "$ref"));
    }
    return flat_value(flat(schema, place, depth), place, depth);
  }

  // Without $ref, allOf and if. Conditions come last: their opposites need all that is known.
  Json flat(const Json& schema, const std::string& place, int depth) {
    std::vector<Conditional> conditionals;
    Json out = gathered(schema, place, depth, conditionals);
    const Json base = out;
    for (const Conditional& one : conditionals)
      out = merge_schemas(out,
                          as_choice(one, base,
                                    [&](const Json& part) {
                                      return flat(part, child(one.place, "if"), depth + 1);
                                    }),
                          one.place);
    return out;
  }

  // Without $ref and allOf; what they hold of conditions stands in `conditionals`.
  Json gathered(const Json& schema, const std::string& place, int depth,
                std::vector<Conditional>& conditionals) {
    spend(depth, place);
    if (schema.is_boolean()) return schema;
    check_keywords(schema, place);
    Json own = Json::object();
    for (const auto& [name, value] : schema.items())
      if (!std::ranges::count(std::array{"$ref", "allOf", "if", "then", "else"}, name))
        own[name] = value;
    if (has(schema, "if")) conditionals.push_back(conditional(schema, place));
    Json out = merge_schemas(own, Json::object(), place);
    if (has(schema, "$ref")) {
      const auto pointer = schema["$ref"].get<std::string>();
      const Json& target = resolve(root_, pointer, child(place, "$ref"));
      out = merge_schemas(out, gathered(target, pointer, depth + 1, conditionals), place);
    }
    if (has(schema, "allOf"))
      for (const Json& part : schema["allOf"])
        out = merge_schemas(out, gathered(part, child(place, "allOf"), depth + 1, conditionals),
                            place);
    return out;
  }

  static Conditional conditional(const Json& schema, const std::string& place) {
    Conditional out{.condition = schema["if"], .place = place};
    if (has(schema, "then")) out.then = schema["then"];
    if (has(schema, "else")) out.otherwise = schema["else"];
    return out;
  }

  Expr flat_value(const Json& schema, const std::string& place, int depth,
                  Constants which = Constants::kListed) {
    spend(depth, place);
    if (schema.is_boolean()) return schema == true ? parts_.any_value() : kNothing;
    for (const char* keyword : {"anyOf", "oneOf"})
      if (has(schema, keyword)) return alternatives(schema, keyword, place, depth);
    if (has(schema, "enum")) return constants(schema, place, depth, which);
    if (schema.empty()) return parts_.any_value();
    const std::vector<std::string> types = types_of(schema);
    std::vector<Expr> out;
    out.reserve(types.size());
    for (const std::string& type : types) out.push_back(typed(schema, type, place, depth));
    return to_.choice(out);
  }

  Expr alternatives(const Json& schema, const std::string& keyword, const std::string& place,
                    int depth) {
    Json rest = schema;
    rest.erase(keyword);
    const std::string at = child(place, keyword);
    const Json& list = schema[keyword];
    std::vector<Expr> out;
    if (keyword == "oneOf") refuse_overlap(list, rest, at, depth);
    for (const Json& one : list)
      out.push_back(rest.empty() ? value(one, at, depth + 1)
                                 : flat_value(merge_schemas(rest, flat(one, at, depth + 1), at), at,
                                              depth + 1, Constants::kOfAlternative));
    return to_.choice(out);
  }

  // oneOf is the same as anyOf where no value can match two alternatives.
  void refuse_overlap(const Json& list, const Json& rest, const std::string& place, int depth) {
    constexpr size_t kMostAlternatives = 200;
    if (list.size() > kMostAlternatives) unsupported("so many alternatives", place);
    std::vector<Json> flats;
    for (const Json& one : list)
      flats.push_back(merge_schemas(rest, flat(one, place, depth + 1), place));
    for (size_t i = 0; i < flats.size(); ++i)
      for (size_t j = 0; j < i; ++j)
        if (!apart(flats[i], flats[j], place, depth))
          fail(
              ErrorKind::kUnsupported,
              "\"oneOf\" at {} has alternatives {} and {} that may match the same value, as far as "
              "can be told; use \"anyOf\", or give them different types or constants",
              place, j, i);
  }

  bool apart(const Json& a, const Json& b, const std::string& place, int depth) {
    if (a == false || b == false) return true;
    if (a.is_boolean() || b.is_boolean()) return false;
    for (const Json* one : {&a, &b})
      if (has(*one, "anyOf") || has(*one, "oneOf")) return false;
    if (has(a, "enum") && has(b, "enum")) return no_common_value(a["enum"], b["enum"]);
    if (!has(a, "type") || !has(b, "type")) return false;
    for (const std::string& one : types_of(a))
      for (const std::string& other : types_of(b)) {
        if (!type_allows({one}, other) && !type_allows({other}, one)) continue;
        if (one == "object" ? !told_apart_by_key(a, b)
                            : one == "array" || overlaps(a, one, b, other, place, depth))
          return false;
      }
    return true;
  }

  bool overlaps(const Json& a, const std::string& type_a, const Json& b, const std::string& type_b,
                const std::string& place, int depth) {
    const auto with_type = [](Json schema, const std::string& type) {
      schema["type"] = type;
      return schema;
    };
    return to_.overlap(
        flat_value(with_type(a, type_a), place, depth + 1, Constants::kOfAlternative),
        flat_value(with_type(b, type_b), place, depth + 1, Constants::kOfAlternative));
  }

  Expr constants(const Json& schema, const std::string& place, int depth, Constants which) {
    Json rest = schema;
    rest.erase("enum");
    const std::vector<std::string> types =
        has(rest, "type") ? types_of(rest) : types_of(Json::object());
    const bool only_type = rest.empty() || (rest.size() == 1 && has(rest, "type"));
    std::map<std::string, Expr> allowed;  // beside the constants, by type
    std::vector<Expr> out;
    for (const Json& value : schema["enum"]) {
      const std::string type = type_of(value);
      if (!type_allows(types, type)) continue;
      if (!only_type) {
        if (value.is_structured())
          unsupported("\"enum\" or \"const\" of lists or objects beside other keywords", place);
        if (!allowed.contains(type)) {
          rest["type"] = type;
          allowed.emplace(type, flat_value(rest, place, depth + 1));
        }
        if (!to_.matches(allowed.at(type), dump_json(canonical(value))) &&
            !keeps_formats(value, rest, place, which))
          continue;
      }
      out.push_back(parts_.constant(value));
    }
    return to_.choice(out);
  }

  // Of a constant that is not among the texts that are written for `schema`: whether this is only
  // because these are fewer than its "format" allows. One that is none of the format is refused by
  // name, but for an alternative, which it merely does not belong to.
  bool keeps_formats(const Json& value, Json schema, const std::string& place, Constants which) {
    if (!has(schema, "format")) return false;
    const std::vector<std::string> formats = texts(schema["format"]);
    schema.erase("format");
    const std::string text = dump_json(canonical(value));
    if (!to_.matches(flat_value(schema, place, 0), text)) return false;
    for (const std::string& format : formats) {
      if (is_of_format(value, text, format)) continue;
      if (which == Constants::kListed)
        fail(ErrorKind::kInvalidInput,
             "the constant {} at {} is no \"{}\", which its \"format\" asks for", dump_json(value),
             place, format);
      return false;
    }
    return true;
  }

  bool is_of_format(const Json& value, const std::string& text, const std::string& format) {
    if (const auto range = integer_format(format))
      return !value.is_number() || to_.matches(number(to_, *range), text);
    if (!value.is_string() || is_description(format)) return true;
    return std::ranges::any_of(
        std::array{format_pattern(format), whole_format_pattern(format)}, [&](const auto& one) {
          return one && to_.matches(parts_.quoted(pattern(std::string(*one), Match::kWhole)), text);
        });
  }

  Expr typed(const Json& schema, const std::string& type, const std::string& place, int depth) {
    if (type == "null") return to_.literal("null");
    if (type == "boolean") return to_.choice(to_.literal("true"), to_.literal("false"));
    if (type == "string") return parts_.quoted(string_content(schema, place));
    if (type == "array") return array(schema, place, depth);
    if (type == "object") return object(schema, place, depth);
    return in_context(place, [&] { return to_.group(numeric(schema, type)); });
  }

  Expr numeric(const Json& schema, const std::string& type) {
    Expr out = number(to_, number_range(schema, type == "integer"));
    if (has(schema, "format"))
      for (const std::string& format : texts(schema["format"]))
        if (const auto range = integer_format(format)) out = to_.both(out, number(to_, *range));
    return out;
  }

  Count counts(const Json& schema, const char* min, const char* max, const std::string& place) {
    Count out;
    const auto read = [&](const char* key) {
      const auto number = schema[key].get<double>();
      if (number > kMostCount)
        fail(ErrorKind::kTooLarge, "\"{}\" at {} is above {}", key, place, kMostCount);
      return static_cast<int32_t>(number);
    };
    if (has(schema, min)) out.min = read(min);
    if (has(schema, max)) out.max = read(max);
    return out;
  }

  static std::vector<std::string> texts(const Json& value) {
    std::vector<std::string> out;
    if (value.is_string()) return {value.get<std::string>()};
    for (const Json& one : value) out.push_back(one.get<std::string>());
    return out;
  }

  // A format of many digits takes milliseconds, and may stand in thousands of places.
  Expr pattern(const std::string& text, Match match) {
    const auto [it, added] = patterns_.try_emplace({match, text});
    if (added) it->second = compile_pattern(to_, text, match, Spelling::kJson);
    return it->second;
  }

  Expr search(const std::string& text, const std::string& place) {
    return in_context(place, [&] { return pattern(text, Match::kAnywhere); });
  }

  // What stands between the quotes.
  Expr string_content(const Json& schema, const std::string& place) {
    const Count count = counts(schema, "minLength", "maxLength", place);
    std::vector<Expr> conditions;
    if (has(schema, "pattern"))
      for (const std::string& one : texts(schema["pattern"]))
        conditions.push_back(search(one, child(place, "pattern")));
    if (has(schema, "format"))
      for (const std::string& one : texts(schema["format"])) {
        if (is_description(one) || integer_format(one)) continue;
        const auto text = format_pattern(one);
        if (!text) unsupported("\"format\": \"" + one + "\"", place);
        conditions.push_back(pattern(std::string(*text), Match::kWhole));
      }
    const bool bounded = has(schema, "minLength") || has(schema, "maxLength");
    if (bounded || conditions.empty())
      conditions.push_back(to_.repeat(parts_.string_character(), count.min, count.max));
    Expr out = conditions.front();
    for (const Expr condition : conditions)
      out = in_context(place, [&] { return to_.both(out, condition); });
    return out;
  }

  Expr array(const Json& schema, const std::string& place, int depth) {
    if (has(schema, "uniqueItems") && schema["uniqueItems"] == true)
      unsupported("\"uniqueItems\"", place);
    const Count count = counts(schema, "minItems", "maxItems", place);
    const bool old_tuple = has(schema, "items") && schema["items"].is_array();
    if (old_tuple && has(schema, "prefixItems")) unsupported("a list in \"items\"", place);
    Json first = Json::array(), more = true;
    if (old_tuple) first = schema["items"];
    if (has(schema, "prefixItems")) first = schema["prefixItems"];
    if (has(schema, "items") && !old_tuple) more = schema["items"];
    if (old_tuple && has(schema, "additionalItems")) more = schema["additionalItems"];
    if (count.min > count.max) return kNothing;
    const auto fixed = std::min<int64_t>(std::ssize(first), count.max);
    const auto left = [&](int32_t bound) {
      return bound == kNoLimit ? kNoLimit
                               : std::max<int32_t>(bound - static_cast<int32_t>(fixed), 0);
    };
    const Expr item =
        left(count.max) == 0 ? kNothing : value(more, child(place, "items"), depth + 1);
    if (fixed == 0)
      return parts_.array(parts_.listed(item, std::max(count.min, 1), count.max), count.min == 0);
    // From the last one back: what follows each.
    Expr tail = to_.repeat(parts_.following(item), left(count.min), left(count.max));
    for (int64_t i = fixed - 1; i >= 0; --i) {
      const Expr one = value(first[static_cast<size_t>(i)], child(place, "prefixItems"), depth + 1);
      tail = to_.sequence(i == 0 ? one : parts_.following(one), tail);
      if (i > 0 && i >= count.min) tail = to_.optional(tail);
    }
    return parts_.array(tail, count.min == 0);
  }

  struct Property {
    Expr member = kNothing;
    bool required = false;
  };

  Expr object(const Json& schema, const std::string& place, int depth) {
    Keys keys(*this, schema, place, depth);
    const std::vector<Property> properties = keys.declared();
    const Expr others = keys.others();
    const Count count = members_allowed(schema, place, properties, others);
    if (count.min > count.max) return kNothing;
    // By the number of members that came before, the most standing for all above it: what follows.
    const auto declared = static_cast<int32_t>(properties.size());
    const int32_t most =
        std::min(std::max(count.max == kNoLimit ? count.min : count.max, 1), std::max(declared, 1));
    std::vector<Expr> ways;
    for (int32_t before = 0; before <= most; ++before)
      ways.push_back(undeclared(others, count, before));
    bool empty = count.min == 0;
    for (const Property& property : std::views::reverse(properties)) {
      for (int32_t before = 0; before <= most; ++before) {
        Expr& way = ways[static_cast<size_t>(before)];
        const Expr member = before == 0 ? property.member : parts_.following(property.member);
        const Expr now =
            before == count.max
                ? kNothing
                : to_.sequence(member, ways[static_cast<size_t>(std::min(before + 1, most))]);
        way = property.required ? now : to_.choice(now, way);
      }
      empty = empty && !property.required;
    }
    return parts_.object(ways.front(), empty);
  }

  // How many members there may be, without the bounds that the keys imply.
  Count members_allowed(const Json& schema, const std::string& place,
                        const std::vector<Property>& properties, Expr others) {
    constexpr int64_t kMostStates = 20'000;
    const auto possible = std::ranges::count_if(
        properties, [](const Property& property) { return property.member != kNothing; });
    Count out = counts(schema, "minProperties", "maxProperties", place);
    if (out.min <= std::ranges::count_if(properties, &Property::required)) out.min = 0;
    if (others == kNothing && possible <= out.max) out.max = kNoLimit;
    if (others == kNothing && possible < out.min && has(schema, "additionalProperties"))
      return {.min = 1, .max = 0};
    // Undeclared keys may repeat each other, and what reads JSON counts them once then.
    if (out.min > possible + (others == kNothing ? 0 : 1))
      unsupported("\"minProperties\" above the number of declared keys and one more", place);
    if ((out.min > 0 || out.max != kNoLimit) &&
        std::ssize(properties) *
                std::min<int64_t>(std::ssize(properties), out.max == kNoLimit ? out.min : out.max) >
            kMostStates)
      unsupported("\"minProperties\" or \"maxProperties\" over so many keys", place);
    return out;
  }

  // The members behind all declared ones. Only the first surely counts towards the minimum.
  Expr undeclared(Expr others, const Count& count, int32_t before) {
    const int32_t needed = std::max(count.min - before, 0);
    const int32_t left = count.max == kNoLimit ? kNoLimit : std::max(count.max - before, 0);
    if (needed > 1 || left < needed) return kNothing;
    if (before > 0) return to_.repeat(parts_.following(others), needed, left);
    return left == 0 ? kNothing : parts_.listed(others, 1, left);
  }

  // The members that an object may have.
  class Keys {
   public:
    Keys(Compiler& by, const Json& schema, const std::string& place, int depth)
        : by_(by),
          schema_(schema),
          place_(place),
          depth_(depth),
          allowed_(by.parts_.string_characters()) {
      if (has(schema, "propertyNames")) restrict_names(schema["propertyNames"]);
      if (!has(schema, "patternProperties")) return;
      for (const auto& [pattern, value] : schema["patternProperties"].items())
        patterns_.push_back({by.search(pattern, child(place, "patternProperties")), value});
    }

    std::vector<Property> declared() {
      std::vector<std::string> names;
      std::vector<Property> out;
      const Json required = has(schema_, "required") ? schema_["required"] : Json::array();
      const auto add = [&](const std::string& name, const Json& value) {
        const bool needed = std::ranges::find(required, Json(name)) != required.end();
        out.push_back({member(name, value), needed});
        taken_.push_back(by_.to_.literal(spelled(name)));
        names.push_back(name);
      };
      if (has(schema_, "properties"))
        for (const auto& [name, value] : schema_["properties"].items()) add(name, value);
      for (const Json& key : required) {
        const auto name = key.get<std::string>();
        if (std::ranges::find(names, name) == names.end())
          add(name, matches_pattern(name) || !has(schema_, "additionalProperties")
                        ? Json(true)
                        : schema_["additionalProperties"]);
      }
      return out;
    }

    // Any one member that is not declared.
    Expr others() {
      Expressions& to = by_.to_;
      std::vector<Expr> out;
      const Expr free = to.negation(to.choice(taken_));
      Expr rest = to.both(allowed_, free);
      for (size_t i = 0; i < patterns_.size(); ++i) {
        const Expr key = to.both(to.both(allowed_, free), patterns_[i].key);
        for (size_t j = 0; j < i; ++j)
          if (to.overlap(key, patterns_[j].key))
            unsupported("a key that matches two patterns of \"patternProperties\"", place_);
        out.push_back(by_.parts_.member(
            by_.parts_.quoted(key),
            by_.value(patterns_[i].value, child(place_, "patternProperties"), depth_ + 1)));
        rest = to.both(rest, to.negation(patterns_[i].key));
      }
      const bool closed = (has(schema_, "properties") || !patterns_.empty()) &&
                          !has(schema_, "additionalProperties");
      if (!closed) {
        const Json additional =
            has(schema_, "additionalProperties") ? schema_["additionalProperties"] : Json(true);
        out.push_back(by_.parts_.member(
            by_.parts_.quoted(rest),
            by_.value(additional, child(place_, "additionalProperties"), depth_ + 1)));
      }
      return to.choice(out);
    }

   private:
    struct Pattern {
      Expr key;
      const Json& value;
    };

    void restrict_names(const Json& names) {
      const std::string at = child(place_, "propertyNames");
      Json flat = by_.flat(names, at, depth_ + 1);
      if (flat.is_boolean()) {
        if (flat == false) allowed_ = kNothing;
        return;
      }
      for (const char* keyword : {"anyOf", "oneOf"})
        if (has(flat, keyword)) unsupported(keyword, at);
      if (has(flat, "type") && !type_allows(types_of(flat), "string")) {
        allowed_ = kNothing;
        return;
      }
      if (has(flat, "enum")) {
        allowed_ = constant_names(std::move(flat), at);
        return;
      }
      allowed_ = by_.string_content(flat, at);
    }

    Expr constant_names(Json schema, const std::string& at) {
      const Json constants = schema["enum"];
      schema.erase("enum");
      schema["type"] = "string";
      const Expr content = by_.string_content(schema, at);
      std::vector<Expr> out;
      for (const Json& one : constants) {
        if (!one.is_string()) continue;
        const std::string text = spelled(one.get<std::string>());
        if (by_.to_.matches(content, text) ||
            by_.keeps_formats(one, schema, at, Constants::kListed))
          out.push_back(by_.to_.literal(text));
      }
      return by_.to_.choice(out);
    }

    static std::string spelled(const std::string& text) {
      const std::string quoted = dump_json(Json(text));
      return quoted.substr(1, quoted.size() - 2);
    }
    bool matches_pattern(const std::string& name) const {
      return std::ranges::any_of(patterns_, [&](const Pattern& pattern) {
        return by_.to_.matches(pattern.key, spelled(name));
      });
    }

    // kNothing when the name itself is not allowed.
    Expr member(const std::string& name, const Json& value) {
      Json combined = value;
      for (const Pattern& pattern : patterns_)
        if (by_.to_.matches(pattern.key, spelled(name))) {
          Json both = Json::array({combined, pattern.value});
          combined = Json::object();
          combined["allOf"] = std::move(both);
        }
      const std::string at = child(child(place_, "properties"), name);
      const Expr content = by_.value(combined, at, depth_ + 1);
      if (!by_.to_.matches(allowed_, spelled(name))) return kNothing;
      return by_.parts_.member(by_.to_.literal('"' + spelled(name) + '"'), content);
    }

    Compiler& by_;
    const Json& schema_;
    const std::string& place_;
    int depth_;
    Expr allowed_;  // what may stand between the quotes of a key
    std::vector<Expr> taken_;
    std::vector<Pattern> patterns_;
  };

  Expressions& to_;
  const Json& root_;
  const std::vector<bool>& dead_;
  JsonParts parts_;
  std::map<std::string, Expr> rules_;  // by pointer
  std::map<std::pair<Match, std::string>, Expr> patterns_;
  std::deque<std::pair<Expr, std::string>> waiting_;  // rules that have no body yet
  int spent_ = 0;
};

}  // namespace

Expr compile_schema(Expressions& to, const Json& schema, const std::vector<bool>& dead) {
  return in_context("invalid JSON schema in format",
                    [&] { return Compiler(to, schema, dead).compile(); });
}

Expr any_object(Expressions& to) {
  return JsonParts(to).any_object();
}

}  // namespace cria::grammar
