#include "base/base64.h"
#include "base/error.h"
#include "cli/answer_format.h"
#include "cli/api_client.h"
#include "cli/attachments.h"
#include "cli/create_plan.h"
#include "cli/flags.h"
#include "cli/format.h"
#include "cli/repl.h"
#include "cli/upload.h"

#include <doctest/doctest.h>

#include <unistd.h>

#include <filesystem>
#include <fstream>

namespace cria::cli {
namespace {

std::string message_of(auto&& call) {
  try {
    call();
  } catch (const Error& e) {
    return e.what();
  }
  return "no error";
}

}  // namespace

TEST_CASE("--format takes json, schemas, files and regular expressions") {
  CHECK(answer_format("json") == "json");
  CHECK(answer_format("") == "");
  CHECK(answer_format(R"( {"type":"object"})").dump() == R"({"type":"object"})");
  CHECK(answer_format("regex:a|b.json").dump() == R"({"type":"regex","regex":"a|b.json"})");
  const auto folder = std::filesystem::temp_directory_path();
  const auto write = [&](const char* name, const char* text) {
    const std::string path = folder / fmt::format("cria-{}-{}", ::getpid(), name);
    std::ofstream(path) << text;
    return path;
  };
  const std::string schema = write("schema.json", "{\"type\":\"array\"}\n");
  const std::string grammar = write("answer.gbnf", "root ::= \"x\"\n");
  const std::string broken = write("broken.json", "{");
  CHECK(answer_format(schema).dump() == R"({"type":"array"})");
  CHECK(answer_format(grammar).dump() == R"({"type":"gbnf","grammar":"root ::= \"x\"\n"})");
  CHECK(message_of([&] { answer_format(broken); }).starts_with(broken));
  CHECK(message_of([] { answer_format("no-such-file.json"); }) ==
        "no-such-file.json: cannot open: No such file or directory");
  CHECK(message_of([] { answer_format("no-such-file.gbnf"); }).find("no-such-file.gbnf") !=
        std::string::npos);
  CHECK(message_of([] { answer_format("yaml"); }).find("must be json, a JSON schema") !=
        std::string::npos);
  for (const std::string& path : {schema, grammar, broken}) std::filesystem::remove(path);
}

TEST_CASE("sizes are decimal, with one digit below ten unless whole") {
  CHECK(human_bytes(0) == "0 B");
  CHECK(human_bytes(999) == "999 B");
  CHECK(human_bytes(1000) == "1 KB");
  CHECK(human_bytes(1500000000) == "1.5 GB");
  CHECK(human_bytes(13999) == "13 KB");
  CHECK(human_bytes(999999999) == "999 MB");
}

TEST_CASE("counts get a letter from a thousand on") {
  CHECK(human_count(999) == "999");
  CHECK(human_count(6000) == "6K");
  CHECK(human_count(125000000) == "125M");
  CHECK(human_count(134515008) == "134.52M");
  CHECK(human_count(7000000000) == "7B");
  CHECK(human_count(8030000000) == "8.0B");
}

TEST_CASE("relative times are words") {
  CHECK(relative_time(Seconds(-0.5)) == "Less than a second ago");
  CHECK(relative_time(Seconds(-1.5)) == "1 second ago");
  CHECK(relative_time(Seconds(59)) == "59 seconds from now");
  CHECK(relative_time(Seconds(90)) == "About a minute from now");
  CHECK(relative_time(Seconds(-180)) == "3 minutes ago");
  CHECK(relative_time(Seconds(-3600)) == "About an hour ago");
  CHECK(relative_time(Seconds(-47 * 3600)) == "47 hours ago");
  CHECK(relative_time(Seconds(-48 * 3600)) == "2 days ago");
  CHECK(relative_time(Seconds(-14 * 86400)) == "2 weeks ago");
  CHECK(relative_time(Seconds(-60 * 86400)) == "2 months ago");
  CHECK(relative_time(Seconds(-730 * 86400)) == "2 years ago");
  CHECK(relative_time(Seconds(21.0 * 365 * 86400)) == "Forever");
}

TEST_CASE("times of the API are read with their zone") {
  const auto utc = seconds_until("2026-08-21T10:00:00.5Z");
  const auto east = seconds_until("2026-08-21T12:00:00.5+02:00");
  REQUIRE(utc.has_value());
  REQUIRE(east.has_value());
  CHECK(utc->count() == doctest::Approx(east->count()).epsilon(1e-6));
  CHECK_FALSE(seconds_until("0001-01-01T00:00:00Z").has_value());
  CHECK_FALSE(seconds_until("yesterday").has_value());
  CHECK_FALSE(seconds_until("2026-08-21T10:00:00").has_value());
}

TEST_CASE("a table pads every column, also the last, to its widest cell") {
  CHECK(format_table({{"NAME", "ID"}, {"tiny-go:latest", "1"}}) ==
        "NAME              ID    \ntiny-go:latest    1     \n");
  CHECK(format_table({{"日本", "x"}, {"abcd", "y"}}) == "日本    x    \nabcd    y    \n");
}

TEST_CASE("statistics leave out what is zero") {
  const Json done =
      parse_json(R"({"total_duration":5218270,"load_duration":1398194,"prompt_eval_count":7,)"
                 R"("prompt_eval_duration":12500000,"eval_count":3,"eval_duration":30250000})");
  CHECK(format_statistics(done) ==
        "total duration:       5.21827ms\n"
        "load duration:        1.398194ms\n"
        "prompt eval count:    7 token(s)\n"
        "prompt eval duration: 12.5ms\n"
        "prompt eval rate:     560.00 tokens/s\n"
        "eval count:           3 token(s)\n"
        "eval duration:        30.25ms\n"
        "eval rate:            99.17 tokens/s\n");
  CHECK(format_statistics(Json::object()).empty());
}

