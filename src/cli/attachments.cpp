#include "cli/attachments.h"

#include "base/base64.h"
#include "base/error.h"
#include "base/file.h"
#include "base/settings.h"
#include "base/text.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <cstdio>

namespace cria::cli {
namespace {

constexpr int64_t kMaxFile = int64_t{100} << 20;
constexpr size_t kMaxPath = 4096;

bool is_word(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_';
}

// Where a path may begin at `at`: its first byte, with what belongs before it; npos otherwise.
size_t path_start(std::string_view text, size_t at, size_t least) {
  const char c = text[at];
  const bool begins = c == '/' || c == '\\' || text.substr(at, 2) == "./";
  if (!begins) return std::string_view::npos;
  size_t start = at;
  if (start >= least + 1 && (text[start - 1] == '~' || text[start - 1] == '.')) return start - 1;
  if (start >= least + 2 && text[start - 1] == ':' &&
      std::isalpha(static_cast<unsigned char>(text[start - 2])) != 0)
    start -= 2;
  return start;
}

// One past the first extension that ends a word on the same line; npos when there is none.
size_t path_end(std::string_view lower, size_t at) {
  constexpr std::array<std::string_view, 5> kEndings = {".jpg", ".jpeg", ".png", ".webp", ".wav"};
  const size_t limit = std::min(lower.size(), at + kMaxPath);
  for (; at < limit && lower[at] != '\n' && lower[at] != '\t' && lower[at] != '\r'; ++at)
    for (const std::string_view ending : kEndings) {
      const size_t end = at + ending.size();
      if (lower.substr(at, ending.size()) == ending &&
          (end == lower.size() || !is_word(lower[end])))
        return end;
    }
  return std::string_view::npos;
}

// As a shell's completion writes it: "my\ cat.png" is "my cat.png".
std::string unescaped(std::string_view path) {
  constexpr std::string_view kEscaped = " ()[]{}$&;'*?~\\";
  std::string out;
  for (size_t i = 0; i < path.size(); ++i) {
    const bool escape =
        path[i] == '\\' && i + 1 < path.size() && kEscaped.find(path[i + 1]) != kEscaped.npos;
    if (escape) ++i;
    out += path[i];
  }
  if (out.starts_with("~/")) out = setting("HOME") + out.substr(1);
  return out;
}

// "image" or "audio"; empty for what is neither.
std::string_view kind_of(std::string_view bytes) {
  const bool riff = bytes.starts_with("RIFF") && bytes.size() >= 12;
  if (riff && bytes.substr(8, 4) == "WAVE") return "audio";
  const bool image = bytes.starts_with("\xff\xd8\xff") || bytes.starts_with("\x89PNG\r\n\x1a\n") ||
                     (riff && bytes.substr(8, 4) == "WEBP");
  return image ? "image" : "";
}

std::string read_attachment(const fs::path& path) {
  return in_context("Couldn't process file", [&] {
    const std::string bytes = read_text_file(path, kMaxFile);
    const std::string_view kind = kind_of(bytes);
    if (kind.empty())
      fail(ErrorKind::kInvalidInput, "{} is no JPEG, PNG, WebP or WAV file", path.string());
    std::fprintf(stderr, "Added %s '%s'\n", std::string(kind).c_str(), path.c_str());
    return base64_encode(bytes);
  });
}

}  // namespace

Attached attach_files(std::string_view prompt) {
  Attached out;
  const std::string lower = lower_case(prompt);
  size_t taken = 0;  // of the prompt
  for (size_t at = 0; at < prompt.size(); ++at) {
    const size_t start = path_start(prompt, at, taken);
    if (start == std::string_view::npos) continue;
    const size_t end = path_end(lower, at);
    if (end == std::string_view::npos) continue;
    const fs::path path = unescaped(prompt.substr(start, end - start));
    std::error_code none;
    if (!fs::is_regular_file(path, none)) continue;
    std::string data = read_attachment(path);
    out.files.push_back(std::move(data));
    const bool quoted =
        start > taken && prompt[start - 1] == '\'' && end < prompt.size() && prompt[end] == '\'';
    out.text += prompt.substr(taken, start - taken - (quoted ? 1 : 0));
    taken = end + (quoted ? 1 : 0);
    at = taken - 1;
  }
  out.text += prompt.substr(taken);
  const size_t first = out.text.find_first_not_of(" \t\r\n");
  if (!out.files.empty())
    out.text = first == std::string::npos
                   ? ""
                   : out.text.substr(first, out.text.find_last_not_of(" \t\r\n") - first + 1);
  return out;
}

}  // namespace cria::cli
