// proxy.h - which proxy, if any, a request goes through: HTTP_PROXY, HTTPS_PROXY and NO_PROXY.
#pragma once

#include "http/url.h"

#include <string>

namespace cria::http {

// The proxy's address, empty for a direct connection. This machine is never asked for by proxy.
// NO_PROXY is a list of hosts (with everything below them), ".domain" (only what is below it),
// addresses, address ranges "10.0.0.0/8", any of them with ":port", or "*".
std::string proxy_for(const Url& url);

}  // namespace cria::http
