#include "store/registry/docker_config.h"

#include "base/base64.h"
#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "base/settings.h"
#include "base/text.h"

namespace cria::store {
namespace {

constexpr size_t kMaxConfig = size_t{4} << 20;
constexpr std::chrono::seconds kHelperTime{30};  // it may ask its user

// "https://host/v1/" is how docker once wrote it.
std::string host_of_key(std::string_view key) {
  if (const size_t scheme = key.find("://"); scheme != std::string_view::npos)
    key.remove_prefix(scheme + 3);
  return lower_case(key.substr(0, key.find('/')));
}

std::optional<Credentials> of_entry(const Json& entry) {
  Credentials found = {.user = json_string(entry, "username").value_or(""),
                       .password = json_string(entry, "password").value_or(""),
                       .identity_token = json_string(entry, "identitytoken").value_or("")};
  if (!found.identity_token.empty() || !found.user.empty()) return found;
  const std::string decoded = base64_decode(json_string(entry, "auth").value_or(""));
  if (decoded.empty()) return std::nullopt;
  const size_t colon = decoded.find(':');
  if (colon == std::string::npos) fail(ErrorKind::kInvalidInput, "an \"auth\" is no user:password");
  found.user = decoded.substr(0, colon);
  found.password = decoded.substr(colon + 1);
  return found;
}

std::optional<Credentials> of_file(const Json& config, const std::string& host) {
  const Json* const entries = json_find(config, "auths");
  if (entries == nullptr || !entries->is_object()) return std::nullopt;
  for (const auto& [key, entry] : entries->items())
    if (host_of_key(key) == host)
      if (auto credentials = of_entry(entry)) return credentials;
  return std::nullopt;
}

std::optional<std::string> helper_of_host(const Json& config, const std::string& host) {
  const Json* const helpers = json_find(config, "credHelpers");
  if (helpers == nullptr || !helpers->is_object()) return std::nullopt;
  for (const auto& [key, name] : helpers->items())
    if (host_of_key(key) == host && name.is_string()) return name.get<std::string>();
  return std::nullopt;
}

// The helper for all hosts: without it there still are registries that want no credentials.
std::optional<Credentials> of_store(const std::string& name, const std::string& host) {
  try {
    return ask_credential_helper(name, host, kHelperTime);
  } catch (const Error& e) {
    log::warn("no credentials for {}: {}", host, e.what());
    return std::nullopt;
  }
}

}  // namespace

std::optional<Credentials> docker_credentials(std::string_view text, const std::string& host) {
  return in_context("docker's config.json", [&]() -> std::optional<Credentials> {
    Json config;
    try {
      config = parse_json(text, {.max_bytes = kMaxConfig, .max_depth = 16});
    } catch (const Error&) {  // its text quotes what was read
      fail(ErrorKind::kInvalidInput, "it is not valid JSON");
    }
    if (const auto name = helper_of_host(config, host))
      return ask_credential_helper(*name, host, kHelperTime);
    if (auto credentials = of_file(config, host)) return credentials;
    const std::string name = json_string(config, "credsStore").value_or("");
    return name.empty() ? std::nullopt : of_store(name, host);
  });
}

std::optional<Credentials> docker_credentials(const std::string& host) {
  const std::string folder = setting("DOCKER_CONFIG");
  const fs::path path =
      (folder.empty() ? fs::path(setting("HOME")) / ".docker" : fs::path(folder)) / "config.json";
  std::error_code code;
  if (!fs::exists(path, code)) return std::nullopt;
  return docker_credentials(read_text_file(path, kMaxConfig), host);
}

}  // namespace cria::store
