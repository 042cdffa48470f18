#include "protocol/channel.h"

#include "base/error.h"
#include "protocol/protocol.h"

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace cria::protocol {
namespace {

constexpr std::string_view kVersionKey = "protocol";
constexpr size_t kReadStep = size_t{1} << 20;
// A request's own JSON may be as deep as the API allows, inside a few levels of ours.
constexpr JsonLimits kLimits = {.max_bytes = kMaxFrame, .max_depth = 160};

// False when `deadline` passes first.
bool wait_for(int descriptor, short events, std::optional<Channel::Clock::time_point> deadline) {
  for (;;) {
    int timeout = -1;
    if (deadline) {
      const auto left =
          std::chrono::ceil<std::chrono::milliseconds>(*deadline - Channel::Clock::now());
      timeout = static_cast<int>(std::clamp<int64_t>(left.count(), 0, 1'000'000'000));
    }
    pollfd entry = {.fd = descriptor, .events = events, .revents = 0};
    const int ready = ::poll(&entry, 1, timeout);
    if (ready > 0) return true;
    if (ready == 0) return false;
    if (errno != EINTR) fail(ErrorKind::kInternal, "poll failed: {}", std::strerror(errno));
  }
}

std::string header_of(size_t size) {
  std::string header(4, '\0');
  for (size_t i = 0; i < 4; ++i) header[i] = static_cast<char>(size >> (8 * i) & 0xff);
  return header;
}

void send_all(int descriptor, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t n = ::send(descriptor, bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n >= 0) {
      bytes.remove_prefix(static_cast<size_t>(n));
    } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
      if (!wait_for(descriptor, POLLOUT, Channel::Clock::now() + Channel::kSendTimeout))
        fail(ErrorKind::kUpstream, "the other process read nothing for {} s",
             Channel::kSendTimeout.count());
    } else if (errno != EINTR) {
      fail(ErrorKind::kUpstream, "the other process is gone: {}", std::strerror(errno));
    }
  }
}

}  // namespace

Channel::Channel(int descriptor) : descriptor_(descriptor) {}

Channel::~Channel() {
  ::close(descriptor_);
}

void Channel::shut_down() noexcept {
  ::shutdown(descriptor_, SHUT_RDWR);
}

void Channel::send(const Json& message) {
  const std::lock_guard lock(send_mutex_);
  std::string frame;
  if (greeted_) {
    frame = dump_json(message);
  } else {
    Json first = message;
    first[kVersionKey] = kProtocolVersion;
    frame = dump_json(first);
  }
  if (frame.size() > kMaxFrame)
    fail(ErrorKind::kTooLarge, "a message of {} bytes is over the limit of {}", frame.size(),
         kMaxFrame);
  frame.insert(0, header_of(frame.size()));
  send_all(descriptor_, frame);
  greeted_ = true;
}

// False at the end of the stream before the first byte.
bool Channel::read_exactly(std::string& out, size_t size,
                           std::optional<Clock::time_point> deadline) {
  out.clear();
  while (out.size() < size) {
    const size_t have = out.size();
    out.resize(have + std::min(size - have, kReadStep));
    const ssize_t n = ::recv(descriptor_, out.data() + have, out.size() - have, MSG_DONTWAIT);
    out.resize(have + static_cast<size_t>(std::max<ssize_t>(n, 0)));
    if (n > 0 || (n < 0 && errno == EINTR)) continue;
    if (n == 0 || errno == ECONNRESET) {
      if (have == 0) return false;
      fail(ErrorKind::kUpstream, "the other process ended within a message");
    }
    if (errno != EAGAIN && errno != EWOULDBLOCK)
      fail(ErrorKind::kUpstream, "cannot read from the other process: {}", std::strerror(errno));
    if (!wait_for(descriptor_, POLLIN, deadline))
      fail(ErrorKind::kUpstream, "timed out waiting for the other process");
  }
  return true;
}

std::optional<Json> Channel::receive(std::optional<Clock::time_point> deadline) {
  std::string bytes;
  if (!read_exactly(bytes, 4, deadline)) return std::nullopt;
  size_t size = 0;
  for (size_t i = 0; i < 4; ++i)
    size |= static_cast<size_t>(static_cast<unsigned char>(bytes[i])) << (8 * i);
  if (size > kMaxFrame)
    fail(ErrorKind::kInvalidInput, "a frame of {} bytes is over the limit of {}", size, kMaxFrame);
  if (size == 0) fail(ErrorKind::kInvalidInput, "a frame is empty");
  if (!read_exactly(bytes, size, deadline))
    fail(ErrorKind::kUpstream, "the other process ended within a message");
  Json message = parse_json(bytes, kLimits);
  if (!welcomed_) {
    const int64_t version = json_integer(message, kVersionKey).value_or(0);
    if (version != kProtocolVersion)
      fail(ErrorKind::kInvalidInput, "the other process speaks protocol {}, this one {}", version,
           kProtocolVersion);
    message.erase(std::string(kVersionKey));
    welcomed_ = true;
  }
  return message;
}

std::pair<int, int> make_socket_pair() {
  int pair[2] = {-1, -1};
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0)
    fail(ErrorKind::kInternal, "cannot make a socket pair: {}", std::strerror(errno));
  return {pair[0], pair[1]};
}

}  // namespace cria::protocol
