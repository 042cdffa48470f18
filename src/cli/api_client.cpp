#include "cli/api_client.h"

#include "base/error.h"
#include "base/sha256.h"

#include <array>
#include <fstream>
#include <span>
#include <utility>

namespace cria::cli {
namespace {

constexpr std::string_view kDown =
    "could not connect to ollama server, run 'ollama serve' to start it";
constexpr size_t kMaxLine = 8'000'000;

std::string_view reason(int status) {
  constexpr std::array kReasons = {std::pair(400, "Bad Request"),
                                   std::pair(401, "Unauthorized"),
                                   std::pair(403, "Forbidden"),
                                   std::pair(404, "Not Found"),
                                   std::pair(405, "Method Not Allowed"),
                                   std::pair(413, "Request Entity Too Large"),
                                   std::pair(500, "Internal Server Error"),
                                   std::pair(501, "Not Implemented"),
                                   std::pair(502, "Bad Gateway"),
                                   std::pair(503, "Service Unavailable"),
                                   std::pair(507, "Insufficient Storage")};
  for (const auto& [code, text] : kReasons)
    if (code == status) return text;
  return "Error";
}

ErrorKind kind_of(int status) {
  for (const ErrorKind kind : {ErrorKind::kInvalidInput, ErrorKind::kUnauthorized,
                               ErrorKind::kForbidden, ErrorKind::kNotFound, ErrorKind::kBusy})
    if (http_status(kind) == status) return kind;
  return ErrorKind::kInternal;
}

std::string error_text(const http::ClientResponse& response) {
  try {
    const auto text = json_string(parse_json(response.body), "error");
    if (text) return *text;
  } catch (const Error&) {  // no JSON: the text itself says more
  }
  return response.body.empty() ? std::string(reason(response.status)) : response.body;
}

}  // namespace

std::string server_url(std::string_view host) {
  std::string scheme = "http://", port = "11434", path;
  for (const auto& [prefix, usual] : {std::pair("http://", "80"), std::pair("https://", "443")})
    if (host.starts_with(prefix)) {
      scheme = prefix;
      port = usual;
      host.remove_prefix(scheme.size());
    }
  if (host == "ollama.com") scheme = "https://", port = "443";
  if (const size_t slash = host.find('/'); slash != std::string_view::npos) {
    path = host.substr(slash);
    while (path.ends_with('/')) path.pop_back();
    host = host.substr(0, slash);
  }
  const size_t colon = host.rfind(':'), bracket = host.rfind(']');
  const bool bare_v6 = bracket == std::string_view::npos && host.find(':') != colon;
  if (colon != std::string_view::npos && !bare_v6 &&
      (bracket == std::string_view::npos || colon > bracket)) {
    const std::string digits(host.substr(colon + 1));
    const bool number = !digits.empty() && digits.size() <= 5 &&
                        digits.find_first_not_of("0123456789") == std::string::npos;
    if (number && std::stoi(digits) <= 65535) port = digits;
    host = host.substr(0, colon);
  }
  std::string name(host);
  // What binds every interface is reached over loopback.
  if (name.empty() || name == "0.0.0.0") name = "127.0.0.1";
  if (name == "::" || name == "[::]") name = "[::1]";
  if (name.find(':') != std::string::npos && name[0] != '[') name = "[" + name + "]";
  return scheme + name + ":" + port + path;
}

http::ClientRequest ApiClient::with_key(http::ClientRequest request) const {
  if (!key_.empty()) request.headers.push_back({"Authorization", "Bearer " + key_});
  return request;
}

http::ClientResponse ApiClient::send(http::ClientRequest request) const {
  http::ClientResponse response = http::fetch(with_key(std::move(request)));
  if (response.status >= 400) throw Error(kind_of(response.status), error_text(response));
  return response;
}

bool ApiClient::is_up() const {
  try {
    return http::fetch({.method = "HEAD", .url = url_ + "/"}).status > 0;
  } catch (const Error&) {
    return false;
  }
}

void ApiClient::require_up() const {
  if (!is_up()) throw Error(ErrorKind::kUpstream, std::string(kDown));
}

Json ApiClient::get(const std::string& path) const {
  return parse_json(send({.url = url_ + path}).body);
}

Json ApiClient::call(const std::string& method, const std::string& path, const Json& body) const {
  const http::ClientResponse response = send(http::json_request(method, url_ + path, body));
  return response.body.empty() ? Json::object() : parse_json(response.body);
}

void ApiClient::stream(const std::string& path, const Json& body, std::stop_token stop,
                       const OnEvent& on_event) const {
  http::ClientRequest request = with_key(http::json_request("POST", url_ + path, body));
  request.stop = std::move(stop);
  const http::ClientResponse response = http::fetch_lines(request, [&](std::string_view line) {
    if (line.empty()) return true;
    if (line.size() > kMaxLine)
      fail(ErrorKind::kUpstream, "a response line of {} bytes is over the limit of {}", line.size(),
           kMaxLine);
    const Json event = parse_json(line);
    if (const auto error = json_string(event, "error")) throw Error(ErrorKind::kInternal, *error);
    on_event(event);
    return true;
  });
  if (response.status >= 400)
    fail(kind_of(response.status), "{} {}: {}", response.status, reason(response.status),
         error_text(response));
}

bool ApiClient::has_blob(const std::string& digest) const {
  const http::ClientRequest request = {.method = "HEAD", .url = url_ + "/api/blobs/" + digest};
  return http::fetch(with_key(request)).status == 200;
}

void ApiClient::upload_blob(const std::string& digest, const std::filesystem::path& file,
                            std::stop_token stop, const OnSent& on_sent) const {
  send({.method = "POST",
        .url = url_ + "/api/blobs/" + digest,
        .headers = {{"Content-Type", "application/octet-stream"}},
        .upload = file,
        .progress = on_sent,
        .stop = std::move(stop)});
}

void ApiClient::download_blob(const std::string& digest, const std::filesystem::path& file,
                              std::stop_token stop,
                              const std::function<void(int64_t done)>& on_done) const {
  const std::filesystem::path part = file.string() + ".part";
  std::ofstream out(part, std::ios::binary | std::ios::trunc);
  try {
    Sha256 hash;
    int64_t done = 0;
    const http::ClientResponse response =
        http::fetch_to(with_key({.url = url_ + "/api/blobs/" + digest, .stop = std::move(stop)}),
                       [&](std::string_view bytes) {
                         hash.update(std::as_bytes(std::span(bytes)));
                         out.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
                         on_done(done += std::ssize(bytes));
                         return out.good();
                       });
    if (response.status >= 400) throw Error(kind_of(response.status), error_text(response));
    out.close();
    if (!out) fail(ErrorKind::kOutOfMemory, "{} cannot be written", file.string());
    if ("sha256:" + hash.hex() != digest)
      fail(ErrorKind::kInvalidInput, "blob {} is damaged; `cria repair` fetches it again", digest);
    std::filesystem::rename(part, file);
  } catch (...) {
    std::error_code none;
    std::filesystem::remove(part, none);
    throw;
  }
}

}  // namespace cria::cli
