#include "api/modelfile.h"

#include "base/error.h"

#include <doctest/doctest.h>

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

bool contains(const std::string& s, std::string_view part) {
  return s.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("a Modelfile's commands land in their fields") {
  const Modelfile m = parse_modelfile(
      "# comment\n  from ./a.gguf\nFROM b\nADAPTER x\nADAPTER y\nTEMPLATE \"\"\"{{ .Prompt }}\n "
      "\"\"\"\n"
      "SYSTEM You are # not a comment\nPARAMETER stop \" a\"\nPARAMETER stop b\nPARAMETER "
      "temperature 0.7\n"
      "PARAMETER num_ctx 4096\nPARAMETER num_ctx 8192\nPARAMETER use_mmap F\nPARAMETER mirostat 1\n"
      "MESSAGE user hi there\nMESSAGE assistant \"\"\"two\nlines\"\"\"\nLICENSE MIT\nREQUIRES "
      "v0.14.0\nRENDERER r\nPARSER p");
  CHECK(m.from == std::vector<std::string>{"./a.gguf", "b"});
  CHECK(m.adapter == "y");
  CHECK(m.model_template == "{{ .Prompt }}\n ");
  CHECK(m.system == "You are # not a comment");
  CHECK(m.parameters ==
        Json::parse(R"({"stop":[" a","b"],"temperature":0.7,"num_ctx":8192,"use_mmap":false})"));
  CHECK(
      m.messages ==
      Json::parse(
          R"([{"role":"user","content":"hi there"},{"role":"assistant","content":"two\nlines"}])"));
  CHECK(m.warnings == std::vector<std::string>{"parameter mirostat is deprecated"});
  CHECK(create_fields(m)["requires"] == "0.14.0");
  CHECK(create_fields(m)["license"] == Json::array({"MIT"}));
}

TEST_CASE("quotes decide where a value ends") {
  CHECK(parse_modelfile("FROM x\nSYSTEM \"\"\"\nfirst\n\"\"\"").system == "\nfirst\n");
  CHECK(parse_modelfile("FROM x\nSYSTEM \"a \"b\" c\"").system == "a \"b\" c");
  CHECK(parse_modelfile("FROM x\nSYSTEM \"hello\" world\nmore\"").system == "hello\" world\nmore");
  CHECK(parse_modelfile("FROM x\nSYSTEM 'single'").system == "'single'");
  CHECK(parse_modelfile("FROM x\r\nSYSTEM y\r\n").system == "y");
  CHECK(parse_modelfile("FROM x\nSYSTEM \"\"").has_system);
  CHECK(parse_modelfile("FROM x\nSYSTEM caf\xc3\xa9 \xf0\x9f\x91\xa9\xe2\x80\x8d\xf0\x9f\x94\xac")
            .system == "caf\xc3\xa9 \xf0\x9f\x91\xa9\xe2\x80\x8d\xf0\x9f\x94\xac");
}

TEST_CASE("a byte-order mark selects the encoding") {
  CHECK(parse_modelfile("\xef\xbb\xbf"
                        "FROM x")
            .from[0] == "x");
  CHECK(parse_modelfile(std::string_view("\xff\xfe"
                                         "F\0R\0O\0M\0 \0\xe9\0",
                                         14))
            .from[0] == "\xc3\xa9");
  CHECK(parse_modelfile(std::string_view("\xfe\xff"
                                         "\0F\0R\0O\0M\0 \x20\xac",
                                         14))
            .from[0] == "\xe2\x82\xac");
}

TEST_CASE("errors name line, column and what was expected") {
  CHECK(error_of("") == "no FROM line");
  CHECK(contains(error_of("FROM x\nFOO y"), "(line 2): command must be one of \"from\""));
  CHECK(contains(error_of("FROM x\nPARAMETER\n"), "(line 2): expected a value after PARAMETER"));
  CHECK(contains(error_of("FROM x\nPARAMETER stop\n"), "unexpected EOF: stop"));
  CHECK(contains(error_of("FROM x\nMESSAGE User hi"), "(line 2): message role must be one of"));
  CHECK(contains(error_of("FROM x\nSYSTEM \"\"\"open\n"), "(line 2): unexpected EOF"));
  CHECK(contains(error_of("FROM"), "unexpected EOF"));
  CHECK(contains(error_of("FROM x\nPARAMETER nope 1"), "unknown parameter 'nope'"));
  CHECK(contains(error_of("FROM x\nPARAMETER Temperature 1"), "unknown parameter 'Temperature'"));
  CHECK(contains(error_of("FROM x\nPARAMETER top_k 1.5"), "invalid int value [1.5]"));
  CHECK(contains(error_of("FROM x\nPARAMETER top_p nan"), "invalid float value [nan]"));
  CHECK(contains(error_of("FROM x\nPARAMETER use_mmap yes"), "invalid bool value [yes]"));
  CHECK(contains(error_of("FROM x\nREQUIRES soon"), "valid semver"));
  CHECK(contains(error_of("FROM x\nDRAFT x"), "DRAFT must not reference"));
}

TEST_CASE("what is written reads back the same") {
  Modelfile m = parse_modelfile(
      "FROM /blobs/sha256-1\nPARAMETER stop \"\"\"\"q\"\"\"\"\nPARAMETER temperature 0.7\n"
      "PARAMETER num_ctx 4096\nSYSTEM \" lead\"\nMESSAGE user hi\nLICENSE \"\"\"a\n\"b\"\n\"\"\"");
  m.model_template = "{{ .Prompt }}\n\"x\"";
  const std::string text = write_modelfile(m, "m:latest");
  CHECK(contains(
      text,
      "# FROM m:latest\n\nFROM /blobs/sha256-1\nTEMPLATE \"\"\"{{ .Prompt }}\n\"x\"\"\"\"\n"));
  CHECK(contains(
      text,
      "PARAMETER num_ctx 4096\nPARAMETER stop \"\"\"\"q\"\"\"\"\nPARAMETER temperature 0.7\n"));
  const Modelfile again = parse_modelfile(text);
  CHECK(again.model_template == m.model_template);
  CHECK(again.system == " lead");
  CHECK(write_parameters(again.parameters) == write_parameters(m.parameters));
  CHECK(again.licenses == m.licenses);
  CHECK(again.messages == m.messages);
}

TEST_CASE("show prints parameters in Go's syntax") {
  CHECK(
      write_parameters(Json::parse(
          R"({"temperature":0.7,"stop":["<|im_end|>","\n"],"num_ctx":1048576,"top_k":40})")) ==
      "num_ctx                        1.048576e+06\nstop                           \"<|im_end|>\"\n"
      "stop                           \"\\n\"\ntemperature                    0.7\ntop_k           "
      "               40");
}
