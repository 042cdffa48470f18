#include "http/address_kind.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <string_view>

namespace cria::http {
namespace {

struct Range {
  uint32_t base;
  int bits;
  AddressKind kind;
};
// RFC 6890. What is neither unicast nor global counts as private: nothing there is ours to ask.
constexpr std::array kRanges = {
    Range{0x00000000, 8, AddressKind::kLoopback},    // 0.0.0.0 reaches this machine
    Range{0x7f000000, 8, AddressKind::kLoopback},    // 127.0.0.0
    Range{0xa9fe0000, 16, AddressKind::kLinkLocal},  // 169.254.0.0, with the clouds' metadata
    Range{0x0a000000, 8, AddressKind::kPrivate},     // 10.0.0.0
    Range{0xac100000, 12, AddressKind::kPrivate},    // 172.16.0.0
    Range{0xc0a80000, 16, AddressKind::kPrivate},    // 192.168.0.0
    Range{0x64400000, 10, AddressKind::kPrivate},    // 100.64.0.0, behind carriers' NAT
    Range{0xc0000000, 24, AddressKind::kPrivate},    // 192.0.0.0
    Range{0xc6120000, 15, AddressKind::kPrivate},    // 198.18.0.0, benchmarks
    Range{0xe0000000, 3, AddressKind::kPrivate},     // multicast, reserved, broadcast
};

AddressKind kind_of_v4(uint32_t address) {
  for (const Range& range : kRanges)
    if ((address ^ range.base) >> (32 - range.bits) == 0) return range.kind;
  return AddressKind::kPublic;
}

AddressKind kind_of_v6(const uint8_t* bytes) {
  constexpr std::array<uint8_t, 12> kMapped = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
  constexpr std::array<uint8_t, 12> kNat64 = {0, 0x64, 0xff, 0x9b};
  const uint32_t last = static_cast<uint32_t>(bytes[12]) << 24 |
                        static_cast<uint32_t>(bytes[13]) << 16 |
                        static_cast<uint32_t>(bytes[14]) << 8 | bytes[15];
  const bool zeros = std::all_of(bytes, bytes + 12, [](uint8_t byte) { return byte == 0; });
  if (zeros && last <= 1) return AddressKind::kLoopback;  // "::" reaches this machine, too
  if (zeros || std::equal(kMapped.begin(), kMapped.end(), bytes) ||
      std::equal(kNat64.begin(), kNat64.end(), bytes))
    return kind_of_v4(last);
  if (bytes[0] == 0x20 && bytes[1] == 0x02)  // 6to4: the IPv4 address stands behind the prefix
    return kind_of_v4(static_cast<uint32_t>(bytes[2]) << 24 |
                      static_cast<uint32_t>(bytes[3]) << 16 | static_cast<uint32_t>(bytes[4]) << 8 |
                      bytes[5]);
  if (bytes[0] == 0xfe && (bytes[1] & 0xc0) == 0x80) return AddressKind::kLinkLocal;
  if ((bytes[0] & 0xfe) == 0xfc || bytes[0] >= 0xfe) return AddressKind::kPrivate;
  return AddressKind::kPublic;
}

}  // namespace

AddressKind address_kind(const sockaddr& address) {
  if (address.sa_family == AF_INET) {
    sockaddr_in v4 = {};
    std::memcpy(&v4, &address, sizeof v4);
    return kind_of_v4(ntohl(v4.sin_addr.s_addr));
  }
  if (address.sa_family == AF_INET6) {
    sockaddr_in6 v6 = {};
    std::memcpy(&v6, &address, sizeof v6);
    return kind_of_v6(v6.sin6_addr.s6_addr);
  }
  return AddressKind::kPublic;
}

AddressKind address_kind(const std::string& text) {
  in_addr v4 = {};
  if (::inet_pton(AF_INET, text.c_str(), &v4) == 1) return kind_of_v4(ntohl(v4.s_addr));
  in6_addr v6 = {};
  if (::inet_pton(AF_INET6, text.c_str(), &v6) == 1) return kind_of_v6(v6.s6_addr);
  return AddressKind::kPublic;
}

std::string_view kind_text(AddressKind kind) {
  switch (kind) {
    case AddressKind::kPublic:
      return "public";
    case AddressKind::kPrivate:
      return "private";
    case AddressKind::kLinkLocal:
      return "link-local";
    case AddressKind::kLoopback:
      return "loopback";
  }
  return "unknown";
}

}  // namespace cria::http
