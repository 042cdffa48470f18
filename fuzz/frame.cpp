// frame.cpp - messages of a child process that may have been taken over by its model file.
#include "base/error.h"
#include "protocol/channel.h"
#include "protocol/protocol.h"

#include <sys/socket.h>
#include <unistd.h>

#include <cstdint>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size > 100'000) return 0;  // what the socket takes without a reader
  const auto [ours, theirs] = cria::protocol::make_socket_pair();
  cria::protocol::Channel channel(ours);
  const ssize_t sent = ::send(theirs, data, size, MSG_DONTWAIT);
  ::close(theirs);
  if (sent < 0) return 0;
  try {
    while (const auto message = channel.receive()) {
      try {
        cria::protocol::event_from_json(*message);
      } catch (const cria::Error&) {
      }
      cria::protocol::request_from_json(*message);
    }
  } catch (const cria::Error&) {
  }
  return 0;
}
