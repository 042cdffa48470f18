#include "protocol/channel.h"

#include "base/error.h"
#include "protocol/child.h"
#include "protocol/protocol.h"

#include <doctest/doctest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <filesystem>
#include <set>
#include <thread>

namespace cria::protocol {
namespace {

using namespace std::chrono_literals;

TEST_CASE("messages of many sizes arrive whole and in order, from several threads at once") {
  const auto [a, b] = make_socket_pair();
  Channel left(a), right(b);
  constexpr int kThreads = 4, kEach = 50;
  std::vector<std::thread> senders;
  for (int t = 0; t < kThreads; ++t)
    senders.emplace_back([&left, t] {
      for (int i = 0; i < kEach; ++i)
        left.send(
            {{"thread", t}, {"i", i}, {"fill", std::string(static_cast<size_t>(i) * 4000, 'x')}});
    });
  std::vector<int> next(kThreads, 0);
  for (int n = 0; n < kThreads * kEach; ++n) {
    const auto message = right.receive();
    REQUIRE(message);
    const auto t = static_cast<size_t>(*json_integer(*message, "thread"));
    CHECK(*json_integer(*message, "i") == next[t]++);
    CHECK(json_find(*message, "protocol") == nullptr);
  }
  for (std::thread& sender : senders) sender.join();
  left.shut_down();
  CHECK_FALSE(right.receive().has_value());
}

TEST_CASE("a frame that lies about its length is refused without the memory it asks for") {
  const auto write_raw = [](int descriptor, std::string_view bytes) {
    REQUIRE(::send(descriptor, bytes.data(), bytes.size(), 0) ==
            static_cast<ssize_t>(bytes.size()));
  };
  for (const std::string_view bytes :
       {std::string_view("\xff\xff\xff\xff", 4), std::string_view("\0\0\0\0", 4),
        std::string_view("\xff\xff\xff\x0f{", 5), std::string_view("\x02\0", 2),
        std::string_view("\x02\0\0\0{}", 6), std::string_view("\x02\0\0\0[[", 6)}) {
    const auto [a, b] = make_socket_pair();
    Channel right(b);
    write_raw(a, bytes);
    ::close(a);
    CHECK_THROWS_AS(right.receive(), Error);
  }
}

TEST_CASE("another version of the protocol is a clear error") {
  const auto [a, b] = make_socket_pair();
  Channel right(b);
  const std::string body = R"({"protocol":99})";
  const std::string frame = std::string("\x0f\0\0\0", 4) + body;
  REQUIRE(::send(a, frame.data(), frame.size(), 0) == static_cast<ssize_t>(frame.size()));
  CHECK_THROWS_WITH(right.receive(), "the other process speaks protocol 99, this one 1");
  ::close(a);
}

TEST_CASE("receive gives up at its deadline and send notices that nobody listens") {
  const auto [a, b] = make_socket_pair();
  Channel left(a);
  {
    Channel right(b);
    const auto start = Channel::Clock::now();
    CHECK_THROWS_AS(right.receive(start + 50ms), Error);
    CHECK(Channel::Clock::now() - start < 5s);
  }
  CHECK_THROWS_AS(left.send({{"x", 1}}), Error);
}

// The role is the program's only argument: `sleep 100` and the like.
TEST_CASE("a child's end is described, and killing it leaves no zombie") {
  Spawner spawner("/bin/sleep");
  const auto child = spawner.start("100");
  CHECK_FALSE(child->wait(20ms).has_value());
  child->kill();
  CHECK(child->wait(5s) == "killed by SIGKILL");
  CHECK(child->wait(0ms) == "killed by SIGKILL");
  const auto bad = spawner.start("no-number");
  CHECK(bad->wait(5s) == "exited with status 1");
  CHECK_FALSE(bad->channel().receive().has_value());
}

TEST_CASE("a child sees stdin, stdout, stderr and its channel, nothing else") {
  Spawner spawner("/bin/sleep");
  const int extra = ::dup(1);  // not close-on-exec
  const auto child = spawner.start("100");
  const auto names = [&] {
    std::set<std::string> out;
    for (const auto& entry :
         std::filesystem::directory_iterator(fmt::format("/proc/{}/fd", child->pid())))
      out.insert(entry.path().filename().string());
    return out;
  };
  const std::set<std::string> wanted = {"0", "1", "2", "3"};
  // Until it has become /bin/sleep, and has no library open any more.
  bool alone = false;
  for (int i = 0; i < 400 && !alone; ++i) {
    std::this_thread::sleep_for(50ms);
    alone = names() == wanted;
  }
  CHECK(alone);
  ::close(extra);
}

TEST_CASE("a program that cannot be started ends with status 127") {
  Spawner spawner("/nonexistent/program");
  CHECK(spawner.start("runner")->wait(5s) == "exited with status 127");
}

}  // namespace
}  // namespace cria::protocol
