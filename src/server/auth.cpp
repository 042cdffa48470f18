#include "server/auth.h"

#include "base/error.h"
#include "base/text.h"
#include "server/wire.h"

namespace cria::server {
namespace {

constexpr std::string_view kBearer = "bearer ";

// Empty when the request has none.
std::string secret_of(const http::Request& head) {
  if (const std::string* const value = http::find_header(head.headers, "authorization")) {
    const std::string_view text = *value;
    if (http::equal_ignoring_case(text.substr(0, kBearer.size()), kBearer)) {
      const size_t begin = text.find_first_not_of(' ', kBearer.size());
      if (begin == std::string_view::npos) return {};
      return std::string(text.substr(begin, text.find_last_not_of(' ') + 1 - begin));
    }
  }
  if (dialect_of(head) != Dialect::kAnthropic) return {};
  const std::string* const value = http::find_header(head.headers, "x-api-key");
  return value == nullptr ? std::string{} : *value;
}

}  // namespace

AuthVerdict check_key(api::KeyRing& keys, const http::Request& head, api::Scope needed) {
  if (needed == api::Scope::kOpen || !keys.required()) return {};
  const std::string secret = secret_of(head);
  if (secret.empty())
    return {.refuse_with = 401,
            .message =
                "this server needs an API key: send it as \"Authorization: Bearer KEY\" (cria and "
                "ollama take it from OLLAMA_API_KEY); `cria key create` makes one",
            .challenge = "Bearer realm=\"cria\""};
  try {
    const std::optional<api::ApiKey> key = keys.find(secret);
    if (!key)
      return {.refuse_with = 401,
              .message = "the API key is unknown or was revoked; `cria key create` makes a new one",
              .challenge = "Bearer realm=\"cria\", error=\"invalid_token\""};
    if (key->scope < needed)
      return {.refuse_with = 403,
              .message = fmt::format(
                  "the API key has the scope {}, but {} {} needs {}; `cria key create --scope {}` "
                  "makes one that may",
                  api::scope_name(key->scope), head.method, one_line(head.path, 100),
                  api::scope_name(needed), api::scope_name(needed)),
              .challenge =
                  fmt::format("Bearer realm=\"cria\", error=\"insufficient_scope\", scope=\"{}\"",
                              api::scope_name(needed)),
              .key_id = key->id};
    return {.key_id = key->id};
  } catch (const Error& e) {
    return {.refuse_with = http_status(e.kind()), .message = e.what()};
  }
}

}  // namespace cria::server
