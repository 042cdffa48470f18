#include "cli/modelfile.h"

#include "base/error.h"
#include "base/settings.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <cstdlib>

namespace cria::cli {
namespace {

namespace fs = std::filesystem;

constexpr std::array<std::string_view, 11> kCommands = {
    "from", "adapter", "draft", "template", "system", "parameter",
    "message", "license", "renderer", "parser", "requires"};
constexpr std::array<std::string_view, 11> kIntegers = {
    "num_ctx", "num_batch", "num_gpu", "main_gpu", "num_thread", "draft_num_predict",
    "num_keep", "seed", "num_predict", "top_k", "repeat_last_n"};
constexpr std::array<std::string_view, 7> kFloats = {
    "top_p", "min_p", "typical_p", "temperature", "repeat_penalty", "presence_penalty",
    "frequency_penalty"};
constexpr std::array<std::string_view, 9> kDeprecated = {
    "penalize_newline", "low_vram", "f16_kv", "logits_all", "vocab_only",
    "use_mlock", "mirostat", "mirostat_tau", "mirostat_eta"};

template <class List>
bool contains(const List& list, std::string_view item) {
  return std::find(list.begin(), list.end(), item) != list.end();
}

std::string_view trim(std::string_view text) {
  const size_t first = text.find_first_not_of(" \t\r\n\v\f");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t\r\n\v\f") - first + 1);
}

// A value may go on over several lines while its quote is open.
bool is_complete(std::string_view text) {
  if (text.starts_with("\"\"\"")) return text.size() >= 6 && text.ends_with("\"\"\"");
  if (text.starts_with('"')) return text.size() >= 2 && text.ends_with('"');
  return true;
}

std::string unquote(std::string_view text) {
  const size_t quotes = text.starts_with("\"\"\"") ? 3 : text.starts_with('"') ? 1 : 0;
  return std::string(text.substr(quotes, text.size() - 2 * quotes));
}

class Parser {
 public:
  explicit Parser(std::string_view text) : text_(text) {
    if (text_.starts_with("\xef\xbb\xbf")) text_.remove_prefix(3);
  }

  std::vector<ModelfileCommand> parse() {
    std::vector<ModelfileCommand> commands;
    while (skip_blank_lines()) commands.push_back(command());
    return commands;
  }

 private:
  bool skip_blank_lines() {
    for (;;) {
      const size_t start = text_.find_first_not_of(" \t\r\n", at_);
      if (start == std::string_view::npos) return false;
      line_ += std::count(text_.begin() + static_cast<long>(at_),
                          text_.begin() + static_cast<long>(start), '\n');
      at_ = start;
      if (text_[at_] != '#') return true;
      at_ = std::min(text_.find_first_of("\r\n", at_), text_.size());
    }
  }

  std::string word() {
    const size_t end = std::min(text_.find_first_of(" \t\r\n", at_), text_.size());
    const std::string result(text_.substr(at_, end - at_));
    at_ = end;
    if (at_ == text_.size() || text_[at_] == '\n' || text_[at_] == '\r')
      fail(ErrorKind::kInvalidInput, "(line {}): unexpected EOF: {}", line_, result);
    at_ = std::min(text_.find_first_not_of(" \t", at_), text_.size());
    return result;
  }

