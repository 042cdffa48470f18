// modelfile.h - the Modelfile: parsing into what a create request needs, and writing one for show.
//
// Pure: no file is opened. Paths stay as written; whether FROM names a file or a model is the
// caller's business.
#pragma once

#include "base/json.h"

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace cria::api {

struct Modelfile {
  std::vector<std::string> from;                        // at least one
  std::vector<std::string> adapters, drafts, licenses;  // in order
  std::string model_template, system, renderer, parser, requires_version;
  bool has_template = false, has_system = false;
  Json parameters = Json::object();  // typed; stop is a list
  Json messages = Json::array();     // {role, content}
  std::vector<std::string> warnings;
};

// Throws Error{kInvalidInput} with line, column and what was expected.
Modelfile parse_modelfile(std::string_view text);

// The fields of a create request that need no file: template, system, license, parameters,
// messages, renderer, parser, requires.
Json create_fields(const Modelfile& modelfile);

// What `show --modelfile` prints: parse_modelfile gives back the same, parameters with unknown
// names aside. `short_name` goes into the hint (empty: no hint); from[0] is the model's blob. A
// text that no quotes can hold (a line of it ends with """) is written as `SYSTEM:json "..."`,
// which is ours alone: older programs refuse such a file rather than misread it.
std::string write_modelfile(const Modelfile& modelfile, std::string_view short_name);
// API field `parameters` of show: one line per value, in Go's syntax.
std::string write_parameters(const Json& parameters);

// A parameter's text as its JSON value. Throws Error{kInvalidInput} on an unknown name or bad
// value; null for a parameter that is no longer used. A whole number is an integer, as Go writes
// it.
Json parameter_value(std::string_view name, const std::string& text);
bool is_parameter(std::string_view name);

}  // namespace cria::api
