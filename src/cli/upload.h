// upload.h - brings local files into a server's store by digest.
#pragma once

#include "base/json.h"
#include "cli/api_client.h"
#include "cli/terminal/progress.h"

#include <filesystem>
#include <string>
#include <vector>

namespace cria::cli {

std::string file_digest(const std::filesystem::path& file, const std::stop_token& stop,
                        Progress& progress);  // "sha256:..."
// {relative path: digest} of the files, each uploaded unless its blob is already there.
Json upload_files(const ApiClient& client, const std::vector<std::filesystem::path>& files,
                  const std::stop_token& stop, Progress& progress);
// The file; all parts that are there when it is one of a model that was cut into several.
std::vector<std::filesystem::path> with_parts(const std::filesystem::path& file);
// Imports one model file under a name made of its own and its digest; returns that name.
std::string import_file(const ApiClient& client, const std::filesystem::path& file);
// "SmolLM2.Q4_1.gguf" -> "smollm2.q4_1:0123456789ab".
std::string import_name(const std::filesystem::path& file, const std::string& digest);

}  // namespace cria::cli
