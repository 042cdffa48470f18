// channel.h - whole messages over one end of a socket pair.
//
// A frame is a 4-byte little-endian length and that many bytes of JSON. The first message of each
// side carries the version of the protocol; the other side checks it. Nothing is allocated because
// of a length that the bytes have not yet justified.
#pragma once

#include "base/json.h"

#include <chrono>
#include <mutex>
#include <optional>
#include <string>
#include <utility>

namespace cria::protocol {

class Channel {
 public:
  using Clock = std::chrono::steady_clock;
  static constexpr std::chrono::seconds kSendTimeout{60};

  // Owns the descriptor of a connected stream socket.
  explicit Channel(int descriptor);
  ~Channel();
  Channel(const Channel&) = delete;
  Channel& operator=(const Channel&) = delete;

  // Safe to call from several threads; frames never mix. Throws Error{kUpstream} when the other
  // side is gone or takes nothing for kSendTimeout, kTooLarge for a frame over kMaxFrame.
  void send(const Json& message);
  // The next message; nullopt when the other side has closed between two messages. One thread at a
  // time. Throws Error{kInvalidInput} for a broken frame, kUpstream when the other side died within
  // one or `deadline` passed.
  std::optional<Json> receive(std::optional<Clock::time_point> deadline = std::nullopt);
  // Ends the conversation: both sides' receive() returns. Safe from any thread.
  void shut_down() noexcept;

  int descriptor() const noexcept { return descriptor_; }

 private:
  bool read_exactly(std::string& out, size_t size, std::optional<Clock::time_point> deadline);

  const int descriptor_;
  std::mutex send_mutex_;
  bool greeted_ = false;   // our version went out (under send_mutex_)
  bool welcomed_ = false;  // theirs came in
};

// Two connected descriptors, both closed on exec.
std::pair<int, int> make_socket_pair();

}  // namespace cria::protocol
