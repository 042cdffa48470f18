// The runner as a process: everything through its channel, as the server sees it.
#include "engine/runner.h"

#include "base/error.h"
#include "base/file.h"
#include "protocol/channel.h"
#include "protocol/protocol.h"
#include "tests/skip.h"

#include <doctest/doctest.h>

#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

namespace cria::engine {
namespace {

using namespace protocol;

// A forked child, because the sandbox cannot be left again.
class RunnerProcess {
 public:
  RunnerProcess() : ends_(make_socket_pair()), channel_(ends_.first) {
    child_ = fork();
    if (child_ == 0) {
      ::close(ends_.first);
      _exit(run_runner(ends_.second));
    }
    ::close(ends_.second);
  }
  ~RunnerProcess() {
    if (child_ > 0) exit_code();
  }
  void send(const Request& request) { channel_.send(to_json(request)); }
  // The next event that is no Progress.
  std::optional<Event> receive() {
    for (;;) {
      const auto json = channel_.receive(Channel::Clock::now() + std::chrono::seconds(60));
      if (!json) return std::nullopt;
      Event event = event_from_json(*json);
      if (!std::holds_alternative<Progress>(event)) return event;
    }
  }
  int exit_code() {
    channel_.shut_down();
    int status = 0;
    waitpid(child_, &status, 0);
    child_ = 0;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }

 private:
  std::pair<int, int> ends_;
  Channel channel_;
  pid_t child_ = 0;
};

fs::path test_model() {
  const char* folder = std::getenv("CRIA_TEST_MODELS");
  const char* home = std::getenv("HOME");
  return (folder != nullptr ? fs::path(folder)
                            : fs::path(home == nullptr ? "/" : home) / ".cache/cria-test-models") /
         "SmolLM2-135M-Instruct.Q4_1.gguf";
}

Failure load_failure(const std::string& path) {
  RunnerProcess runner;
  runner.send(Load{.model_path = path});
  const auto event = runner.receive();
  REQUIRE(event.has_value());
  REQUIRE(std::holds_alternative<Failure>(*event));
  CHECK(runner.exit_code() == 1);
  return std::get<Failure>(*event);
}

TEST_CASE("a file that is missing or no model ends the runner with a failure") {
  CHECK(load_failure("/nonexistent/model.gguf").kind == ErrorKind::kNotFound);
  const fs::path path = fs::temp_directory_path() / "cria_runner_test.gguf";
  std::ofstream(path) << "this is no model";
  const Failure failure = load_failure(path.string());
  CHECK(failure.id == 0);
  CHECK(failure.kind == ErrorKind::kInvalidInput);
  fs::remove(path);
}

TEST_CASE("a first message that is no load is refused") {
  RunnerProcess runner;
  runner.send(Cancel{.id = 3});
  const auto event = runner.receive();
  REQUIRE(event.has_value());
  CHECK(std::get<Failure>(*event).message.find("load") != std::string::npos);
}

TEST_CASE("a server that goes away without a word ends the runner") {
  RunnerProcess runner;
  CHECK(runner.exit_code() == 1);
}

TEST_CASE("a loaded runner answers, cancels, and ends with its server") {
  if (!fs::exists(test_model())) {
    test::skip("no " + test_model().string() + "; set CRIA_TEST_MODELS");
    return;
  }
  RunnerProcess runner;
  runner.send(
      Load{.model_path = test_model().string(), .num_ctx = 256, .threads = 2, .parallel = 2});
  const auto loaded = runner.receive();
  REQUIRE(loaded.has_value());
  REQUIRE(std::holds_alternative<Loaded>(*loaded));
  CHECK(std::get<Loaded>(*loaded).context_length == 256);
  CHECK(std::get<Loaded>(*loaded).weight_bytes > 50'000'000);

  Generate endless{.id = 1, .prompt = "Count to a million: 1 2 3 4", .raw = true};
  endless.options = {{"temperature", 0}};
  runner.send(endless);
  Generate request{.id = 2, .prompt = "The capital of France is", .raw = true};
  request.options = {{"temperature", 0}, {"num_predict", 3}};
  runner.send(request);
  std::string text;
  for (bool done = false; !done;) {
    const auto event = runner.receive();
    REQUIRE(event.has_value());
    if (const auto* part = std::get_if<Text>(&*event); part != nullptr && part->id == 2)
      text += part->content;
    if (const auto* end = std::get_if<Done>(&*event); end != nullptr && end->id == 2) done = true;
  }
  CHECK(text.find("Paris") != std::string::npos);
  runner.send(Cancel{.id = 1});
  for (bool cancelled = false; !cancelled;) {
    const auto event = runner.receive();
    REQUIRE(event.has_value());
    const auto* failure = std::get_if<Failure>(&*event);
    cancelled = failure != nullptr && failure->id == 1 && failure->kind == ErrorKind::kCancelled;
  }
  CHECK(runner.exit_code() == 0);
}

}  // namespace
}  // namespace cria::engine
