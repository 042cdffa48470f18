#include "create/quantize.h"

#include "base/error.h"
#include "create/worker.h"
#include "protocol/channel.h"
#include "protocol/protocol.h"

#include <doctest/doctest.h>

#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cmath>
#include <cstring>

namespace cria::create {
namespace {

struct Folder {
  fs::path path = fs::temp_directory_path() / fmt::format("cria_quantize_{}", ::getpid());
  Folder() { fs::create_directories(path); }
  ~Folder() { fs::remove_all(path); }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
};

formats::NewTensor floats(std::string name, std::array<int64_t, 4> shape, int rank) {
  const auto write = [count = shape[0] * shape[1] * shape[2]](const formats::ByteSink& sink) {
    std::vector<float> values(static_cast<size_t>(count));
    for (size_t i = 0; i < values.size(); ++i) values[i] = std::sin(static_cast<float>(i));
    sink(std::as_bytes(std::span(values)));
  };
  return {std::move(name), quant::DType::kF32, shape, rank, write};
}

std::vector<float> values_of(const formats::TensorInfo& tensor) {
  std::vector<std::byte> raw(static_cast<size_t>(tensor.bytes));
  tensor.file->read_at(tensor.offset, raw);
  std::vector<float> values(
      static_cast<size_t>(tensor.shape[0] * tensor.shape[1] * tensor.shape[2] * tensor.shape[3]));
  quant::info(tensor.dtype)
      .dequantize(raw.data(), values.data(), static_cast<int64_t>(values.size()));
  return values;
}

std::shared_ptr<const formats::ModelFile> sample(const fs::path& path) {
  formats::write_gguf(path,
                      {{"general.architecture", formats::value_string("llama")},
                       {"general.file_type", formats::value_u32(0)},
                       {"llama.block_count", formats::value_u32(1)}},
                      {floats("token_embd.weight", {512, 700, 1, 1}, 2),
                       floats("blk.0.attn_norm.weight", {512, 1, 1, 1}, 1),
                       floats("blk.0.ffn_up.weight", {512, 3, 2, 1}, 3)});
  return formats::open_gguf(path);
}

TEST_CASE("a quantised model has the recipe's types, the old values nearly, and its file type") {
  const Folder folder;
  const auto model = sample(folder.path / "a.gguf");
  const Quantized one = quantize(*model, require_mix("q4_k_m"), 1);
  const Quantized three = quantize(*model, require_mix("q4_k_m"), 3);
  formats::write_gguf(folder.path / "b.gguf", one.metadata, one.tensors);
  formats::write_gguf(folder.path / "c.gguf", three.metadata, three.tensors);
  CHECK((read_text_file(folder.path / "b.gguf", 1 << 24) ==
         read_text_file(folder.path / "c.gguf", 1 << 24)));
  const auto small = formats::open_gguf(folder.path / "b.gguf");
  CHECK(std::get<int64_t>(small->find("general.file_type")->data) == 15);
  CHECK((small->find_tensor("token_embd.weight")->dtype == quant::DType::kQ6_K));
  CHECK((small->find_tensor("blk.0.attn_norm.weight")->dtype == quant::DType::kF32));
  CHECK((small->find_tensor("blk.0.ffn_up.weight")->dtype == quant::DType::kQ4_K));
  for (const formats::TensorInfo& tensor : small->tensors) {
    CAPTURE(tensor.name);
    const auto got = values_of(tensor), want = values_of(*model->find_tensor(tensor.name));
    float largest = 0;
    for (size_t i = 0; i < got.size(); ++i) largest = std::max(largest, std::abs(got[i] - want[i]));
    CHECK(largest < 0.12f);
  }
}

TEST_CASE("a quantised source and an unknown type are refused") {
  const Folder folder;
  const auto model = sample(folder.path / "a.gguf");
  const Quantized once = quantize(*model, require_mix("Q8_0"), 2);
  formats::write_gguf(folder.path / "b.gguf", once.metadata, once.tensors);
  const auto small = formats::open_gguf(folder.path / "b.gguf");
  CHECK_THROWS_WITH_AS(quantize(*small, require_mix("Q4_0"), 1),
                       doctest::Contains("only supported for F16, BF16 and F32 models"), Error);
  CHECK_THROWS_WITH_AS(require_mix("Q7"), doctest::Contains("unsupported quantization type Q7"),
                       Error);
}

// The last event that a worker process sends for `job`; `told` counts the progress before it.
protocol::Event answer(const protocol::Job& job, int& told) {
  std::array<int, 2> ends{};
  REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) == 0);
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    ::close(ends[0]);
    ::_exit(run_worker(ends[1]));
  }
  ::close(ends[1]);
  protocol::Event last;
  {
    protocol::Channel channel(ends[0]);
    channel.send(protocol::to_json(job));
    while (const auto message = channel.receive()) {
      last = protocol::event_from_json(*message);
      told += std::holds_alternative<protocol::Progress>(last) ? 1 : 0;
    }
  }
  ::waitpid(child, nullptr, 0);
  return last;
}

TEST_CASE("a worker quantises inside its sandbox, tells how far it is, and overwrites nothing") {
  const Folder folder;
  const auto model = sample(folder.path / "a.gguf");
  protocol::Job job{.kind = "quantize"};
  job.arguments["path"] = (folder.path / "a.gguf").string();
  job.arguments["output"] = (folder.path / "b.gguf").string();
  job.arguments["type"] = "q8_0";
  int told = 0;
  const auto first = answer(job, told);
  REQUIRE(std::holds_alternative<protocol::Result>(first));
  CHECK(std::holds_alternative<protocol::Result>(first));
  CHECK(told > 0);
  const auto small = formats::open_gguf(folder.path / "b.gguf");
  CHECK((small->find_tensor("token_embd.weight")->dtype == quant::DType::kQ8_0));
  const auto second = answer(job, told);
  REQUIRE(std::holds_alternative<protocol::Failure>(second));
  CHECK((std::get<protocol::Failure>(second).kind == ErrorKind::kConflict));
}

}  // namespace
}  // namespace cria::create
