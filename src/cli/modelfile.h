// modelfile.h - a Modelfile as text, and as the request that creates a model from it.
#pragma once

#include "base/json.h"

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace cria::cli {

struct ModelfileCommand {
  std::string name;   // lower case: "from", "parameter", "message", ...
  std::string key;    // of PARAMETER and MESSAGE
  std::string value;  // unquoted
};

// Throws Error{kInvalidInput} with the line number.
std::vector<ModelfileCommand> parse_modelfile(std::string_view text);

// A parameter's value in its JSON type. Throws Error{kInvalidInput}: "unknown parameter 'x'",
// "invalid int value [x]". `values` is more than one only for "stop".
Json parameter_value(std::string_view name, const std::vector<std::string>& values);
bool is_deprecated_parameter(std::string_view name);

struct CreatePlan {
  Json request = Json::object();               // without "model", "files" and "adapters"
  std::vector<std::filesystem::path> files;    // to upload, of FROM
  std::vector<std::filesystem::path> adapters;
};
// Paths are relative to `folder`, "~" is the home folder.
CreatePlan plan_create(const std::vector<ModelfileCommand>& commands,
                       const std::filesystem::path& folder);

}  // namespace cria::cli