  ModelfileCommand command() {
    ModelfileCommand result;
    result.name = word();
    std::transform(result.name.begin(), result.name.end(), result.name.begin(),
                   [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    if (!contains(kCommands, result.name))
      fail(ErrorKind::kInvalidInput,
           "(line {}): command must be one of \"from\", \"license\", \"template\", \"system\", "
           "\"adapter\", \"draft\", \"renderer\", \"parser\", \"parameter\", \"message\", or "
           "\"requires\"",
           line_);
    if (result.name == "parameter" || result.name == "message") result.key = word();
    if (result.name == "message" && result.key != "system" && result.key != "user" &&
        result.key != "assistant")
      fail(ErrorKind::kInvalidInput,
           "(line {}): message role must be one of \"system\", \"user\", or \"assistant\"", line_);
    result.value = value();
    return result;
  }

  std::string value() {
    const size_t start = at_;
    for (;;) {
      const size_t end = std::min(text_.find_first_of("\r\n", at_), text_.size());
      const std::string_view so_far = trim(text_.substr(start, end - start));
      if (is_complete(so_far)) {
        at_ = end;
        return unquote(so_far);
      }
      if (end == text_.size())
        fail(ErrorKind::kInvalidInput, "(line {}): unexpected EOF in a quoted value", line_);
      if (text_[end] == '\n') ++line_;
      at_ = end + 1;
    }
  }

  std::string_view text_;
  size_t at_ = 0;
  long line_ = 1;
};

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
  constexpr std::array kGroups = {
      Pattern("model", ".safetensors"), Pattern("consolidated", ".safetensors"),
      Pattern("pytorch_model", ".bin"), Pattern("consolidated", ".pth"),
      Pattern("", ".gguf"), Pattern("", ".bin")};
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
  if (!fs::is_directory(path)) {
    files.push_back(path);
    return;
  }
  const auto picked = pick_files(path.lexically_normal());
  files.insert(files.end(), picked.begin(), picked.end());
}

}  // namespace

std::vector<ModelfileCommand> parse_modelfile(std::string_view text) {
  auto commands = Parser(text).parse();
  if (std::none_of(commands.begin(), commands.end(), [](const auto& c) { return c.name == "from"; }))
    fail(ErrorKind::kInvalidInput, "no FROM line");
  return commands;
}

bool is_deprecated_parameter(std::string_view name) { return contains(kDeprecated, name); }

Json parameter_value(std::string_view name, const std::vector<std::string>& values) {
  CRIA_CHECK(!values.empty(), "a parameter has a value");
  const std::string& text = values.front();
  if (name == "stop") return values;
  if (contains(kIntegers, name)) {
    int64_t number = 0;
    const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (code != std::errc() || end != text.data() + text.size())
      fail(ErrorKind::kInvalidInput, "invalid int value [{}]", text);
    return number;
  }
  if (contains(kFloats, name)) {
    double number = 0;
    const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (code != std::errc() || end != text.data() + text.size() || !std::isfinite(number))
      fail(ErrorKind::kInvalidInput, "invalid float value [{}]", text);
    return number;
  }
  if (name == "use_mmap") {
    constexpr std::array<std::string_view, 6> kTrue = {"1", "t", "T", "TRUE", "true", "True"};
    constexpr std::array<std::string_view, 6> kFalse = {"0", "f", "F", "FALSE", "false", "False"};
    if (!contains(kTrue, text) && !contains(kFalse, text))
      fail(ErrorKind::kInvalidInput, "invalid bool value [{}]", text);
    return contains(kTrue, text);
  }
  fail(ErrorKind::kInvalidInput, "unknown parameter '{}'", name);
}

CreatePlan plan_create(const std::vector<ModelfileCommand>& commands, const fs::path& folder) {
  CreatePlan plan;
  std::vector<std::string> stops;
  for (const auto& [name, key, value] : commands) {
    if (name == "from") {
      const fs::path path = expand(value, folder);
      if (fs::exists(path))
        add_path(plan.files, path);
      else
        plan.request["from"] = value;
    } else if (name == "adapter") {
      const fs::path path = expand(value, folder);
      if (!fs::exists(path)) fail(ErrorKind::kNotFound, "adapter \"{}\" not found", path.string());
      plan.adapters.clear();
      add_path(plan.adapters, path);
    } else if (name == "draft") {
      fail(ErrorKind::kUnsupported, "DRAFT is not supported by this version");
    } else if (name == "parameter") {
      if (is_deprecated_parameter(key)) {
        std::fprintf(stderr, "warning: parameter %s is deprecated\n", key.c_str());
        continue;
      }
      if (key == "stop") stops.push_back(value);
      plan.request["parameters"][key] = parameter_value(key, key == "stop" ? stops : std::vector{value});
    } else if (name == "message") {
      plan.request["messages"].push_back({{"role", key}, {"content", value}});
    } else if (name == "license") {
      plan.request["license"].push_back(value);
    } else {
      plan.request[name] = name == "requires" && value.starts_with('v') ? value.substr(1) : value;
    }
  }
  return plan;
}

}  // namespace cria::cli
