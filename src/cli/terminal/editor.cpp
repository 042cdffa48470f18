#include "cli/terminal/editor.h"

#include "base/error.h"
#include "base/file.h"
#include "base/settings.h"

#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fstream>

namespace cria::cli {
namespace {

constexpr int64_t kMaxText = 64 << 20;

// The setting may hold a command with arguments: "code --wait".
std::string editor_command() {
  for (const char* name : {"OLLAMA_EDITOR", "VISUAL", "EDITOR"})
    if (std::string command = setting(name); !command.empty()) return command;
  for (const char* path : {"/usr/bin/nano", "/usr/bin/vi"})
    if (::access(path, X_OK) == 0) return path;
  fail(ErrorKind::kNotFound, "no editor was found; set OLLAMA_EDITOR");
}

// A new file of this user alone, removed at the end.
class TemporaryFile {
 public:
  explicit TemporaryFile(const std::string& text)
      : path_((fs::temp_directory_path() / "cria-XXXXXX.txt").string()) {
    const int descriptor = ::mkstemps(path_.data(), 4);
    if (descriptor < 0)
      fail(ErrorKind::kInternal, "cannot write {}: {}", path_, std::strerror(errno));
    ::close(descriptor);
    std::ofstream(path_, std::ios::binary) << text;
  }
  ~TemporaryFile() { ::unlink(path_.c_str()); }
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

}  // namespace

std::string edit_text(const std::string& text) {
  const std::string command = editor_command();
  const TemporaryFile file(text);
  // A shell, since the setting is a command line; the path is of our own making.
  const int status = std::system(fmt::format("{} '{}'", command, file.path()).c_str());
  if (status != 0) fail(ErrorKind::kInternal, "{} failed", command);
  std::string edited = read_text_file(file.path(), kMaxText);
  while (edited.ends_with('\n')) edited.pop_back();
  return edited;
}

}  // namespace cria::cli
