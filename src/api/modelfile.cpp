#include "api/modelfile.h"

#include "base/error.h"

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

bool is_letter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}
bool is_space(char c) {
  return c == ' ' || c == '\t';
}
bool is_newline(char c) {
  return c == '\n' || c == '\r';
}

std::string lower(std::string_view s) {
  std::string out(s);
  for (char& c : out) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return out;
}

void append_utf8(std::string& out, uint32_t c) {
  const auto put = [&](uint32_t byte) {
    out += static_cast<char>(static_cast<unsigned char>(byte));
  };
  if (c < 0x80) return put(c);
  if (c < 0x800) {
    put(0xc0 | (c >> 6));
  } else if (c < 0x10000) {
    put(0xe0 | (c >> 12));
    put(0x80 | ((c >> 6) & 63));
  } else {
    put(0xf0 | (c >> 18));
    put(0x80 | ((c >> 12) & 63));
    put(0x80 | ((c >> 6) & 63));
  }
  put(0x80 | (c & 63));
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
    } else if (c >= 0xd800 && c < 0xe000) {
      c = 0xfffd;
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
  int line = 0;
};

class Parser {
 public:
  explicit Parser(std::string_view text) : text_(text) {}

  // False at the end of the text.
  bool next(Line& out) {
    skip_blank();
    if (done()) return false;
    out = {};
    out.line = line_;
    out.command = lower(command());
    if (out.command == "parameter") out.argument = parameter_name();
    if (out.command == "message") out.argument = role();
    out.value = value();
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
    const std::string name = lower(word);
    if (std::find(kKnown.begin(), kKnown.end(), name) == kKnown.end()) error(kCommands);
    if (done()) unfinished("a value after " + word, word);
    if (!is_space(text_[at_]))
      error(is_newline(text_[at_]) ? fmt::format("expected a value after {}", word)
                                   : std::string(kCommands));
    return word;
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
    skip_spaces();
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

enum class ParameterType { kInt, kFloat, kBool, kStrings, kGone };

struct ParameterRow {
  std::string_view name;
  ParameterType type;
};

constexpr ParameterRow kParameters[] = {
    {"num_ctx", ParameterType::kInt},
    {"num_batch", ParameterType::kInt},
    {"num_gpu", ParameterType::kInt},
    {"main_gpu", ParameterType::kInt},
    {"num_thread", ParameterType::kInt},
    {"draft_num_predict", ParameterType::kInt},
    {"num_keep", ParameterType::kInt},
    {"seed", ParameterType::kInt},
    {"num_predict", ParameterType::kInt},
    {"top_k", ParameterType::kInt},
    {"repeat_last_n", ParameterType::kInt},
    {"top_p", ParameterType::kFloat},
    {"min_p", ParameterType::kFloat},
    {"typical_p", ParameterType::kFloat},
    {"temperature", ParameterType::kFloat},
    {"repeat_penalty", ParameterType::kFloat},
    {"presence_penalty", ParameterType::kFloat},
    {"frequency_penalty", ParameterType::kFloat},
    {"use_mmap", ParameterType::kBool},
    {"stop", ParameterType::kStrings},
    {"penalize_newline", ParameterType::kGone},
    {"low_vram", ParameterType::kGone},
    {"f16_kv", ParameterType::kGone},
    {"logits_all", ParameterType::kGone},
    {"vocab_only", ParameterType::kGone},
    {"use_mlock", ParameterType::kGone},
    {"mirostat", ParameterType::kGone},
    {"mirostat_tau", ParameterType::kGone},
    {"mirostat_eta", ParameterType::kGone},
};

Json bool_value(const std::string& text) {
  for (const char* s : {"1", "t", "T", "TRUE", "true", "True"}) {
    if (text == s) return true;
  }
  for (const char* s : {"0", "f", "F", "FALSE", "false", "False"}) {
    if (text == s) return false;
  }
  fail(ErrorKind::kInvalidInput, "invalid bool value [{}]", text);
}

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
    m.adapter = std::move(line.value);
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

// Quotes where a bare value would not read back as it is.
std::string quoted(const std::string& text) {
  const bool plain = !text.empty() && text.find_first_of("\n\r") == std::string::npos &&
                     trimmed(text).size() == text.size() && text[0] != '"';
  if (plain) return text;
  return text.find('"') == std::string::npos ? "\"" + text + "\"" : "\"\"\"" + text + "\"\"\"";
}

std::string shortest(const Json& v) {
  if (v.is_string()) return v.get<std::string>();
  if (!v.is_number_float()) return dump_json(v);
  char buffer[64];
  // Parameters are float32: 0.7 must not print as 0.699999988.
  const auto end =
      std::to_chars(buffer, buffer + sizeof buffer, static_cast<float>(v.get<double>())).ptr;
  return {buffer, end};
}

std::string go_syntax(const Json& v) {
  if (v.is_string()) {
    std::string out = "\"";
    for (char c : v.get<std::string>()) {
      if (c == '"' || c == '\\') out += '\\';
      if (c == '\n')
        out += "\\n";
      else if (c == '\t')
        out += "\\t";
      else if (c == '\r')
        out += "\\r";
      else if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f)
        out += fmt::format("\\x{:02x}", c);
      else
        out += c;
    }
    return out + "\"";
  }
  // JSON numbers are floats to Go, which turns to exponents early.
  if (!v.is_number()) return dump_json(v);
  const double d = v.get<double>();
  char buffer[64];
  const double size = std::abs(d);
  const bool exponent = size != 0 && (size < 1e-4 || size >= 1e6);
  if (v.is_number_float() && !exponent) return shortest(v);
  const auto end =
      std::to_chars(buffer, buffer + sizeof buffer, d,
                    exponent ? std::chars_format::scientific : std::chars_format::fixed)
          .ptr;
  return {buffer, end};
}

template <class Visit>
void for_each_parameter(const Json& parameters, Visit visit) {
  if (!parameters.is_object()) return;
  std::vector<std::string> names;
  for (const auto& [name, v] : parameters.items()) names.push_back(name);
  std::sort(names.begin(), names.end());
  for (const std::string& name : names) {
    const Json& v = parameters[name];
    if (v.is_array()) {
      for (const Json& item : v) visit(name, item);
    } else {
      visit(name, v);
    }
  }
}

}  // namespace

