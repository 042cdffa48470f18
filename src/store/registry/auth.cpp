#include "store/registry/auth.h"

#include "base/base64.h"
#include "base/error.h"
#include "base/json.h"
#include "base/log.h"
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
constexpr std::chrono::seconds kTokenPatience{60};
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

// The parts between any of `separators`, none of them empty.
std::vector<std::string> split(std::string_view text, std::string_view separators) {
  std::vector<std::string> parts;
  while (!text.empty()) {
    const size_t end = std::min(text.find_first_of(separators), text.size());
    if (end > 0) parts.emplace_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return parts;
}

std::string parameter(const Challenge& challenge, const std::string& name) {
  const auto it = challenge.parameters.find(name);
  return it == challenge.parameters.end() ? std::string() : it->second;
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

// Makes it a token request signed by the user's key; false without a key.
bool sign(http::ClientRequest& request, const Challenge& challenge) {
  try {
    const KeyPair key = KeyPair::ensure(KeyPair::default_path());
    const auto now = std::chrono::system_clock::to_time_t(std::chrono::system_clock::now());
    request.url = token_url(challenge, random_nonce(), now);
    const std::string signature = key.sign(fmt::format("GET,{},{}", request.url, kEmptyBody));
    request.headers.push_back({"Authorization", key.public_blob() + ":" + signature});
    return true;
  } catch (const Error& e) {
    log::warn("asking for a token without a key: {}", e.what());
    return false;
  }
}

// Makes it the request that gets a token for an identity token, which stands in the body only.
void trade(http::ClientRequest& request, const Challenge& challenge, const std::string& identity) {
  request.method = "POST";
  request.url = http::Url::parse(parameter(challenge, "realm")).text;
  request.headers.push_back({"Content-Type", "application/x-www-form-urlencoded"});
  request.body = fmt::format(
      "grant_type=refresh_token&client_id=cria&service={}&scope={}&refresh_token={}",
      http::percent_encode(parameter(challenge, "service")),
      http::percent_encode(parameter(challenge, "scope")), http::percent_encode(identity));
}

// Empty when there is none that could stand in a header.
std::string token_of(const std::string& body) {
  Json answer;
  try {
    answer = parse_json(body, {.max_bytes = kMaxToken, .max_depth = 16});
  } catch (const Error&) {  // its text quotes what was read
    return {};
  }
  std::string token = json_string(answer, "token").value_or("");
  if (token.empty()) token = json_string(answer, "access_token").value_or("");
  const bool clean = std::ranges::all_of(token, [](char c) { return c > ' ' && c < 127; });
  return clean ? token : std::string();
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

std::string token_url(const Challenge& challenge, const std::string& nonce, int64_t now) {
  const std::string realm = http::Url::parse(parameter(challenge, "realm")).text;
  const size_t mark = std::min(realm.find('?'), realm.size());
  std::multimap<std::string, std::string> query;  // sorted; equal keys stay in their order
  const auto add = [&](const std::string& key, const std::string& value) {
    query.emplace(key, key + "=" + http::percent_encode(value));
  };
  for (const std::string& part : split(std::string_view(realm).substr(mark), "?&"))
    query.emplace(part.substr(0, part.find('=')), part);
  for (const std::string& scope : split(parameter(challenge, "scope"), " ")) add("scope", scope);
  if (!nonce.empty() || challenge.parameters.contains("service"))
    add("service", parameter(challenge, "service"));
  if (!nonce.empty()) {
    add("nonce", nonce);
    add("ts", std::to_string(now));
  }
  std::string url = realm.substr(0, mark);
  for (char before = '?'; const auto& [key, part] : query) {
    url += before + part;
    before = '&';
  }
  return http::Url::parse(url).text;
}

Authorizer::Authorizer(std::string host_with_port, bool plain_http)
    : host_(lower_case(host_with_port)), plain_http_(plain_http) {}

http::Headers Authorizer::headers() const {
  const std::lock_guard lock(mutex_);
  if (authorization_.empty()) return {};
  return {{"Authorization", authorization_}};
}

const std::optional<Credentials>& Authorizer::credentials() {
  if (!credentials_) credentials_ = docker_credentials(host_);
  return *credentials_;
}

void Authorizer::use_basic() {
  if (!credentials() || credentials()->user.empty())
    fail(ErrorKind::kUnauthorized,
         "unauthorized: the registry {} wants a user and a password; log in with `docker login {}` "
         "or write them into ~/.docker/config.json",
         host_, host_);
  authorization_ = basic(*credentials());
}

http::ClientResponse Authorizer::ask_for_token(const Challenge& challenge,
                                               const std::stop_token& stop) {
  http::ClientRequest request = {
      .url = token_url(challenge, "", 0), .stop = stop, .stall_timeout = kTokenPatience};
  if (credentials()) {
    if (credentials()->identity_token.empty())
      request.headers.push_back({"Authorization", basic(*credentials())});
    else
      trade(request, challenge, credentials()->identity_token);
    return http::fetch(request, kMaxToken);
  }
  http::ClientRequest with_key = request;
  if (!sign(with_key, challenge)) return http::fetch(request, kMaxToken);
  http::ClientResponse response = http::fetch(with_key, kMaxToken);
  if (response.status < 400 || response.status >= 500) return response;
  // Others than Ollama's do not know the key, but let strangers read what is public.
  http::ClientResponse anonymous = http::fetch(request, kMaxToken);
  return anonymous.ok() ? anonymous : response;
}

void Authorizer::use_bearer(const Challenge& challenge, const std::string& url,
                            const std::stop_token& stop) {
  const std::string realm = parameter(challenge, "realm");
  const http::Url asked = http::Url::parse(url), where = http::Url::parse(realm);
  if (where.host != asked.host || where.port != asked.port)
    fail(ErrorKind::kUnauthorized, "realm host \"{}\" does not match original host \"{}\"",
         where.authority(), asked.authority());
  if (!plain_http_ && where.scheme != "https")
    fail(ErrorKind::kUnauthorized, "it is to be asked for without TLS");
  const http::ClientResponse response = ask_for_token(challenge, stop);
  if (!response.ok())
    fail(ErrorKind::kUnauthorized, "{}: {}", response.status, one_line(response.body));
  const std::string token = token_of(response.body);
  if (token.empty()) fail(ErrorKind::kUnauthorized, "the answer holds none");
  authorization_ = "Bearer " + token;
  scope_ = parameter(challenge, "scope");
}

void Authorizer::answer(const http::ClientResponse& unauthorized, const http::Headers& sent,
                        const std::string& url, const std::stop_token& stop) {
  const std::lock_guard lock(mutex_);
  std::vector<Challenge> challenges;
  for (const http::Header& header : unauthorized.headers)
    if (http::equal_ignoring_case(header.name, "WWW-Authenticate"))
      for (Challenge& challenge : parse_challenges(header.value))
        challenges.push_back(std::move(challenge));
  for (const Challenge& challenge : challenges) {
    if (challenge.scheme != "bearer") continue;
    // Many parts find out at once that a token has expired; the first of them gets the new one.
    const bool is_newer = sent.empty() ? !authorization_.empty() : sent[0].value != authorization_;
    if (is_newer && scope_ == parameter(challenge, "scope")) return;
    return in_context(fmt::format("unauthorized: no token of {}", host_),
                      [&] { use_bearer(challenge, url, stop); });
  }
  for (const Challenge& challenge : challenges)
    if (challenge.scheme == "basic") return use_basic();
  fail(ErrorKind::kUnauthorized, "unauthorized: access denied");
}

}  // namespace cria::store
