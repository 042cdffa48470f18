// create_plan.h - what `create` sends for a Modelfile, and the files that it uploads before.
#pragma once

#include "api/modelfile.h"
#include "base/json.h"

#include <filesystem>
#include <vector>

namespace cria::cli {

struct CreatePlan {
  Json request = Json::object();             // without "model", "files" and "adapters"
  std::vector<std::filesystem::path> files;  // to upload, of FROM
  std::vector<std::filesystem::path> adapters;
};
// Paths are relative to `folder`, "~" is the home folder. Throws Error for what is not there.
CreatePlan plan_create(const api::Modelfile& modelfile, const std::filesystem::path& folder);

}  // namespace cria::cli
