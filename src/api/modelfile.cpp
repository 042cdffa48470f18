#include "api/modelfile.h"

#include "base/error.h"
#include "base/text.h"
#include "base/utf8.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>

namespace cria::api {

namespace {

constexpr std::string_view kCommands =
    "command must be one of \"from\", \"license\", \"template\", \"system\", \"adapter\", "
    "\"draft\", "
    "\"renderer\", \"parser\", \"parameter\", \"message\", or \"requires\"";

constexpr std::string_view kJsonMark = ":json ";

bool is_letter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}
bool is_space(char c) {
  return c == ' ' || c == '\t';
}
bool is_newline(char c) {
  return c == '\n' || c == '\r';
}

// A byte-order mark selects the encoding.
std::string decoded(std::string_view text) {
  if (text.starts_with("\xef\xbb\xbf")) return std::string(text.substr(3));
  const bool little = text.starts_with("\xff\xfe");
  if (!little && !text.starts_with("\xfe\xff")) return std::string(text);
  const auto unit = [&](size_t i) -> uint32_t {
    const auto first = static_cast<unsigned char>(text[i]),
               second = static_cast<unsigned char>(text[i + 1]);
    return little ? first | uint32_t{second} << 8 : second | uint32_t{first} << 8;
  };
  std::string out;
  for (size_t i = 2; i + 1 < text.size(); i += 2) {
    uint32_t c = unit(i);
    if (c >= 0xd800 && c < 0xdc00 && i + 3 < text.size() && (unit(i + 2) & 0xfc00) == 0xdc00) {
      c = 0x10000 + ((c - 0xd800) << 10) + (unit(i + 2) - 0xdc00);
      i += 2;
    }
    append_utf8(out, c);
  }
  return out;
}

std::string_view trimmed(std::string_view s) {
  constexpr std::string_view kSpaces = " \t\r\n\v\f";
  const size_t begin = s.find_first_not_of(kSpaces);
  if (begin == std::string_view::npos) return {};
  return s.substr(begin, s.find_last_not_of(kSpaces) - begin + 1);
}

struct Line {
  std::string command, argument, value;  // argument: of PARAMETER and MESSAGE
  int line = 0, column = 0;              // of the value
};

class Parser {
 public:
  explicit Parser(std::string_view text) : text_(text) {}

  // False at the end of the text.
  bool next(Line& out) {
    skip_blank();
    if (done()) return false;
    out = {};
    out.command = lower_case(command());
    const bool json = skip_json_mark();
    if (out.command == "parameter") out.argument = parameter_name();
    if (out.command == "message") out.argument = role();
    skip_spaces();
    out.line = line_;
    out.column = column_;
    out.value = json ? json_value() : value();
    return true;
  }

 private:
  bool done() const { return at_ >= text_.size(); }

  [[noreturn]] void error(std::string_view what) const {
    fail(ErrorKind::kInvalidInput, "(line {}): {} (column {})", line_, what, column_);
  }
  [[noreturn]] void unfinished(std::string_view expected, std::string_view so_far) const {
    fail(ErrorKind::kInvalidInput, "(line {}): unexpected EOF{}{} (column {}): expected {}", line_,
         so_far.empty() ? "" : ": ", so_far.substr(0, 80), column_, expected);
  }

  char take() {
    const char c = text_[at_++];
    ++column_;
    if (is_newline(c)) {
      // CR LF is one line end, whatever the count upstream.
      if (c == '\n' || done() || text_[at_] != '\n') ++line_;
      column_ = 1;
    }
    return c;
  }

  void skip_blank() {
    bool comment = false;
    while (!done()) {
      const char c = text_[at_];
      if (comment) {
        comment = !is_newline(c);
      } else if (c == '#') {
        comment = true;
      } else if (!is_space(c) && !is_newline(c)) {
        return;
      }
      take();
    }
  }

  std::string command() {
    std::string word;
    while (!done() && is_letter(text_[at_])) word += take();
    static constexpr std::array kKnown = {"from",      "license", "template", "system",
                                          "adapter",   "draft",   "renderer", "parser",
                                          "parameter", "message", "requires"};
    const std::string name = lower_case(word);
    if (std::find(kKnown.begin(), kKnown.end(), name) == kKnown.end()) error(kCommands);
    if (done()) unfinished("a value after " + word, word);
    if (!is_space(text_[at_]) && !text_.substr(at_).starts_with(kJsonMark))
      error(is_newline(text_[at_]) ? fmt::format("expected a value after {}", word)
                                   : std::string(kCommands));
    return word;
  }

  // After a command: its value is one JSON string, for texts that no quotes can hold.
  bool skip_json_mark() {
    if (!text_.substr(at_).starts_with(kJsonMark)) return false;
    for (size_t i = 0; i < kJsonMark.size(); ++i) take();
    return true;
  }

  std::string json_value() {
    const size_t begin = at_;
    while (!done() && !is_newline(text_[at_])) take();
    const std::string_view text = trimmed(text_.substr(begin, at_ - begin));
    try {
      const Json json = parse_json(text);
      if (json.is_string()) return json.get<std::string>();
    } catch (const Error&) {
    }
    error("expected a JSON string after :json");
  }

  void skip_spaces() {
    while (!done() && is_space(text_[at_])) take();
  }

