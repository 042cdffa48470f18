// template.h - the Jinja2 language as chat templates use it (blocks trimmed as Hugging Face's
// transformers sets it up).
//
// A template is hostile input: parsing and rendering have limits, and it sees nothing but its data.
// Mutating methods of lists and dicts are allowed, which Jinja2's immutable sandbox refuses: some
// published templates need them. Integers have 64 bits; Python's have no end.
#pragma once

#include "base/json.h"

#include <ctime>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace cria::jinja {

struct Limits {
  int64_t max_steps = 10'000'000;         // expressions evaluated; long texts count for more
  size_t max_output = size_t{64} << 20;   // bytes, of any text under construction
  size_t max_memory = size_t{256} << 20;  // bytes of all values made, whether still used or not
};

struct Settings {
  Limits limits = {};
  std::optional<std::tm> now;  // what strftime_now sees; the local time when absent
};

struct Program;

class Template {
 public:
  // Throws Error{kInvalidInput} "jinja:LINE:COLUMN: ...".
  static Template parse(std::string_view source);
  ~Template();
  Template(Template&&) noexcept;
  Template& operator=(Template&&) noexcept;

  // `variables` is an object. Throws Error{kInvalidInput} with line and column, or with just the
  // message when the template called raise_exception; {kTooLarge} over a limit.
  std::string render(const Json& variables, const Settings& settings = {}) const;
  // The same; on an error `out` holds what was written before it.
  void render_into(std::string& out, const Json& variables, const Settings& settings = {}) const;

  const Program& program() const { return *program_; }

 private:
  explicit Template(std::unique_ptr<Program> program);
  std::unique_ptr<Program> program_;
};

}  // namespace cria::jinja
