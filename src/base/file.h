// file.h - read-only files by offset, mappings, and writes that are atomic.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace cria {

namespace fs = std::filesystem;

// An open read-only file. Safe to use from several threads at once.
class File {
 public:
  // Throws Error{kNotFound}, or {kInvalidInput} for a directory or a device.
  static std::shared_ptr<const File> open(const fs::path& path);
  // Takes ownership of an already open descriptor (inherited from the server).
  static std::shared_ptr<const File> adopt(int descriptor, std::string name);
  ~File();
  File(const File&) = delete;
  File& operator=(const File&) = delete;

  int64_t size() const { return size_; }
  const std::string& name() const { return name_; }
  int descriptor() const { return descriptor_; }
  // Fills `out` from `offset`; throws Error{kInvalidInput} when the file ends before.
  void read_at(int64_t offset, std::span<std::byte> out) const;
  // Whether the byte there is in the system's cache; false where that cannot be told.
  bool is_cached(int64_t offset) const noexcept;

 private:
  File(int descriptor, int64_t size, std::string name);
  int descriptor_;
  int64_t size_;
  std::string name_;
};

// A private read-only mapping of the bytes [0, length) of a file.
class Mapping {
 public:
  Mapping(std::shared_ptr<const File> file, int64_t length);
  ~Mapping();
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;
  std::span<const std::byte> bytes() const { return bytes_; }

 private:
  std::shared_ptr<const File> file_;
  std::span<const std::byte> bytes_;
};

std::string read_text_file(const fs::path& path, int64_t max_bytes);
std::string read_stdin(int64_t max_bytes);  // to its end; Error{kTooLarge}
// Names of temporary files are ".<name>", this and six characters.
inline constexpr std::string_view kTemporaryMark = ".tmp-";
// Temporary file in the same folder, fsync, rename, fsync of the folder: after a crash the old or
// the new content stands, never a part. Throws Error{kOutOfMemory} on a full disk; leaves nothing
// behind.
void write_file_atomically(const fs::path& path, std::string_view content);
// Makes a rename or a new entry in `folder` durable.
void sync_folder(const fs::path& folder);

}  // namespace cria
