#include "text/template/template.h"

#include "base/error.h"
#include "text/template/exec.h"
#include "text/template/parser.h"

#include <algorithm>
#include <set>

namespace cria::text {

struct Template::Impl {
  ParsedTemplate parsed;
};

namespace {

void collect(const Pipe& pipe, std::set<std::string>& names);

void collect(const Expr& e, std::set<std::string>& names) {
  names.insert(e.fields.begin(), e.fields.end());
  for (const Pipe& p : e.pipe) collect(p, names);
  for (const Expr& b : e.base) collect(b, names);
}

void collect(const Pipe& pipe, std::set<std::string>& names) {
  for (const Command& c : pipe.commands) {
    for (const Expr& e : c.words) collect(e, names);
  }
}

void collect(const Nodes& nodes, std::set<std::string>& names) {
  for (const Node& n : nodes) {
    for (const Pipe& p : n.pipe) collect(p, names);
    collect(n.body, names);
    collect(n.otherwise, names);
  }
}

bool lacks_argument(const Nodes& nodes) {
  return std::any_of(nodes.begin(), nodes.end(), [](const Node& n) {
    return (n.kind == NodeKind::kTemplate && n.pipe.empty()) || lacks_argument(n.body) ||
           lacks_argument(n.otherwise);
  });
}

// True when the cut has been made: the caller deletes what follows.
bool cut(Nodes& nodes, const std::string& field) {
  for (size_t i = 0; i < nodes.size(); ++i) {
    Node& n = nodes[i];
    bool found = false;
    if (n.kind == NodeKind::kAction) {
      std::set<std::string> names;
      collect(n.pipe[0], names);
      found = names.contains(field);
    } else if (cut(n.body, field)) {
      n.otherwise.clear();
      found = true;
    } else {
      found = cut(n.otherwise, field);
    }
    if (found) {
      nodes.resize(i + 1);
      return true;
    }
  }
  return false;
}

}  // namespace

Template::Template(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Template::~Template() = default;
Template::Template(Template&&) noexcept = default;
Template& Template::operator=(Template&&) noexcept = default;

Template Template::parse(std::string_view source) {
  return Template(std::make_unique<Impl>(Impl{parse_template(source)}));
}

std::string Template::execute(const Json& data, const TemplateLimits& limits) const {
  return execute(Value::from_json(data), limits);
}

std::string Template::execute(const Value& data, const TemplateLimits& limits) const {
  std::string text;
  execute_into(text, data, limits);
  return text;
}

void Template::execute_into(std::string& out, const Value& data,
                            const TemplateLimits& limits) const {
  Output written(limits.max_output);
  try {
    execute_template(impl_->parsed, data, limits, written);
  } catch (const Error&) {
    out = written.take();
    throw;
  }
  out = written.take();
}

std::vector<std::string> Template::variables() const {
  std::set<std::string> names;
  collect(impl_->parsed.root, names);
  for (const auto& [name, nodes] : impl_->parsed.defined) collect(nodes, names);
  return {names.begin(), names.end()};
}

bool Template::calls_without_argument() const {
  return lacks_argument(impl_->parsed.root) ||
         std::any_of(impl_->parsed.defined.begin(), impl_->parsed.defined.end(),
                     [](const auto& d) { return lacks_argument(d.second); });
}

const ParsedTemplate& Template::parsed() const {
  return impl_->parsed;
}

void Template::cut_after(std::string_view field) {
  cut(impl_->parsed.root, std::string(field));
}

}  // namespace cria::text