TEST_CASE("OLLAMA_HOST becomes the URL that a client calls") {
  CHECK(server_url("") == "http://127.0.0.1:11434");
  CHECK(server_url("1.2.3.4") == "http://1.2.3.4:11434");
  CHECK(server_url(":1234") == "http://127.0.0.1:1234");
  CHECK(server_url("0.0.0.0:8080") == "http://127.0.0.1:8080");
  CHECK(server_url("example.com:1234") == "http://example.com:1234");
  CHECK(server_url("::1") == "http://[::1]:11434");
  CHECK(server_url("[::1]:1337") == "http://[::1]:1337");
  CHECK(server_url("http://1.2.3.4") == "http://1.2.3.4:80");
  CHECK(server_url("https://1.2.3.4") == "https://1.2.3.4:443");
  CHECK(server_url("https://h/ollama") == "https://h:443/ollama");
  CHECK(server_url("h:66000") == "http://h:11434");
  CHECK(server_url("ollama.com") == "https://ollama.com:443");
}

TEST_CASE("flags are read in every spelling and wrong ones named") {
  const std::vector<Flag> flags = {{.name = "file", .letter = 'f', .kind = FlagKind::kText},
                                   {.name = "think", .kind = FlagKind::kOptionalText},
                                   {.name = "verbose"}};
  const std::vector<std::string> words = {"m", "-f", "a", "--think", "x", "--verbose", "--", "--y"};
  const Arguments arguments = parse_arguments(flags, words);
  CHECK(arguments.text("file") == "a");
  CHECK(arguments.text("think") == "true");
  CHECK(arguments.on("verbose"));
  CHECK(arguments.positional == std::vector<std::string>{"m", "x", "--y"});
  const auto error = [&](std::vector<std::string> bad) {
    return message_of([&] { parse_arguments(flags, bad); });
  };
  CHECK(error({"--nope"}) == "unknown flag: --nope");
  CHECK(error({"--file"}) == "flag needs an argument: --file");
  CHECK(error({"-x"}) == "unknown shorthand flag: 'x' in -x");
}

TEST_CASE("a Modelfile becomes a create request") {
  const CreatePlan plan = plan_create(
      api::parse_modelfile("FROM base:v1\nPARAMETER stop a\nPARAMETER stop b\nPARAMETER top_k 3\n"
                           "LICENSE x\nREQUIRES v0.5.0\nMESSAGE user hi\n"),
      "/nonexistent");
  CHECK(plan.request["from"] == "base:v1");
  CHECK(dump_json(plan.request["parameters"]) == R"({"stop":["a","b"],"top_k":3})");
  CHECK(dump_json(plan.request["messages"]) == R"([{"role":"user","content":"hi"}])");
  CHECK(plan.files.empty());
  CHECK(message_of([] {
          plan_create(api::parse_modelfile("FROM x\nADAPTER ./none.gguf\n"), "/nonexistent");
        }).find("not found") != std::string::npos);
  CHECK(message_of([] {
          plan_create(api::parse_modelfile("FROM ./none.gguf\n"), "/nonexistent");
        }) == "no such file: /nonexistent/./none.gguf");
}

TEST_CASE("an imported file's name is stable and valid") {
  CHECK(import_name("/m/x-00001-of-00003.gguf", "sha256:0123456789abcdef") == "x:0123456789ab");
  CHECK(import_name("/x/SmolLM2-135M-Instruct.Q4_1.gguf", "sha256:0123456789abcdef") ==
        "smollm2-135m-instruct.q4_1:0123456789ab");
  CHECK(import_name("(é).gguf", "sha256:0123456789abcdef").starts_with("model:"));
}

TEST_CASE("images that a prompt names are taken out of it") {
  namespace fs = std::filesystem;
  const fs::path folder = fs::temp_directory_path() / fmt::format("cria_images_{}", ::getpid());
  fs::create_directories(folder);
  const std::string png = "\x89PNG\r\n\x1a\n", jpeg = "\xff\xd8\xff\xe0";
  std::ofstream(folder / "my cat.PNG") << png;
  std::ofstream(folder / "b.jpg") << jpeg;
  std::ofstream(folder / "text.png") << "no image";
  const std::string at = folder.string();
  const auto attached = [](const std::string& prompt) { return attach_files(prompt); };
  const Attached two = attached("Compare " + at + "/my\\ cat.PNG with '" + at + "/b.jpg', please");
  CHECK(two.text == "Compare  with , please");
  CHECK(two.files == Json({base64_encode(png), base64_encode(jpeg)}));
  CHECK(attached(at + "/b.jpg").text.empty());
  CHECK(attached("what is " + at + "/nothing.png?").text == "what is " + at + "/nothing.png?");
  CHECK(attached("b.jpg and 3/4.jpgs").files.empty());
  CHECK(message_of([&] { attached(at + "/text.png"); }) ==
        "Couldn't process file: " + at + "/text.png is no JPEG, PNG, WebP or WAV file");
  fs::remove_all(folder);
}

TEST_CASE("a command line of the prompt splits at blanks") {
  CHECK(split_words("/set  parameter stop a\tb ") ==
        std::vector<std::string>{"/set", "parameter", "stop", "a", "b"});
  CHECK(split_words("").empty());
}

}  // namespace cria::cli
