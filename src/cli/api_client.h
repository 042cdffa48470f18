// api_client.h - calls to the server over HTTP, with the errors that users of the API know.
#pragma once

#include "base/json.h"
#include "http/client.h"

#include <filesystem>
#include <functional>
#include <stop_token>
#include <string>
#include <string_view>

namespace cria::cli {

// OLLAMA_HOST as a client calls it: "http://127.0.0.1:11434".
std::string server_url(std::string_view host);

class ApiClient {
 public:
  // `key`: the API key to send, empty for none.
  ApiClient(std::string url, std::string key) : url_(std::move(url)), key_(std::move(key)) {}
  const std::string& url() const { return url_; }

  bool is_up() const;
  // Throws Error{kUpstream} that tells how to start a server.
  void require_up() const;
  Json get(const std::string& path) const;
  // The whole answer; {} when it is empty.
  Json call(const std::string& method, const std::string& path, const Json& body) const;
  // One call per line. An error line of the stream is thrown.
  using OnEvent = std::function<void(const Json&)>;
  void stream(const std::string& path, const Json& body, std::stop_token stop,
              const OnEvent& on_event) const;

  bool has_blob(const std::string& digest) const;
  using OnSent = std::function<void(int64_t sent, int64_t total)>;
  void upload_blob(const std::string& digest, const std::filesystem::path& file,
                   std::stop_token stop, const OnSent& on_sent) const;
  // Into a new file; nothing stays of it when its digest is not that one.
  void download_blob(const std::string& digest, const std::filesystem::path& file,
                     std::stop_token stop, const std::function<void(int64_t done)>& on_done) const;

 private:
  http::ClientRequest with_key(http::ClientRequest request) const;
  http::ClientResponse send(http::ClientRequest request) const;
  std::string url_, key_;
};

}  // namespace cria::cli
