#include "server/address.h"

#include "base/log.h"

#include <charconv>

namespace cria::server {

constexpr uint16_t kDefaultPort = 11434;

Address parse_address(std::string_view text) {
  Address address;
  address.port = kDefaultPort;
  for (const auto& [scheme, port] : {std::pair("http://", 80), std::pair("https://", 443)})
    if (text.starts_with(scheme)) {
      text.remove_prefix(std::string_view(scheme).size());
      address.port = static_cast<uint16_t>(port);
    }
  const uint16_t fallback = address.port;
  text = text.substr(0, text.find('/'));
  if (text.empty()) return {.host = "127.0.0.1", .port = fallback};
  size_t colon = text.rfind(':');
  const size_t bracket = text.rfind(']');
  // "::1" without brackets has colons but no port.
  if (bracket == std::string_view::npos && text.find(':') != colon) colon = std::string_view::npos;
  if (bracket != std::string_view::npos && colon != std::string_view::npos && colon < bracket)
    colon = std::string_view::npos;
  std::string_view host = text.substr(0, colon);
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  address.host = host;
  if (colon == std::string_view::npos) return address;
  const std::string_view digits = text.substr(colon + 1);
  const auto [end, code] =
      std::from_chars(digits.data(), digits.data() + digits.size(), address.port);
  if (code != std::errc() || end != digits.data() + digits.size() || digits.empty()) {
    log::warn("invalid port \"{}\", using {}", digits, fallback);
    address.port = fallback;
  }
  return address;
}

}  // namespace cria::server
