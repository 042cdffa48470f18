// prune.cpp - what nobody needs any more goes: leftovers of processes that died, unused blobs.
#include "base/log.h"
#include "store/folder.h"
#include "store/store.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <numeric>

namespace cria::store {
namespace {

using Clock = std::chrono::system_clock;

// A part of a download ("<digest>-partial-3") belongs to whoever holds "<digest>-partial".
fs::path holder_of(const fs::path& path) {
  constexpr std::string_view kPartial = "-partial";
  const std::string file = path.filename().string();
  const size_t at = file.find(kPartial);
  if (at == std::string::npos) return path;
  return path.parent_path() / file.substr(0, at + kPartial.size());
}

bool is_held(const fs::path& path) {
  const fs::path holder = holder_of(path);
  std::error_code code;
  return fs::exists(holder, code) && is_being_written(holder);
}

void remove_file(const fs::path& path, const PruneOptions& options, PruneReport& report) {
  struct stat info = {};
  if (::lstat(path.c_str(), &info) != 0 || S_ISDIR(info.st_mode)) return;
  if (!options.dry_run && ::unlink(path.c_str()) != 0) {
    log::warn("cannot remove {}: {}", path.string(), std::strerror(errno));
    return;
  }
  report.removed.push_back({.file = path.filename().string(),
                            .bytes = std::min<int64_t>(info.st_size, info.st_blocks * 512)});
}

Clock::time_point modified(const fs::path& path) {
  struct stat info = {};
  if (::lstat(path.c_str(), &info) != 0) return Clock::now();  // gone already
  return Clock::from_time_t(info.st_mtim.tv_sec);
}

// The state of a part that was finished long ago belongs to data that still grows.
Clock::time_point last_use(const fs::path& path) {
  const fs::path holder = holder_of(path);
  std::error_code code;
  return fs::exists(holder, code) ? std::max(modified(path), modified(holder)) : modified(path);
}

std::string names_of(const std::vector<BrokenManifest>& broken) {
  std::string text;
  for (const BrokenManifest& one : broken)
    text += (text.empty() ? "" : ", ") + one.name.short_text();
  return text;
}

}  // namespace

int64_t PruneReport::bytes() const {
  return std::accumulate(removed.begin(), removed.end(), int64_t{0},
                         [](int64_t sum, const Removed& one) { return sum + one.bytes; });
}

// Manifests are written only under the lock that prune holds, so a temporary one is a leftover.
void Store::prune_manifest_folders(const PruneOptions& options, PruneReport& report) const {
  for (const fs::path& host : entries(folder_ / "manifests"))
    for (const fs::path& space : entries(host))
      for (const fs::path& model : entries(space)) {
        for (const fs::path& tag : entries(model)) {
          const std::string file = tag.filename().string();
          if (file.starts_with('.') && file.find(kTemporaryMark) != std::string::npos)
            remove_file(tag, options, report);
        }
        if (!options.dry_run) remove_empty_folders(model);
      }
}

void Store::prune_blobs(const PruneOptions& options, PruneReport& report) const {
  std::vector<BrokenManifest> broken;
  const std::set<Digest> used = digests_in_use(broken);
  if (!broken.empty()) {
    report.skipped = fmt::format(
        "corrupt manifests detected, skipping prune operation.  Re-pull or delete to clear: {}",
        names_of(broken));
    log::warn("{}", report.skipped);
    return;
  }
  const auto now = Clock::now();
  for (const fs::path& path : entries(folder_ / "blobs")) {
    const std::string file = path.filename().string();
    const auto digest = Digest::parse(file);
    if (digest && used.contains(*digest)) continue;
    const bool upload = file.starts_with(kUploadPrefix);  // locked as long as it is written
    if (!upload && now - last_use(path) <= options.grace)
      ++report.young;
    else if (!digest && is_held(path))
      ++report.held;
    else
      remove_file(path, options, report);
    if (digest && !options.dry_run && !has_blob(*digest)) remove_companions(*digest);
  }
}

PruneReport Store::prune(const PruneOptions& options) {
  const ChangeLock lock(folder_);
  PruneReport report;
  prune_manifest_folders(options, report);
  prune_blobs(options, report);
  if (!report.removed.empty())
    log::info("{} {} unused files of {} bytes", options.dry_run ? "would remove" : "removed",
              report.removed.size(), report.bytes());
  return report;
}

}  // namespace cria::store
