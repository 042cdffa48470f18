// url.h - addresses of HTTP resources, checked: only http and https, never with credentials inside.
#pragma once

#include <string>
#include <string_view>

namespace cria::http {

struct Url {
  std::string scheme;  // "http" or "https"
  std::string host;    // lower case; an IPv6 address in brackets
  std::string port;    // never empty
  std::string text;    // the whole address, without fragment

  // Throws Error{kInvalidInput} naming the text.
  static Url parse(std::string_view text);
  // What `reference` (of a Location header, absolute or relative) means at this address.
  Url resolve(std::string_view reference) const;

  std::string authority() const { return host + ":" + port; }
  // Of the same server by the same scheme: what credentials may be sent to.
  bool same_origin(const Url& other) const {
    return scheme == other.scheme && host == other.host && port == other.port;
  }
};

// Everything but letters, digits and "-._~" as %XX: a value of a query.
std::string percent_encode(std::string_view text);

}  // namespace cria::http
