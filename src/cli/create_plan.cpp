#include "cli/create_plan.h"

#include "base/error.h"
#include "base/settings.h"
#include "cli/upload.h"

#include <algorithm>
#include <array>
#include <cstdio>

namespace cria::cli {
namespace {

namespace fs = std::filesystem;

fs::path expand(const std::string& text, const fs::path& folder) {
  if (text == "~") return setting("HOME");
  if (text.starts_with("~/")) return fs::path(setting("HOME")) / text.substr(2);
  return folder / text;
}

bool matches(std::string_view name, std::string_view prefix, std::string_view suffix) {
  return name.starts_with(prefix) && name.ends_with(suffix);
}

void check_inside(const fs::path& file, const fs::path& folder) {
  const fs::path relative = fs::canonical(file).lexically_relative(fs::canonical(folder));
  if (relative.empty() || *relative.begin() == "..")
    fail(ErrorKind::kInvalidInput, "insecure path: {}", file.string());
}

// The weights of the first group that is there, then the small files beside them.
std::vector<fs::path> pick_files(const fs::path& folder) {
  using Pattern = std::pair<std::string_view, std::string_view>;
  constexpr std::array kGroups = {Pattern("model", ".safetensors"),
                                  Pattern("consolidated", ".safetensors"),
                                  Pattern("pytorch_model", ".bin"),
                                  Pattern("consolidated", ".pth"),
                                  Pattern("", ".gguf"),
                                  Pattern("", ".bin")};
  std::vector<fs::path> all, picked;
  for (auto it = fs::recursive_directory_iterator(folder); it != fs::recursive_directory_iterator();
       ++it) {
    if (it.depth() >= 1) it.disable_recursion_pending();
    if (it->is_regular_file()) all.push_back(it->path());
  }
  std::sort(all.begin(), all.end());
  for (const auto& [prefix, suffix] : kGroups) {
    for (const fs::path& path : all) {
      const bool below = path.parent_path() != folder;
      if (matches(path.filename().string(), prefix, suffix) &&
          (!below || (prefix == "model" && suffix == ".safetensors")))
        picked.push_back(path);
    }
    if (!picked.empty()) break;
  }
  if (picked.empty()) fail(ErrorKind::kInvalidInput, "no Modelfile or safetensors files found");
  for (const fs::path& path : all) {
    const std::string name = path.filename().string();
    if (name.ends_with(".json") || name == "tokenizer.model" || name == "chat_template.jinja")
      picked.push_back(path);
  }
  for (const fs::path& path : picked) check_inside(path, folder);
  return picked;
}

void add_path(std::vector<fs::path>& files, const fs::path& path) {
  const auto more = fs::is_directory(path) ? pick_files(path.lexically_normal()) : with_parts(path);
  for (const fs::path& file : more)
    if (std::ranges::find(files, file) == files.end()) files.push_back(file);
}
}  // namespace

bool means_file(std::string_view text) {
  return text.starts_with("./") || text.starts_with("../") || text.starts_with('/') ||
         text.starts_with('~') ||
         (text.ends_with(".gguf") && text.find(':') == std::string_view::npos);
}

CreatePlan plan_create(const api::Modelfile& modelfile, const fs::path& folder) {
  for (const std::string& warning : modelfile.warnings)
    std::fprintf(stderr, "warning: %s\n", warning.c_str());
  if (!modelfile.drafts.empty())
    fail(ErrorKind::kUnsupported, "DRAFT is not supported by this version");
  CreatePlan plan;
  plan.request = api::create_fields(modelfile);
  for (const std::string& from : modelfile.from) {
    const fs::path path = expand(from, folder);
    if (fs::exists(path)) {
      add_path(plan.files, path);
      continue;
    }
    if (means_file(from)) fail(ErrorKind::kNotFound, "no such file: {}", path.string());
    plan.request["from"] = from;
  }
  for (const std::string& adapter : modelfile.adapters) {
    const fs::path path = expand(adapter, folder);
    if (!fs::exists(path)) fail(ErrorKind::kNotFound, "adapter \"{}\" not found", path.string());
    add_path(plan.adapters, path);
  }
  return plan;
}

}  // namespace cria::cli
