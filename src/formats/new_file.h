// new_file.h - a file written piece by piece that appears under its name only when it is complete.
#pragma once

#include "base/file.h"

#include <cstddef>
#include <span>
#include <string>

namespace cria::formats {

class NewFile {
 public:
  // Opens a temporary file in the same folder.
  explicit NewFile(fs::path path);
  // Removes it unless commit was called.
  ~NewFile();
  NewFile(const NewFile&) = delete;
  NewFile& operator=(const NewFile&) = delete;

  void write(std::span<const std::byte> bytes);
  // Makes the content durable, then renames.
  void commit();

 private:
  fs::path path_;
  std::string temporary_;
  int descriptor_ = -1;
};

}  // namespace cria::formats
