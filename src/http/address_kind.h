// address_kind.h - how far an address of the network reaches. A server on the public network must
// not be able to send us to one that only this machine or its neighbours can reach.
#pragma once

#include <string>
#include <string_view>

struct sockaddr;

namespace cria::http {

enum class AddressKind { kPublic, kPrivate, kLinkLocal, kLoopback };

AddressKind address_kind(const sockaddr& address);  // kPublic for what is neither IPv4 nor IPv6
AddressKind address_kind(
    const std::string& text);                  // "10.0.0.1", "fe80::1"; kPublic when it is none
std::string_view kind_text(AddressKind kind);  // "private", ...

}  // namespace cria::http
