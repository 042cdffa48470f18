#include "text/chat/call_search.h"

#include "base/error.h"
#include "text/chat/parse.h"

#include <algorithm>
#include <utility>

namespace cria::text {

namespace {

constexpr size_t kNowhere = std::string_view::npos;
// Braces in braces that are no JSON are read once for each level, but no more than this together.
constexpr size_t kMostTried = size_t{16} << 20;

std::optional<Json> as_object(const Json& value) {
  if (value.is_object()) return value;
  if (!value.is_string()) return std::nullopt;
  try {
    Json parsed = parse_json(value.get<std::string>());
    if (parsed.is_object()) return parsed;
  } catch (const Error&) {
  }
  return std::nullopt;
}

enum class Search { kFound, kWait, kNothing };

Search find_arguments(const Json& value, const std::string& tool, Json& out) {
  if (value.is_array()) {
    for (const Json& item : value) {
      if (const Search s = find_arguments(item, tool, out); s != Search::kNothing) return s;
    }
    return Search::kNothing;
  }
  if (!value.is_object()) return Search::kNothing;
  if (value.contains("name")) {
    for (const char* key : {"arguments", "parameters"}) {
      const Json* given = json_find(value, key);
      if (auto object = given ? as_object(*given) : std::nullopt) {
        out = std::move(*object);
        return Search::kFound;
      }
    }
    return Search::kWait;
  }
  if (const Json* own = json_find(value, tool)) {
    if (auto object = as_object(*own)) {
      out = std::move(*object);
      return Search::kFound;
    }
  }
  for (const auto& [key, item] : value.items()) {
    if (const Search s = find_arguments(item, tool, out); s != Search::kNothing) return s;
  }
  return Search::kNothing;
}

}  // namespace

void CallSearch::reset() {
  at_.assign(names_.size(), kNowhere);
  searched_ = 0;
  object_ = {};
}

// The tool that the text names first, and of those that begin there the longest.
std::optional<size_t> CallSearch::first_name(std::string_view text, bool last) {
  const auto rank = [&](size_t i) { return std::pair(at_[i], -std::ssize(names_[i])); };
  std::optional<size_t> first;
  bool begun = false;
  for (size_t i = 0; i < names_.size(); ++i) {
    const std::string& name = names_[i];
    if (at_[i] == kNowhere)
      at_[i] = text.find(name, searched_ - std::min(searched_, name.size() - 1));
    // A name that is only begun may become another, longer one.
    const size_t part = overlap(text, name);
    begun = begun || (part > 0 && part < name.size());
    if (at_[i] != kNowhere && (!first || rank(i) < rank(*first))) first = i;
  }
  searched_ = text.size();
  return begun && !last ? std::nullopt : first;
}

// Reads on to the brace that closes the object. False while it is not there.
bool CallSearch::close_object(std::string_view text) {
  for (Object& o = object_; o.read < text.size();) {
    const char c = text[o.read++];
    if (o.depth == 0) {
      if (c != '{') continue;
      o.begin = o.read - 1;
      o.depth = 1;
    } else if (o.in_string) {
      if (!o.escaped && c == '"') o.in_string = false;
      o.escaped = !o.escaped && c == '\\';
    } else if (c == '"') {
      o.in_string = true;
    } else if (c == '{') {
      ++o.depth;
    } else if (c == '}' && --o.depth == 0) {
      return true;
    }
  }
  return false;
}

// The first object of the text that is JSON.
bool CallSearch::find_object(std::string_view text) {
  Object& o = object_;
  while (!o.json && o.tried < kMostTried && close_object(text)) {
    const size_t size = o.read - o.begin;
    try {
      o.json = parse_json(text.substr(o.begin, size));
    } catch (const Error&) {  // braces of a text: look further
      o.tried += size;
      o.read = o.begin + 1;
    }
  }
  return o.json.has_value();
}

std::optional<CallSearch::Call> CallSearch::next(std::string_view text, bool last) {
  const std::optional<size_t> tool = first_name(text, last);
  if (!tool || object_.useless || !find_object(text)) return std::nullopt;
  const Json& object = *object_.json;
  Call call = {.name = names_[*tool],
               .arguments = object,
               .end = std::max(at_[*tool] + names_[*tool].size(), object_.read)};
  // What the object itself calls its name counts for more than a name anywhere.
  const auto own =
      std::ranges::find_if(names_, [given = json_find(object, "name")](const std::string& name) {
        return given != nullptr && *given == name;
      });
  if (own != names_.end()) {
    call.name = *own;
    call.end = object_.read;
  }
  object_.useless = find_arguments(object, call.name, call.arguments) == Search::kWait;
  if (object_.useless) return std::nullopt;
  reset();
  return call;
}

}  // namespace cria::text
