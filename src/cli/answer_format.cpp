#include "cli/answer_format.h"

#include "base/error.h"
#include "base/file.h"

#include <string_view>

namespace cria::cli {
namespace {

constexpr int64_t kMaxFile = int64_t{1} << 20;  // more than the engine takes
constexpr std::string_view kRegex = "regex:";

// What reading says names the file already; what parsing says does not.
Json schema_in(const std::string& path) {
  const std::string schema = read_text_file(path, kMaxFile);
  return in_context(path, [&] { return parse_json(schema); });
}

}  // namespace

Json answer_format(const std::string& text) {
  if (text == "json" || text.empty()) return text;
  const size_t first = text.find_first_not_of(" \t\r\n");
  if (first != std::string::npos && text[first] == '{')
    return in_context("the schema of --format", [&] { return parse_json(text); });
  if (text.starts_with(kRegex)) return {{"type", "regex"}, {"regex", text.substr(kRegex.size())}};
  if (text.ends_with(".gbnf"))
    return {{"type", "gbnf"}, {"grammar", read_text_file(text, kMaxFile)}};
  if (text.ends_with(".json")) return schema_in(text);
  fail(ErrorKind::kInvalidInput,
       "invalid value for --format: \"{}\" (must be json, a JSON schema, a file NAME.json with "
       "one, a "
       "file NAME.gbnf with a grammar, or regex:PATTERN)",
       text);
}

}  // namespace cria::cli
