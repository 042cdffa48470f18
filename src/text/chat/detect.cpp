#include "text/chat/detect.h"

#include "base/error.h"
#include "text/chat/embedded.h"
#include "text/template/literal.h"

#include <algorithm>

namespace cria::text {

namespace {

constexpr size_t kTooFar = 100;

std::optional<std::string_view> embedded_file(std::string_view name) {
  for (const embedded::File* f = embedded::kBuiltinTemplates; !f->name.empty(); ++f) {
    if (f->name == name) return f->content;
  }
  return std::nullopt;
}

std::u32string code_points(std::string_view s) {
  std::u32string out;
  out.reserve(s.size());
  for (size_t i = 0; i < s.size();) out += next_utf8(s, i);
  return out;
}

struct Reference {
  std::u32string text;
  std::string name;
};

const std::vector<Reference>& references() {
  static const std::vector<Reference> all = [] {
    std::vector<Reference> list;
    const Json rows = parse_json(embedded_file("references.json").value());
    for (const Json& row : rows) {
      list.push_back(
          {code_points(row["template"].get<std::string>()), row["name"].get<std::string>()});
    }
    return list;
  }();
  return all;
}

}  // namespace

size_t edit_distance(std::u32string_view a, std::u32string_view b, size_t limit) {
  if (a.size() > b.size()) std::swap(a, b);
  if (b.size() - a.size() >= limit) return limit;
  // Only the band of cells less than `limit` off the diagonal can matter.
  std::vector<size_t> row(a.size() + 1, limit);
  for (size_t j = 0; j <= std::min(a.size(), limit); ++j) row[j] = j;
  for (size_t i = 1; i <= b.size(); ++i) {
    const size_t from = i > limit ? i - limit : 1;
    const size_t to = std::min(a.size(), i + limit);
    size_t diagonal = row[from - 1];
    row[from - 1] = from == 1 ? std::min(i, limit) : limit;
    size_t best = row[from - 1];
    for (size_t j = from; j <= to; ++j) {
      const size_t replaced = diagonal + (a[j - 1] != b[i - 1]);
      diagonal = row[j];
      row[j] = std::min({replaced, diagonal + 1, row[j - 1] + 1, limit});
      best = std::min(best, row[j]);
    }
    if (best >= limit) return limit;
  }
  return row[a.size()];
}

std::optional<BuiltinTemplate> builtin_template(std::string_view name) {
  const auto text = embedded_file(std::string(name) + ".gotmpl");
  const auto parameters = embedded_file(std::string(name) + ".json");
  if (!text || !parameters) return std::nullopt;
  // Of the parameters only the stop strings are defaults.
  const Json all = parse_json(*parameters);
  Json stop = Json::object();
  stop["stop"] = all["stop"];
  return BuiltinTemplate{std::string(name), std::string(*text), std::move(stop)};
}

std::vector<std::string> builtin_template_names() {
  std::vector<std::string> names;
  for (const embedded::File* f = embedded::kBuiltinTemplates; !f->name.empty(); ++f) {
    if (f->name.ends_with(".gotmpl")) names.emplace_back(f->name.substr(0, f->name.size() - 7));
  }
  return names;
}

std::optional<BuiltinTemplate> detect_template(std::string_view chat_template) {
  const std::u32string text = code_points(chat_template);
  size_t best = kTooFar;
  const Reference* found = nullptr;
  for (const Reference& r : references()) {
    const size_t distance = edit_distance(text, r.text, best);
    if (distance < best) {
      best = distance;
      found = &r;
    }
  }
  return found ? builtin_template(found->name) : std::nullopt;
}

}  // namespace cria::text
