#include "base/error.h"
#include "create/inspect.h"
#include "create/worker.h"
#include "formats/gguf_writer.h"
#include "protocol/channel.h"
#include "protocol/protocol.h"

#include <doctest/doctest.h>

#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <fstream>
#include <iterator>

namespace cria::create {
namespace {

using formats::value_f32s;
using formats::value_string;
using formats::value_strings;
using formats::value_u32;

struct TestFile {
  fs::path path = fs::temp_directory_path() / fmt::format("cria_create_{}.gguf", ::getpid());
  TestFile() = default;
  ~TestFile() { fs::remove(path); }
  TestFile(const TestFile&) = delete;
  TestFile& operator=(const TestFile&) = delete;
};

formats::NewTensor tensor(const std::string& name, int64_t width, int64_t height) {
  return {.name = name,
          .shape = {width, height, 1, 1},
          .rank = 2,
          .write = [=](const formats::ByteSink& sink) {
            const std::vector<float> zeros(static_cast<size_t>(width * height));
            sink(std::as_bytes(std::span(zeros)));
          }};
}

void write_model(const fs::path& path, formats::Metadata more = {}) {
  formats::Metadata metadata = {{"general.architecture", value_string("unheard-of")},
                                {"general.name", value_string("Test")},
                                {"general.file_type", value_u32(15)},
                                {"unheard-of.block_count", value_u32(1)},
                                {"unheard-of.context_length", value_u32(2048)},
                                {"unheard-of.embedding_length", value_u32(32)},
                                {"tokenizer.ggml.tokens", value_strings({"a", "b"})},
                                {"tokenizer.chat_template", value_string("{{ messages }}")}};
  std::ranges::move(more, std::back_inserter(metadata));
  formats::write_gguf(path, metadata, {tensor("a.weight", 32, 40), tensor("b.weight", 32, 2)});
}

TEST_CASE("the facts of a model of an architecture that nobody has heard of") {
  const TestFile file;
  write_model(file.path);
  const Json facts = inspect(*formats::open_gguf(file.path), false);
  CHECK(facts["format"] == "gguf");
  CHECK(facts["general_type"] == "model");
  CHECK(facts["family"] == "unheard-of");
  CHECK(facts["families"] == Json::array({"unheard-of"}));
  CHECK(facts["parameter_count"] == 32 * 42);
  CHECK(facts["parameter_size"] == "1K");
  CHECK(facts["quantization_level"] == "Q4_K_M");
  CHECK(facts["context_length"] == 2048);
  CHECK(facts["embedding_length"] == 32);
  CHECK(facts["capabilities"] == Json::array({"completion"}));
  CHECK(facts["chat_template"] == "{{ messages }}");
  const Json& info = facts["model_info"];
  CHECK(info["general.architecture"] == "unheard-of");
  CHECK(info["general.parameter_count"] == 32 * 42);
  CHECK(info["tokenizer.ggml.tokens"].is_null());
  CHECK_FALSE(info.contains("general.name"));
  CHECK_FALSE(info.contains("tokenizer.chat_template"));
  CHECK(facts["tensors"].at(0) ==
        Json({{"name", "a.weight"}, {"type", "F32"}, {"shape", Json::array({32, 40})}}));
}

TEST_CASE("long arrays are given only when asked for") {
  const TestFile file;
  write_model(file.path);
  const Json facts = inspect(*formats::open_gguf(file.path), true);
  CHECK(facts["model_info"]["tokenizer.ggml.tokens"] == Json::array({"a", "b"}));
}

TEST_CASE("metadata decides what a file is and can do") {
  const TestFile file;
  const auto facts_with = [&](const std::string& key, formats::Value value) {
    write_model(file.path, {{key, std::move(value)}});
    return inspect(*formats::open_gguf(file.path), false);
  };
  CHECK(facts_with("unheard-of.pooling_type", value_u32(1))["capabilities"] ==
        Json::array({"embedding"}));
  CHECK(facts_with("unheard-of.pooling_type", value_u32(4))["capabilities"] ==
        Json::array({"rerank"}));
  CHECK(facts_with("unheard-of.vision.block_count", value_u32(1))["capabilities"] ==
        Json::array({"completion", "vision"}));
  CHECK(facts_with("general.type", value_string("adapter"))["general_type"] == "adapter");
  CHECK(facts_with("general.type", value_string("mmproj"))["general_type"] == "projector");
}

TEST_CASE("metadata of the wrong type does not confuse the facts") {
  const TestFile file;
  formats::write_gguf(file.path,
                      {{"general.architecture", value_string("x")},
                       {"general.file_type", value_string("Q4")},
                       {"x.context_length", value_f32s({1, 2})},
                       {"tokenizer.chat_template", value_u32(7)}},
                      {tensor("a.weight", 32, 1)});
  const Json facts = inspect(*formats::open_gguf(file.path), false);
  CHECK(facts["quantization_level"] == "unknown");
  CHECK(facts["context_length"] == 0);
  CHECK(facts["chat_template"] == "");
}

TEST_CASE("numbers of parameters are written as Ollama does") {
  CHECK(human_count(999) == "999");
  CHECK(human_count(1'000) == "1K");
  CHECK(human_count(134'515'008) == "134.52M");
  CHECK(human_count(2'000'000) == "2M");
  CHECK(human_count(8'000'000'000) == "8B");
  CHECK(human_count(8'030'261'312) == "8.0B");
}

// What a worker process answers to one job.
protocol::Event answer(const std::string& kind, const Json& arguments) {
  const auto [ours, theirs] = protocol::make_socket_pair();
  const pid_t child = ::fork();
  if (child == 0) {
    ::close(ours);
    ::_exit(run_worker(theirs));
  }
  ::close(theirs);
  protocol::Channel channel(ours);
  channel.send(protocol::to_json(protocol::Job{.kind = kind, .arguments = arguments}));
  const auto message = channel.receive(protocol::Channel::Clock::now() + std::chrono::seconds(60));
  int status = 0;
  ::waitpid(child, &status, 0);
  REQUIRE(message.has_value());
  return protocol::event_from_json(*message);
}

std::string failure(const protocol::Event& event) {
  const auto* failed = std::get_if<protocol::Failure>(&event);
  return failed == nullptr ? std::string("no failure") : failed->message;
}

TEST_CASE("a worker inspects a file in its sandbox") {
  const TestFile file;
  write_model(file.path);
  const protocol::Event event = answer("inspect", {{"path", file.path.string()}});
  INFO(failure(event));
  const auto* result = std::get_if<protocol::Result>(&event);
  REQUIRE(result != nullptr);
  CHECK(result->value["family"] == "unheard-of");
}

TEST_CASE("a worker reports broken files and unknown jobs instead of dying") {
  const TestFile file;
  CHECK(failure(answer("inspect", {{"path", "/nonexistent"}})).find("No such file") !=
        std::string::npos);
  CHECK(failure(answer("inspect", Json::object())).find("path") != std::string::npos);
  CHECK(failure(answer("dance", Json::object())).find("unknown job \"dance\"") !=
        std::string::npos);
  for (const std::string& bytes : {std::string(), std::string("GGUF"), std::string(100, '\xff'),
                                   std::string("GGUF\3\0\0\0", 8) + std::string(16, '\x7f')}) {
    std::ofstream(file.path, std::ios::binary | std::ios::trunc) << bytes;
    const std::string message = failure(answer("inspect", {{"path", file.path.string()}}));
    CHECK(message.find(file.path.string()) != std::string::npos);
  }
}

TEST_CASE("a worker checks a template") {
  const protocol::Event event =
      answer("check_template", {{"template", "{{ .Tools }}{{ .Prompt }}"}});
  const auto* result = std::get_if<protocol::Result>(&event);
  REQUIRE(result != nullptr);
  CHECK(result->value["variables"] == Json::array({"Prompt", "Tools"}));
  CHECK(failure(answer("check_template", {{"template", "{{ if }}"}})) != "no failure");
}

}  // namespace
}  // namespace cria::create
