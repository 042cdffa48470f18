// create_plan.h - what `create` sends for a Modelfile, and the files that it uploads before.
#pragma once

#include "api/modelfile.h"
#include "base/json.h"

#include <filesystem>
#include <string_view>
#include <vector>

namespace cria::cli {

struct CreatePlan {
  Json request = Json::object();             // without "model", "files" and "adapters"
  std::vector<std::filesystem::path> files;  // to upload, of FROM
  std::vector<std::filesystem::path> adapters;
};
// A path rather than a model's name, whether or not something is there.
bool means_file(std::string_view text);
// Paths are relative to `folder`, "~" is the home folder. Throws Error for what is not there.
CreatePlan plan_create(const api::Modelfile& modelfile, const std::filesystem::path& folder);

}  // namespace cria::cli
