#include "store/registry/auth.h"

#include "base/base64.h"
#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "base/settings.h"
#include "base/text.h"
#include "store/registry/keys.h"

#include <openssl/rand.h>

#include <algorithm>
#include <array>
#include <chrono>

namespace cria::store {
namespace {

constexpr size_t kMaxChallenge = 16 << 10;
constexpr int64_t kMaxToken = 1 << 20;
// Base64 of the hexadecimal SHA-256 of nothing: what Ollama signs in place of a body.
constexpr std::string_view kEmptyBody =
    "ZTNiMGM0NDI5OGZjMWMxNDlhZmJmNGM4OTk2ZmI5MjQyN2FlNDFlNDY0OWI5MzRjYTQ5NTk5MWI3ODUyYjg1NQ==";

bool is_token_char(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
         std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos;
}

// Walks over one header value.
class Scanner {
 public:
  explicit Scanner(std::string_view text) : text_(text) {}
  bool done() const { return at_ >= text_.size(); }
  void skip(std::string_view which) {
    while (!done() && which.find(text_[at_]) != std::string_view::npos) ++at_;
  }
  bool take(char c) {
    if (done() || text_[at_] != c) return false;
    ++at_;
    return true;
  }
  std::string_view word() {
    const size_t start = at_;
    while (!done() && is_token_char(text_[at_])) ++at_;
    return text_.substr(start, at_ - start);
  }
  std::string value() {
    if (!take('"')) return std::string(word());
    std::string out;
    while (!done() && text_[at_] != '"') {
      if (text_[at_] == '\\' && at_ + 1 < text_.size()) ++at_;
      out += text_[at_++];
    }
    take('"');
    return out;
  }
  void drop_one() { ++at_; }

 private:
  std::string_view text_;
  size_t at_ = 0;
};

std::vector<std::string> words_of(const std::string& text) {
  std::vector<std::string> words;
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find(' ', at), text.size());
    if (end > at) words.push_back(text.substr(at, end - at));
    at = end + 1;
  }
  return words;
}

std::string parameter(const Challenge& challenge, const std::string& name) {
  const auto it = challenge.parameters.find(name);
  return it == challenge.parameters.end() ? std::string() : it->second;
}

std::optional<Credentials> of_entry(const Json& entry) {
  const std::string user = json_string(entry, "username").value_or("");
  if (!user.empty()) return Credentials{user, json_string(entry, "password").value_or("")};
  const std::string decoded = base64_decode(json_string(entry, "auth").value_or(""));
  if (decoded.empty()) return std::nullopt;
  const size_t colon = decoded.find(':');
  if (colon == std::string::npos)
    fail(ErrorKind::kInvalidInput, "docker's config.json: an \"auth\" is no user:password");
  return Credentials{decoded.substr(0, colon), decoded.substr(colon + 1)};
}

std::string random_nonce() {
  std::array<unsigned char, 16> bytes = {};
  CRIA_CHECK(RAND_bytes(bytes.data(), static_cast<int>(bytes.size())) == 1, "randomness");
  std::string text =
      base64_encode(std::string_view(reinterpret_cast<const char*>(bytes.data()), bytes.size()));
  std::ranges::replace(text, '+', '-');
  std::ranges::replace(text, '/', '_');
  std::erase(text, '=');
  return text;
}

std::string basic(const Credentials& credentials) {
  return "Basic " + base64_encode(credentials.user + ":" + credentials.password);
}

}  // namespace

std::vector<Challenge> parse_challenges(std::string_view header) {
  std::vector<Challenge> found;
  Scanner in(header.substr(0, kMaxChallenge));
  while (!in.done()) {
    in.skip(" \t,");
    const std::string word = lower_case(in.word());
    if (word.empty()) {
      if (!in.done()) in.drop_one();
      continue;
    }
    in.skip(" \t");
    if (in.take('=')) {  // a parameter of the challenge before; also base64 without a name
      in.skip(" \t=");
      std::string value = in.value();
      if (!found.empty()) found.back().parameters[word] = std::move(value);
    } else {
      found.push_back({.scheme = word, .parameters = {}});
    }
  }
  return found;
}

std::optional<Credentials> docker_credentials(std::string_view text, const std::string& host) {
  const Json config = parse_json(text, {.max_bytes = size_t{4} << 20, .max_depth = 16});
  if (const Json* entries = json_find(config, "auths"); entries != nullptr && entries->is_object())
    for (const auto& [key, entry] : entries->items()) {
      std::string name = lower_case(key);
      if (const size_t scheme = name.find("://"); scheme != std::string::npos)
        name = name.substr(scheme + 3);
      name = name.substr(0, name.find('/'));
      if (name != host) continue;
      if (auto credentials = of_entry(entry)) return credentials;
    }
  const Json* helpers = json_find(config, "credHelpers");
  if (helpers != nullptr && helpers->is_object() && helpers->contains(host))
    fail(
        ErrorKind::kUnsupported,
        "docker keeps the credentials of {} in a helper program, which Cria does not run; put them "
        "into config.json",
        host);
  return std::nullopt;
}

