#include "api/modelfile.h"

#include "base/error.h"
#include "base/file.h"

#include <doctest/doctest.h>

#include <array>
#include <filesystem>
#include <random>
#include <sstream>
#include <vector>

using namespace cria;
using namespace cria::api;

namespace {

std::string error_of(std::string_view text) {
  try {
    parse_modelfile(text);
  } catch (const Error& e) {
    return e.what();
  }
  return "";
}

std::u32string to_code_points(const std::string& utf8) {  // Latin-1 only
  std::u32string out;
  for (size_t i = 0; i < utf8.size(); ++i) {
    const auto byte = static_cast<unsigned char>(utf8[i]);
    if (byte < 0x80)
      out += byte;
    else
      out += static_cast<char32_t>((byte & 3) << 6 | (static_cast<unsigned char>(utf8[++i]) & 63));
  }
  return out;
}

// tests/cases/modelfile/*.case: "=== name", then "--- modelfile" (the text) or "--- bytes" (a JSON
// string, one byte per code point), then "--- fields" (JSON) or "--- error" (how the message
// begins).
struct Case {
  std::string name, modelfile, fields, error;
};

std::vector<Case> read_cases(const std::filesystem::path& path) {
  std::vector<Case> cases;
  std::string ignored, *into = &ignored;
  std::istringstream lines(read_text_file(path.string(), 1 << 20));
  bool first = true;
  for (std::string line; std::getline(lines, line);) {
    const bool section = line.starts_with("=== ") || line.starts_with("--- ");
    if (line.starts_with("=== ")) {
      cases.push_back({.name = line.substr(4)});
    } else if (line == "--- modelfile" || line == "--- bytes") {
      into = &cases.back().modelfile;
    } else if (line == "--- fields") {
      into = &cases.back().fields;
    } else if (line == "--- error") {
      into = &cases.back().error;
    } else {
      *into += (first ? "" : "\n") + line;
    }
    first = section;
    if (line != "--- bytes") continue;
    std::getline(lines, line);
    for (const char32_t c : to_code_points(parse_json(line).get<std::string>()))
      *into += static_cast<char>(static_cast<unsigned char>(c));
  }
  return cases;
}

// All that a Modelfile says, without what it does not say.
Json all_fields(const Modelfile& m) {
  Json fields = Json::object({{"from", m.from}});
  if (!m.adapters.empty()) fields["adapters"] = m.adapters;
  if (!m.drafts.empty()) fields["drafts"] = m.drafts;
  if (!m.warnings.empty()) fields["warnings"] = m.warnings;
  fields.update(create_fields(m));
  return fields;
}

// A text of `pieces`, which are what quoting stumbles over.
std::string random_text(std::mt19937& random) {
  constexpr std::array<std::string_view, 18> kPieces = {
      "\"", "\"\"", "\"\"\"", "\n", "\r", "\r\n", " ",      "\t",     "\v",
      "#",  "a",    "word",   "\\", "'",  "{{",   "\u00e9", "\u00a0", "FROM x"};
  std::string text;
  for (auto n = random() % 8; n > 0; --n) text += kPieces[random() % kPieces.size()];
  return text;
}

}  // namespace

TEST_CASE("Modelfiles read as the cases say") {
  int count = 0;
  for (const auto& file :
       std::filesystem::directory_iterator(CRIA_SOURCE_DIR "/tests/cases/modelfile")) {
    for (const Case& c : read_cases(file.path())) {
      INFO(file.path().filename().string(), ": ", c.name);
      ++count;
      if (!c.error.empty()) {
        const std::string error = error_of(c.modelfile);
        CAPTURE(error);
        CHECK(error.starts_with(c.error));
        CHECK_FALSE(c.error.empty());
        continue;
      }
      CHECK_NOTHROW(parse_modelfile(c.modelfile));
      if (!error_of(c.modelfile).empty()) continue;
      CHECK(dump_json(all_fields(parse_modelfile(c.modelfile))) == dump_json(parse_json(c.fields)));
    }
  }
  CHECK(count >= 60);
}

TEST_CASE("any text that is written into a Modelfile reads back the same") {
  std::mt19937 random(7);
  for (int i = 0; i < 20'000; ++i) {
    Modelfile m;
    m.from = {"x" + random_text(random)};
    for (auto n = random() % 3; n > 0; --n) m.licenses.push_back(random_text(random));
    m.adapters = {random_text(random)};
    m.model_template = random_text(random);
    m.system = random_text(random);
    m.has_template = m.has_system = true;
    m.parameters["stop"] = Json::array({random_text(random), random_text(random)});
    m.parameters["temperature"] = 0.1 + static_cast<double>(random() % 1000) / 7;
    m.parameters["top_k"] = random() % 100;
    m.messages.push_back(Json::object({{"role", "assistant"}, {"content", random_text(random)}}));
    const std::string text = write_modelfile(m, "m:latest");
    CAPTURE(text);
    const Modelfile again = parse_modelfile(text);
    REQUIRE(dump_json(all_fields(again)) == dump_json(all_fields(m)));
  }
}

TEST_CASE("a parameter's name that is none is not written") {
  Modelfile m = {.from = {"x"}};
  m.parameters["top_k 1\nSYSTEM gotcha"] = 1;
  m.parameters["seed"] = 4.0;
  const std::string text = write_modelfile(m, "m:latest");
  CHECK(text.find("gotcha") == std::string::npos);
  CHECK(parse_modelfile(text).parameters == Json::parse(R"({"seed":4})"));
}

TEST_CASE("show prints parameters in Go's syntax") {
  CHECK(
      write_parameters(Json::parse(
          R"({"temperature":0.7,"stop":["<|im_end|>","\n"],"num_ctx":1048576,"top_k":40})")) ==
      "num_ctx                        1.048576e+06\nstop                           \"<|im_end|>\"\n"
      "stop                           \"\\n\"\ntemperature                    0.7\ntop_k           "
      "               40");
}
