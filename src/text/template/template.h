// template.h - the Go text/template language, as model templates use it.
//
// A template is hostile input: parsing and execution have limits, and it sees nothing but its data.
#pragma once

#include "base/json.h"

#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace cria::text {

class Value;
struct ParsedTemplate;

struct TemplateLimits {
  int64_t max_steps = 10'000'000;        // nodes executed
  size_t max_output = size_t{64} << 20;  // bytes
  int max_depth = 100;                   // nested template calls, and nesting while parsing
};

class Template {
 public:
  // Throws Error{kInvalidInput} with line and column.
  static Template parse(std::string_view source);
  ~Template();
  Template(Template&&) noexcept;
  Template& operator=(Template&&) noexcept;

  // `data` is the dot. Throws Error{kInvalidInput} on what Go's exec would refuse, kTooLarge over a
  // limit.
  std::string execute(const Json& data, const TemplateLimits& limits = {}) const;
  std::string execute(const Value& data, const TemplateLimits& limits = {}) const;
  // The same; on an error `out` holds what was written before it.
  void execute_into(std::string& out, const Value& data, const TemplateLimits& limits = {}) const;

  // Every field name it reads anywhere, sorted: ".Tools", "$.Tools" and "$x.Tools" give "Tools".
  std::vector<std::string> variables() const;
  // Whether some {{template "x"}} has no argument; Ollama refuses those.
  bool calls_without_argument() const;
  const ParsedTemplate& parsed() const;

  // Deletes all that stands after the first action that reads a field called `field`, in document
  // order: what is left renders an answer that the model goes on writing. Conditions do not count.
  void cut_after(std::string_view field);

 private:
  struct Impl;
  explicit Template(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace cria::text