std::string token_url(const Challenge& challenge, const std::string& nonce, int64_t now) {
  std::vector<std::string> query;
  if (!nonce.empty()) query.push_back("nonce=" + http::percent_encode(nonce));
  for (const std::string& scope : words_of(parameter(challenge, "scope")))
    query.push_back("scope=" + http::percent_encode(scope));
  query.push_back("service=" + http::percent_encode(parameter(challenge, "service")));
  if (!nonce.empty()) query.push_back("ts=" + std::to_string(now));
  const std::string realm = parameter(challenge, "realm");
  std::string url = realm;
  for (const std::string& part : query)
    url += (url.find('?') == std::string::npos ? '?' : '&') + part;
  return url;
}

Authorizer::Authorizer(std::string host_with_port, bool plain_http)
    : host_(lower_case(host_with_port)), plain_http_(plain_http) {}

http::Headers Authorizer::headers() const {
  const std::lock_guard lock(mutex_);
  if (authorization_.empty()) return {};
  return {{"Authorization", authorization_}};
}

const std::optional<Credentials>& Authorizer::credentials() {
  if (credentials_) return *credentials_;
  const std::string folder = setting("DOCKER_CONFIG");
  const fs::path path =
      (folder.empty() ? fs::path(setting("HOME")) / ".docker" : fs::path(folder)) / "config.json";
  std::error_code code;
  std::optional<Credentials> found;
  if (fs::exists(path, code)) found = docker_credentials(read_text_file(path, 4 << 20), host_);
  credentials_ = std::move(found);
  return *credentials_;
}

void Authorizer::use_basic() {
  if (!credentials())
    fail(ErrorKind::kUnauthorized,
         "the registry {} wants a user and a password; log in with `docker login {}` or write them "
         "into ~/.docker/config.json",
         host_, host_);
  authorization_ = basic(*credentials());
}

void Authorizer::use_bearer(const Challenge& challenge, const std::string& url,
                            const std::stop_token& stop) {
  const std::string realm = parameter(challenge, "realm");
  const http::Url asked = http::Url::parse(url), where = http::Url::parse(realm);
  if (where.host != asked.host || where.port != asked.port)
    fail(ErrorKind::kUnauthorized, "realm host \"{}\" does not match original host \"{}\"",
         where.authority(), asked.authority());
  if (!plain_http_ && where.scheme != "https")
    fail(ErrorKind::kUnauthorized, "the registry {} wants its token asked for without TLS", host_);
  http::ClientRequest request = {.stop = stop, .stall_timeout = std::chrono::seconds(60)};
  if (credentials()) {
    request.url = token_url(challenge, "", 0);
    request.headers.push_back({"Authorization", basic(*credentials())});
  } else {
    const auto now = std::chrono::system_clock::to_time_t(std::chrono::system_clock::now());
    request.url = token_url(challenge, random_nonce(), now);
    const KeyPair key = KeyPair::ensure(KeyPair::default_path());
    const std::string signature = key.sign("GET," + request.url + "," + std::string(kEmptyBody));
    request.headers.push_back({"Authorization", key.public_blob() + ":" + signature});
  }
  const http::ClientResponse response = http::fetch(request, kMaxToken);
  if (!response.ok())
    fail(ErrorKind::kUnauthorized, "the registry {} gives no token: {}: {}", host_, response.status,
         response.body.substr(0, 500));
  const Json json = parse_json(response.body, {.max_bytes = kMaxToken, .max_depth = 16});
  std::string token = json_string(json, "token").value_or("");
  if (token.empty()) token = json_string(json, "access_token").value_or("");
  const bool clean = std::ranges::all_of(token, [](char c) { return c > ' ' && c < 127; });
  if (token.empty() || !clean)
    fail(ErrorKind::kUnauthorized, "the registry {} answers without a token", host_);
  authorization_ = "Bearer " + token;
}

void Authorizer::answer(const http::ClientResponse& unauthorized, const std::string& url,
                        const std::stop_token& stop) {
  const std::lock_guard lock(mutex_);
  std::vector<Challenge> challenges;
  for (const http::Header& header : unauthorized.headers)
    if (http::equal_ignoring_case(header.name, "WWW-Authenticate"))
      for (Challenge& challenge : parse_challenges(header.value))
        challenges.push_back(std::move(challenge));
  for (const Challenge& challenge : challenges)
    if (challenge.scheme == "bearer") return use_bearer(challenge, url, stop);
  for (const Challenge& challenge : challenges)
    if (challenge.scheme == "basic") return use_basic();
  fail(ErrorKind::kUnauthorized, "unauthorized: access denied");
}

}  // namespace cria::store
