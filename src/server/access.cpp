#include "server/access.h"

#include "base/error.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <netinet/in.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <memory>
#include <optional>

namespace cria::server {
namespace {

constexpr std::string_view kAllowedHeaders =
    "Authorization,Content-Type,User-Agent,Accept,X-Requested-With,Openai-Beta,X-Stainless-Arch,"
    "X-Stainless-Async,X-Stainless-Custom-Poll-Interval,X-Stainless-Helper-Method,X-Stainless-Lang,"
    "X-Stainless-Os,X-Stainless-Package-Version,X-Stainless-Poll-Helper,X-Stainless-Retry-Count,"
    "X-Stainless-Runtime,X-Stainless-Runtime-Version,X-Stainless-Timeout,X-Api-Key,"
    "Anthropic-Version,Anthropic-Beta,Anthropic-Dangerous-Direct-Browser-Access";

std::string lowered(std::string_view text) {
  std::string out(text);
  for (char& c : out)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return out;
}

std::string_view trimmed(std::string_view text) {
  const size_t first = text.find_first_not_of(" \t");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t") - first + 1);
}

// "[::1]:80" gives "::1", "host:80" gives "host".
std::string_view without_port(std::string_view host) {
  if (host.starts_with('[')) {
    const size_t end = host.find(']');
    return end == std::string_view::npos ? host : host.substr(1, end - 1);
  }
  const size_t colon = host.find(':');
  const bool bare_v6 = colon != std::string_view::npos && host.find(':', colon + 1) != host.npos;
  return bare_v6 ? host : host.substr(0, colon);
}

// Loopback, private or unspecified; nullopt when it is no IP address.
std::optional<bool> is_local_address(const std::string& host) {
  in_addr four = {};
  if (::inet_pton(AF_INET, host.c_str(), &four) == 1) {
    const uint32_t a = ntohl(four.s_addr);
    return a >> 24 == 127 || a >> 24 == 10 || a >> 20 == 0xac1 || a >> 16 == 0xc0a8 || a == 0;
  }
  in6_addr six = {};
  if (::inet_pton(AF_INET6, host.c_str(), &six) != 1) return std::nullopt;
  return IN6_IS_ADDR_LOOPBACK(&six) || IN6_IS_ADDR_UNSPECIFIED(&six) ||
         (six.s6_addr[0] & 0xfe) == 0xfc;
}

bool matches(std::string_view pattern, std::string_view origin) {
  const size_t star = pattern.find('*');
  if (star == std::string_view::npos) return lowered(pattern) == origin;
  const std::string_view head = pattern.substr(0, star), tail = pattern.substr(star + 1);
  return origin.size() >= head.size() + tail.size() && origin.starts_with(head) &&
         origin.ends_with(tail);
}

void check_entry(std::string_view entry) {
  if (std::ranges::count(entry, '*') > 1)
    fail(ErrorKind::kInvalidInput, "bad origin \"{}\": only one * is allowed", entry);
  if (entry.find('*') != std::string_view::npos) return;
  for (const std::string_view scheme :
       {"http://", "https://", "chrome-extension://", "safari-extension://", "moz-extension://",
        "ms-browser-extension://"})
    if (entry.starts_with(scheme)) return;
  fail(ErrorKind::kInvalidInput,
       "bad origin \"{}\": origins must contain '*' or include http://, https://, "
       "chrome-extension://, safari-extension://, moz-extension://, or ms-browser-extension://",
       entry);
}

}  // namespace

Access::Access(std::string_view origins, bool loopback, std::vector<std::string> own_names)
    : loopback_(loopback), own_names_(std::move(own_names)) {
  while (!origins.empty()) {
    const size_t comma = origins.find(',');
    const std::string_view entry = trimmed(origins.substr(0, comma));
    origins.remove_prefix(comma == std::string_view::npos ? origins.size() : comma + 1);
    if (entry.empty()) continue;
    check_entry(entry);
    any_origin_ = any_origin_ || entry == "*";
    origins_.emplace_back(entry);
  }
  for (const char* const host : {"localhost", "127.0.0.1", "0.0.0.0"})
    for (const char* const scheme : {"http", "https"}) {
      origins_.push_back(fmt::format("{}://{}", scheme, host));
      origins_.push_back(fmt::format("{}://{}:*", scheme, host));
    }
  for (const char* const scheme : {"app", "file", "tauri", "vscode-webview", "vscode-file"})
    origins_.push_back(fmt::format("{}://*", scheme));
}

bool Access::origin_allowed(const std::string& origin) const {
  if (any_origin_) return true;
  const std::string low = lowered(origin);
  return std::ranges::any_of(origins_, [&](const auto& pattern) { return matches(pattern, low); });
}

bool Access::host_allowed(std::string_view header) const {
  const std::string host = lowered(without_port(header));
  if (host.empty() || host == "localhost") return true;
  for (const std::string_view end : {".localhost", ".local", ".internal"})
    if (host.ends_with(end)) return true;
  if (is_local_address(host) == true) return true;
  return std::ranges::find(own_names_, host) != own_names_.end();
}

Access::Verdict Access::check(const std::string& method, const http::Headers& headers) const {
  Verdict verdict;
  const std::string* const origin = http::find_header(headers, "origin");
  const std::string* const host_header = http::find_header(headers, "host");
  const std::string host = host_header == nullptr ? "" : *host_header;
  const bool foreign = origin != nullptr && !origin->empty() && *origin != "http://" + host &&
                       *origin != "https://" + host;
  if (foreign) {
    if (!origin_allowed(*origin)) return {.refuse_with = 403};
    verdict.headers.push_back({"Access-Control-Allow-Origin", any_origin_ ? "*" : *origin});
    verdict.headers.push_back({"Vary", "Origin"});
    verdict.headers.push_back({"Access-Control-Expose-Headers", "X-Cria-Truncated, X-Request-Id"});
    if (method == "OPTIONS") {
      verdict.headers.push_back(
          {"Access-Control-Allow-Methods", "GET,POST,PUT,PATCH,DELETE,HEAD,OPTIONS"});
      verdict.headers.push_back({"Access-Control-Allow-Headers", std::string(kAllowedHeaders)});
      verdict.headers.push_back({"Access-Control-Max-Age", "43200"});
      verdict.headers.push_back({"Vary", "Access-Control-Request-Method"});
      verdict.headers.push_back({"Vary", "Access-Control-Request-Headers"});
      verdict.refuse_with = 204;
      return verdict;
    }
  }
  if (!loopback_) return verdict;
  if (!host_allowed(host)) return {.refuse_with = 403};
  if (method == "OPTIONS" && !is_local_address(std::string(without_port(host))))
    verdict.refuse_with = 204;
  return verdict;
}

std::vector<std::string> names_of_this_machine() {
  std::vector<std::string> names;
  std::array<char, 256> name = {};
  if (::gethostname(name.data(), name.size() - 1) == 0) names.push_back(lowered(name.data()));
  ifaddrs* list = nullptr;
  if (::getifaddrs(&list) != 0) return names;
  const std::unique_ptr<ifaddrs, void (*)(ifaddrs*)> owner(list, ::freeifaddrs);
  for (const ifaddrs* one = list; one != nullptr; one = one->ifa_next) {
    if (one->ifa_addr == nullptr) continue;
    std::array<char, INET6_ADDRSTRLEN> text = {};
    const void* address = nullptr;
    if (one->ifa_addr->sa_family == AF_INET)
      address = &reinterpret_cast<const sockaddr_in*>(one->ifa_addr)->sin_addr;
    else if (one->ifa_addr->sa_family == AF_INET6)
      address = &reinterpret_cast<const sockaddr_in6*>(one->ifa_addr)->sin6_addr;
    if (address != nullptr &&
        ::inet_ntop(one->ifa_addr->sa_family, address, text.data(), text.size()) != nullptr)
      names.emplace_back(text.data());
  }
  return names;
}

}  // namespace cria::server