  std::string parameter_name() {
    skip_spaces();
    std::string name;
    while (!done() && (is_letter(text_[at_]) || text_[at_] == '_' ||
                       (text_[at_] >= '0' && text_[at_] <= '9'))) {
      name += take();
    }
    if (name.empty() || done() || !is_space(text_[at_]))
      unfinished("a parameter name and its value", name);
    return name;
  }

  std::string role() {
    skip_spaces();
    std::string name;
    while (!done() && is_letter(text_[at_])) name += take();
    if (done() || !is_space(text_[at_])) unfinished("a role and a text", name);
    if (name != "system" && name != "user" && name != "assistant") {
      error("message role must be one of \"system\", \"user\", or \"assistant\"");
    }
    return name;
  }

  // Unquoted: to the end of the line. Quoted: to a line that ends with the same quotes.
  std::string value() {
    const int begin_line = line_, begin_column = column_;
    const size_t begin = at_;
    while (!done() && (text_[at_] == '\v' || text_[at_] == '\f' || is_space(text_[at_]))) take();
    const bool triple = text_.substr(at_).starts_with("\"\"\"");
    const std::string_view quote = triple ? "\"\"\"" : !done() && text_[at_] == '"' ? "\"" : "";
    for (;;) {
      while (!done() && !is_newline(text_[at_])) take();
      const std::string_view so_far = trimmed(text_.substr(begin, at_ - begin));
      if (quote.empty() && so_far.empty()) unfinished("a value", "");
      if (quote.empty()) return std::string(so_far);
      if (so_far.size() >= 2 * quote.size() && so_far.ends_with(quote)) {
        return std::string(so_far.substr(quote.size(), so_far.size() - 2 * quote.size()));
      }
      if (done()) {
        fail(ErrorKind::kInvalidInput,
             "(line {}): unexpected EOF: the text that begins in column {} needs {} at the end of "
             "a line",
             begin_line, begin_column, quote);
      }
      take();
    }
  }

  std::string_view text_;
  size_t at_ = 0;
  int line_ = 1, column_ = 1;
};

// major.minor.patch, with anything after a minus or plus.
bool is_semver(std::string_view s) {
  s = s.substr(0, s.find_first_of("-+"));
  int parts = 1;
  bool digit = false;
  for (char c : s) {
    if (c == '.') {
      if (!digit || ++parts > 3) return false;
      digit = false;
    } else if (c >= '0' && c <= '9') {
      digit = true;
    } else {
      return false;
    }
  }
  return digit;
}

void add_parameter(Modelfile& m, const Line& line) {
  const Json v = parameter_value(line.argument, line.value);
  if (v.is_null()) {
    m.warnings.push_back(fmt::format("parameter {} is deprecated", line.argument));
  } else if (line.argument == "stop") {
    m.parameters["stop"].push_back(v);
  } else {
    m.parameters[line.argument] = v;
  }
}

void add(Modelfile& m, Line line) {
  const std::string& c = line.command;
  if (c == "from")
    m.from.push_back(std::move(line.value));
  else if (c == "license")
    m.licenses.push_back(std::move(line.value));
  else if (c == "draft")
    m.drafts.push_back(std::move(line.value));
  else if (c == "adapter")
    m.adapters.push_back(std::move(line.value));
  else if (c == "renderer")
    m.renderer = std::move(line.value);
  else if (c == "parser")
    m.parser = std::move(line.value);
  else if (c == "parameter")
    add_parameter(m, line);
  else if (c == "message")
    m.messages.push_back(Json::object({{"role", line.argument}, {"content", line.value}}));
  else if (c == "template") {
    m.model_template = std::move(line.value);
    m.has_template = true;
  } else if (c == "system") {
    m.system = std::move(line.value);
    m.has_system = true;
  } else if (c == "requires") {
    if (line.value.starts_with('v')) line.value.erase(0, 1);
    if (!is_semver(line.value))
      fail(ErrorKind::kInvalidInput, "requires must be a valid semver (e.g. 0.14.0)");
    m.requires_version = std::move(line.value);
  }
}

}  // namespace

Modelfile parse_modelfile(std::string_view text) {
  const std::string utf8 = decoded(text);
  Parser parser(utf8);
  Modelfile m;
  for (Line line; parser.next(line);) {
    const int number = line.line, column = line.column;
    try {
      add(m, std::move(line));
    } catch (const Error& e) {
      fail(e.kind(), "(line {}): {} (column {})", number, e.what(), column);
    }
  }
  if (m.from.empty()) fail(ErrorKind::kInvalidInput, "no FROM line");
  for (const std::string& d : m.drafts) {
    if (std::find(m.from.begin(), m.from.end(), d) != m.from.end()) {
      fail(ErrorKind::kInvalidInput, "DRAFT must not reference the same local path as FROM: {}", d);
    }
  }
  return m;
}

Json create_fields(const Modelfile& m) {
  Json fields = Json::object();
  if (m.has_template) fields["template"] = m.model_template;
  if (m.has_system) fields["system"] = m.system;
  if (!m.licenses.empty()) fields["license"] = m.licenses;
  if (!m.parameters.empty()) fields["parameters"] = m.parameters;
  if (!m.messages.empty()) fields["messages"] = m.messages;
  if (!m.renderer.empty()) fields["renderer"] = m.renderer;
  if (!m.parser.empty()) fields["parser"] = m.parser;
  if (!m.requires_version.empty()) fields["requires"] = m.requires_version;
  return fields;
}

}  // namespace cria::api
