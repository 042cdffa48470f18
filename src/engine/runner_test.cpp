// The runner as a process: everything through its channel, as the server sees it.
#include "engine/runner.h"

#include "base/error.h"
#include "base/file.h"
#include "protocol/channel.h"
#include "protocol/protocol.h"
#include "tests/model_files.h"

#include <doctest/doctest.h>

#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <functional>

namespace cria::engine {
namespace {

using namespace protocol;
using test::have_model, test::test_model;

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
  // What comes before it tells how much memory is used. Nothing when something else comes.
  std::optional<Loaded> receive_loaded() {
    std::optional<Event> event = receive();
    while (event && std::holds_alternative<Usage>(*event)) event = receive();
    if (!event || !std::holds_alternative<Loaded>(*event)) return std::nullopt;
    return std::get<Loaded>(*event);
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
  if (!have_model()) return;
  RunnerProcess runner;
  runner.send(
      Load{.model_path = test_model().string(), .num_ctx = 256, .threads = 2, .parallel = 2});
  const auto loaded = runner.receive_loaded();
  REQUIRE(loaded.has_value());
  CHECK(loaded->context_length == 256);
  CHECK(loaded->weight_bytes > 50'000'000);

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

TEST_CASE("a runner that nobody asks for anything reads its weights into memory") {
  if (!test::have_cached_model()) return;
  RunnerProcess runner;
  runner.send(Load{.model_path = test_model().string(), .num_ctx = 256, .threads = 2});
  auto event = runner.receive();  // before it is told that the model is loaded
  REQUIRE(event.has_value());
  REQUIRE(std::holds_alternative<Usage>(*event));
  CHECK(std::get<Usage>(*event).weight_bytes_unread > 50'000'000);
  for (int64_t unread = -1; unread != 0;) {
    event = runner.receive();
    REQUIRE(event.has_value());
    if (const auto* usage = std::get_if<Usage>(&*event)) unread = usage->weight_bytes_unread;
  }
  CHECK(runner.exit_code() == 0);
}

TEST_CASE(
    "a file that is cut before its weights were read ends the runner with a failure that says so") {
  if (!test::have_cached_model()) return;
  const fs::path path =
      fs::temp_directory_path() / ("cria_runner_test_cut_" + std::to_string(::getpid()) + ".gguf");
  std::optional<Failure> failure;
  for (int i = 0; i < 20 && !failure; ++i) {  // where this thread had to wait they may be in memory
    fs::copy_file(test_model(), path, fs::copy_options::overwrite_existing);
    RunnerProcess runner;
    runner.send(Load{.model_path = path.string(), .num_ctx = 256, .threads = 2});
    REQUIRE(runner.receive_loaded().has_value());
    fs::resize_file(path, 10 << 20);
    Generate request{.id = 1, .prompt = "The capital of France is", .raw = true};
    request.options = {{"num_predict", 3}};
    try {
      runner.send(request);
    } catch (const Error&) {
      // It was reading already, and has said why it ends.
    }
    auto event = runner.receive();
    while (event && !std::holds_alternative<Failure>(*event) &&
           !std::holds_alternative<Done>(*event))
      event = runner.receive();
    if (event && std::holds_alternative<Failure>(*event)) failure = std::get<Failure>(*event);
    CHECK(runner.exit_code() == (failure ? 1 : 0));
  }
  fs::remove(path);
  REQUIRE(failure.has_value());
  CHECK(failure->id == 0);
  CHECK(failure->message.find(path.filename().string()) != std::string::npos);
  CHECK(failure->message.find("ends") != std::string::npos);
}

// Letters without a space: one word for the tokenizer.
Generate long_prompt(uint64_t id) {
  constexpr size_t kBytes = size_t{4} << 20;
  std::string letters;
  for (uint64_t state = 7; letters.size() < kBytes; state = state * 6364136223846793005u + 1)
    letters += static_cast<char>('a' + (state >> 33) % 26);
  Generate request{.id = id, .prompt = std::move(letters), .raw = true};
  request.options = {{"temperature", 0}, {"num_predict", 1}, {"num_ctx", 256}};
  return request;
}

// A runner with an answer that goes on, whose tokens are counted.
struct Stream {
  RunnerProcess runner;
  int64_t tokens = 0;

  Stream() {
    runner.send(
        Load{.model_path = test_model().string(), .num_ctx = 4096, .threads = 2, .parallel = 4});
    Generate endless{.id = 1, .prompt = "Count to a million: 1 2 3 4", .raw = true};
    endless.options = {{"temperature", 0}, {"logit_bias", {{"0", -100}, {"2", -100}}}};
    runner.send(endless);
    receive_until([&](const Event&) { return tokens > 0; });
  }
  Event receive_until(const std::function<bool(const Event&)>& wanted) {
    for (;;) {
      auto event = runner.receive();
      REQUIRE(event.has_value());
      if (const auto* text = std::get_if<Text>(&*event); text != nullptr && text->id == 1)
        tokens = text->generated_tokens;
      REQUIRE_FALSE((std::holds_alternative<Done>(*event) && std::get<Done>(*event).id == 1));
      if (wanted(*event)) return std::move(*event);
    }
  }
};

template <class Kind>
std::function<bool(const Event&)> is(uint64_t id) {
  return [id](const Event& event) {
    const auto* one = std::get_if<Kind>(&event);
    return one != nullptr && one->id == id;
  };
}

// Of a stream meanwhile: no stall, which would give one or two. A busy machine may hold up the
// stream's own thread for as long, but not each time.
constexpr int64_t kManyTokens = 8;

bool goes_on(const std::function<int64_t(Stream&)>& tokens_meanwhile) {
  for (int i = 0; i < 3; ++i) {
    Stream stream;
    if (tokens_meanwhile(stream) >= kManyTokens) return true;
  }
  return false;
}

TEST_CASE("answers go on, and short ones begin, while a prompt of megabytes is prepared") {
  if (!have_model()) return;
  Generate request{.id = 3, .prompt = "The capital of France is", .raw = true};
  request.options = {{"temperature", 0}, {"num_predict", 2}};
  const auto begins = [&](const Event& event) {
    return is<Begun>(2)(event) || is<Begun>(3)(event);
  };
  CHECK(goes_on([&](Stream& stream) {
    stream.runner.send(long_prompt(2));
    stream.runner.send(request);
    CHECK(std::get<Begun>(stream.receive_until(begins)).id == 3);
    const int64_t before = stream.tokens;
    stream.receive_until(begins);
    const int64_t meanwhile = stream.tokens - before;
    const Done done = std::get<Done>(stream.receive_until(is<Done>(2)));
    CHECK(done.prompt_tokens < 256);
    CHECK(done.truncated.tokens > 1'000'000);
    return meanwhile;
  }));
}

TEST_CASE("texts of megabytes to embed hold up no answer") {
  if (!have_model()) return;
  CHECK(goes_on([](Stream& stream) {
    stream.runner.send(Embed{.id = 2, .inputs = {long_prompt(2).prompt}, .num_ctx = 256});
    const int64_t before = stream.tokens;
    stream.receive_until(is<Begun>(2));
    const int64_t meanwhile = stream.tokens - before;
    stream.receive_until(is<Done>(2));
    return meanwhile;
  }));
}

TEST_CASE("a request that is cancelled while it is prepared ends at once") {
  if (!have_model()) return;
  Stream stream;
  stream.runner.send(long_prompt(2));
  const int64_t sent = stream.tokens;
  stream.receive_until([&](const Event&) { return stream.tokens > sent + 1; });
  stream.runner.send(Cancel{.id = 2});
  const Event end = stream.receive_until(
      [&](const Event& event) { return is<Begun>(2)(event) || is<Failure>(2)(event); });
  REQUIRE(std::holds_alternative<Failure>(end));
  CHECK(std::get<Failure>(end).kind == ErrorKind::kCancelled);
  stream.runner.send(long_prompt(3));  // the thread is free for another
  stream.receive_until([&](const Event& event) {
    CHECK_FALSE((is<Begun>(2)(event) || is<Failure>(2)(event)));
    return is<Done>(3)(event);
  });
}

TEST_CASE("a server that goes away in the middle of an answer ends the runner") {
  if (!have_model()) return;
  Stream stream;
  CHECK(stream.runner.exit_code() >= 0);  // of its own accord: this waits for it
}

}  // namespace
}  // namespace cria::engine