Json parameter_value(std::string_view name, const std::string& text) {
  const auto row = std::find_if(std::begin(kParameters), std::end(kParameters),
                                [&](const ParameterRow& r) { return r.name == name; });
  if (row == std::end(kParameters)) fail(ErrorKind::kInvalidInput, "unknown parameter '{}'", name);
  const char* end = text.data() + text.size();
  switch (row->type) {
    case ParameterType::kInt: {
      int64_t i = 0;
      const char* begin = text.data() + (text.starts_with('+') ? 1 : 0);
      const auto [stop, ec] = std::from_chars(begin, end, i);
      if (ec != std::errc() || stop != end)
        fail(ErrorKind::kInvalidInput, "invalid int value [{}]", text);
      return i;
    }
    case ParameterType::kFloat: {
      double d = 0;
      const char* begin = text.data() + (text.starts_with('+') ? 1 : 0);
      const auto [stop, ec] = std::from_chars(begin, end, d);
      if (ec != std::errc() || stop != end || !std::isfinite(static_cast<float>(d))) {
        fail(ErrorKind::kInvalidInput, "invalid float value [{}]", text);
      }
      return d;
    }
    case ParameterType::kBool:
      return bool_value(text);
    case ParameterType::kStrings:
      return text;
    case ParameterType::kGone:
      return nullptr;
  }
  return nullptr;
}

Modelfile parse_modelfile(std::string_view text) {
  const std::string utf8 = decoded(text);
  Parser parser(utf8);
  Modelfile m;
  for (Line line; parser.next(line);) {
    const int number = line.line;
    try {
      add(m, std::move(line));
    } catch (const Error& e) {
      fail(e.kind(), "(line {}): {}", number, e.what());
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

std::string write_modelfile(const Modelfile& m, std::string_view short_name) {
  std::string out =
      "# Modelfile generated by \"ollama show\"\n"
      "# To build a new Modelfile based on this, replace FROM with:\n";
  out += fmt::format("# FROM {}\n\n", short_name);
  const auto line = [&](std::string_view command, const std::string& value) {
    out += fmt::format("{} {}\n", command, quoted(value));
  };
  if (!m.from.empty()) line("FROM", m.from[0]);
  if (!m.adapter.empty()) line("ADAPTER", m.adapter);
  for (const std::string& d : m.drafts) line("DRAFT", d);
  for (size_t i = 1; i < m.from.size(); ++i) line("FROM", m.from[i]);
  line("TEMPLATE", m.model_template.empty() ? "{{ .Prompt }}" : m.model_template);
  if (!m.system.empty()) line("SYSTEM", m.system);
  if (!m.renderer.empty()) line("RENDERER", m.renderer);
  if (!m.parser.empty()) line("PARSER", m.parser);
  if (!m.requires_version.empty()) line("REQUIRES", m.requires_version);
  for_each_parameter(m.parameters, [&](const std::string& name, const Json& v) {
    line("PARAMETER " + name, shortest(v));
  });
  for (const std::string& l : m.licenses) line("LICENSE", l);
  for (const Json& message : m.messages) {
    line("MESSAGE " + json_string(message, "role").value_or("user"),
         json_string(message, "content").value_or(""));
  }
  return out;
}

std::string write_parameters(const Json& parameters) {
  std::string out;
  for_each_parameter(parameters, [&](const std::string& name, const Json& v) {
    if (!out.empty()) out += '\n';
    out += fmt::format("{:<30} {}", name, go_syntax(v));
  });
  return out;
}

}  // namespace cria::api
