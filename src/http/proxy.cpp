#include "http/proxy.h"

#include "base/settings.h"
#include "http/address_kind.h"
#include "http/message.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <string_view>

namespace cria::http {
namespace {

std::string either_case(std::string_view name) {
  const std::string value = setting(name);
  if (!value.empty()) return value;
  std::string lower(name);
  for (char& c : lower)
    if (c != '_') c = static_cast<char>(c - 'A' + 'a');
  return setting(lower);
}

struct Bytes {
  std::array<uint8_t, 16> data = {};
  int size = 0;  // 4, 16, or 0 when the text is no address
};

Bytes address_bytes(std::string_view text) {
  if (text.starts_with('[') && text.ends_with(']')) text = text.substr(1, text.size() - 2);
  const std::string copy(text);
  Bytes out;
  if (::inet_pton(AF_INET, copy.c_str(), out.data.data()) == 1)
    out.size = 4;
  else if (::inet_pton(AF_INET6, copy.c_str(), out.data.data()) == 1)
    out.size = 16;
  return out;
}

bool in_range(std::string_view host, std::string_view range) {
  const size_t slash = range.find('/');
  const Bytes address = address_bytes(host), base = address_bytes(range.substr(0, slash));
  if (address.size == 0 || address.size != base.size) return false;
  int bits = address.size * 8;
  if (slash != std::string_view::npos) {
    const std::string_view digits = range.substr(slash + 1);
    const auto [end, code] = std::from_chars(digits.data(), digits.data() + digits.size(), bits);
    if (code != std::errc() || end != digits.data() + digits.size() || bits < 0 ||
        bits > address.size * 8)
      return false;
  }
  for (int i = 0; i < bits; ++i) {
    const auto byte = static_cast<size_t>(i / 8);
    if (((address.data[byte] ^ base.data[byte]) >> (7 - i % 8) & 1) != 0) return false;
  }
  return true;
}

// `entry` is one of NO_PROXY's.
bool excepts(std::string_view entry, const Url& url) {
  if (entry.starts_with("*.")) entry.remove_prefix(1);
  if (entry == "*") return true;
  const size_t colon = entry.rfind(':');
  const bool has_port = colon != std::string_view::npos &&
                        entry.find(']', colon) == std::string_view::npos &&
                        (entry.find(':') == colon || entry.find("]:") != std::string_view::npos);
  if (has_port) {
    if (entry.substr(colon + 1) != url.port) return false;
    entry = entry.substr(0, colon);
  }
  if (entry.empty()) return false;
  if (in_range(url.host, entry)) return true;
  const std::string_view host = url.host;
  if (!entry.starts_with('.') && equal_ignoring_case(host, entry)) return true;
  const std::string below = entry.starts_with('.') ? std::string(entry) : "." + std::string(entry);
  return host.size() > below.size() &&
         equal_ignoring_case(host.substr(host.size() - below.size()), below);
}

bool is_excepted(const Url& url) {
  const std::string list = either_case("NO_PROXY");
  for (std::string_view left = list; !left.empty();) {
    const size_t end = std::min(left.find(','), left.size());
    std::string_view entry = left.substr(0, end);
    left.remove_prefix(std::min(end + 1, left.size()));
    while (entry.starts_with(' ')) entry.remove_prefix(1);
    while (entry.ends_with(' ')) entry.remove_suffix(1);
    if (excepts(entry, url)) return true;
  }
  return false;
}

bool is_this_machine(const std::string& host) {
  std::string address = host;
  if (address.starts_with('[')) address = address.substr(1, address.size() - 2);
  return host == "localhost" || address_kind(address) == AddressKind::kLoopback;
}

}  // namespace

std::string proxy_for(const Url& url) {
  if (is_this_machine(url.host) || is_excepted(url)) return {};
  return either_case(url.scheme == "https" ? "HTTPS_PROXY" : "HTTP_PROXY");
}

}  // namespace cria::http
