#include "text/jinja/template.h"

#include "base/error.h"
#include "text/jinja/interpreter.h"
#include "text/jinja/parser.h"

namespace cria::jinja {

Template::Template(std::unique_ptr<Program> program) : program_(std::move(program)) {}
Template::~Template() = default;
Template::Template(Template&&) noexcept = default;
Template& Template::operator=(Template&&) noexcept = default;

Template Template::parse(std::string_view source) {
  return Template(jinja::parse(source));
}

std::string Template::render(const Json& variables, const Settings& settings) const {
  std::string out;
  render_into(out, variables, settings);
  return out;
}

void Template::render_into(std::string& out, const Json& variables,
                           const Settings& settings) const {
  Interpreter interpreter(*program_, variables, settings);
  try {
    interpreter.run();
  } catch (const Error&) {
    out = std::move(interpreter.written());
    throw;
  }
  out = std::move(interpreter.written());
}

}  // namespace cria::jinja
