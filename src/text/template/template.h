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

struct TemplateLimits {
  int64_t max_steps = 10'000'000;       // nodes executed
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

  // `data` is the dot. Throws Error{kInvalidInput} on what Go's exec would refuse.
  std::string execute(const Json& data, const TemplateLimits& limits = {}) const;
  // Names of the top-level fields and $-fields it reads: ".Tools" gives "Tools"; for capabilities.
  std::vector<std::string> variables() const;

 private:
  struct Impl;
  explicit Template(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace cria::text
