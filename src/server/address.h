// address.h - OLLAMA_HOST as the server binds it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace cria::server {

struct Address {
  std::string host;  // empty: every interface
  uint16_t port = 11434;
};

// "host", "host:port", ":port", "[::1]:port", with or without a scheme; an invalid port is the
// default one, with a warning, as existing set-ups expect.
Address parse_address(std::string_view text);

}  // namespace cria::server
