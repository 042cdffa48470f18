#include "cli/upload.h"

#include "base/error.h"
#include "base/file.h"
#include "base/sha256.h"
#include "base/shard_name.h"
#include "cli/interrupt.h"

#include <algorithm>
#include <cctype>

namespace cria::cli {
namespace {

fs::path common_folder(const std::vector<fs::path>& files) {
  fs::path common = fs::absolute(files.front()).lexically_normal().parent_path();
  for (const fs::path& file : files) {
    const fs::path full = fs::absolute(file).lexically_normal();
    while (*full.lexically_relative(common).begin() == "..") common = common.parent_path();
  }
  return common;
}

bool is_known_model(const ApiClient& client, const std::string& name) {
  try {
    client.call("POST", "/api/show", {{"model", name}});
    return true;
  } catch (const Error& e) {
    if (e.kind() == ErrorKind::kNotFound) return false;
    throw;
  }
}

}  // namespace

std::vector<fs::path> with_parts(const fs::path& file) {
  const auto name = parse_shard_name(file.string());
  if (!name || name->count == 1) return {file};
  std::vector<fs::path> parts;
  std::error_code none;
  for (int number = 1; number <= name->count; ++number)
    if (fs::path part = name->part(number); fs::is_regular_file(part, none))
      parts.push_back(std::move(part));
  return parts;
}

std::string file_digest(const fs::path& path, const std::stop_token& stop, Progress& progress) {
  const auto file = File::open(path);
  std::vector<std::byte> buffer(size_t{4} << 20);
  Sha256 hash;
  progress.set_label("gathering model components");
  for (int64_t at = 0; at < file->size();) {
    if (stop.stop_requested()) fail(ErrorKind::kCancelled, "cancelled");
    const auto n = std::min(static_cast<int64_t>(buffer.size()), file->size() - at);
    const auto part = std::span(buffer).first(static_cast<size_t>(n));
    file->read_at(at, part);
    hash.update(part);
    at += n;
    progress.set_amount(at, file->size());
  }
  return "sha256:" + hash.hex();
}

Json upload_files(const ApiClient& client, const std::vector<fs::path>& files,
                  const std::stop_token& stop, Progress& progress) {
  Json named = Json::object();
  if (files.empty()) return named;
  const fs::path root = common_folder(files);
  for (const fs::path& file : files) {
    const std::string digest = file_digest(file, stop, progress);
    named[fs::absolute(file).lexically_normal().lexically_relative(root).string()] = digest;
    if (client.has_blob(digest)) continue;
    progress.set_label("copying file " + digest.substr(0, 19));
    client.upload_blob(digest, file, stop,
                       [&](int64_t sent, int64_t total) { progress.set_amount(sent, total); });
  }
  return named;
}

std::string import_name(const fs::path& file, const std::string& digest) {
  const auto part = parse_shard_name(file.string());
  const std::string stem = part ? fs::path(part->prefix).filename() : file.stem();
  std::string name;
  for (const char c : stem) {
    const auto byte = static_cast<unsigned char>(c);
    if (std::isalnum(byte) != 0 && byte < 0x80)
      name += static_cast<char>(std::tolower(byte));
    else if (!name.empty())
      name += c == '.' || c == '_' ? c : '-';
  }
  if (name.empty()) name = "model";
  return name.substr(0, 80) + ":" + digest.substr(digest.find(':') + 1, 12);
}

std::string import_file(const ApiClient& client, const fs::path& file) {
  const Interrupt interrupt;
  Progress progress("gathering model components");
  const std::string digest = file_digest(file, interrupt.token(), progress);
  const std::string name = import_name(file, digest);
  if (is_known_model(client, name)) return name;
  Json request = {{"model", name}};
  request["files"] = upload_files(client, with_parts(file), interrupt.token(), progress);
  client.stream("/api/create", request, interrupt.token(), [&](const Json& event) {
    progress.set_label(json_string(event, "status").value_or(""));
  });
  return name;
}

}  // namespace cria::cli
