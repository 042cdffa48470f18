// fake_registry.h - a registry for tests that can be told to misbehave.
#pragma once

#include "base/sha256.h"
#include "http/server_for_tests.h"
#include "store/manifest.h"

#include <cstdio>
#include <functional>
#include <map>
#include <mutex>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

namespace cria::store {

inline Digest digest_of(std::string_view content) {
  Sha256 hash;
  hash.update(std::as_bytes(std::span(content)));
  return Digest::from_hex(hash.hex());
}

inline Layer layer_of(std::string_view content, std::string_view kind = "model") {
  return {.media_type = std::string(kLayerPrefix) + std::string(kind),
          .digest = digest_of(content),
          .size = std::ssize(content)};
}

// Bytes without a period.
inline std::string noise(size_t size, uint64_t seed = 1) {
  std::string out(size, '\0');
  for (char& c : out) {
    seed = seed * 6364136223846793005 + 1442695040888963407;
    c = static_cast<char>(seed >> 56);
  }
  return out;
}

struct BlobCall {
  std::string digest;
  int64_t first = 0, last = -1;  // of the Range header; whole blob: last is its last byte
  bool ranged = false;
  int count = 0;  // of requests for blobs so far, this one included
};

class FakeRegistry {
 public:
  FakeRegistry() : running([this](http::Exchange& e) { serve(e); }) {}

  ModelName name(std::string_view rest = "lib/m:1") const {
    return ModelName::require(fmt::format("{}/{}", running.server.address(), rest));
  }
  Layer add(const std::string& content, std::string_view kind = "model") {
    const Layer layer = layer_of(content, kind);
    blobs[layer.digest.text()] = content;
    return layer;
  }
  std::vector<BlobCall> calls() {
    const std::lock_guard lock(mutex);
    return seen;
  }
  int64_t bytes_asked() {
    int64_t sum = 0;
    for (const BlobCall& call : calls()) sum += call.last - call.first + 1;
    return sum;
  }

  std::map<std::string, std::string> manifests;  // path below /v2/ to text
  std::map<std::string, std::string> blobs;      // digest to content
  // Answers instead of the default when it returns true.
  std::function<bool(http::Exchange&, const BlobCall&, const std::string& content)> on_blob;

  static void answer(http::Exchange& e, const BlobCall& call, const std::string& content) {
    if (!call.ranged)
      return e.respond({.content_type = "application/octet-stream", .body = content});
    e.respond({.status = 206,
               .body = content.substr(static_cast<size_t>(call.first),
                                      static_cast<size_t>(call.last - call.first + 1)),
               .headers = {{"Content-Range", fmt::format("bytes {}-{}/{}", call.first, call.last,
                                                         content.size())}}});
  }
  // Sends what comes before `bytes` of the answer, then breaks the connection.
  static void break_after(http::Exchange& e, const BlobCall& call, const std::string& content,
                          size_t bytes) {
    e.start_stream({.status = 206,
                    .headers = {{"Content-Range", fmt::format("bytes {}-{}/{}", call.first,
                                                              call.last, content.size())}}});
    e.write(std::string_view(content).substr(static_cast<size_t>(call.first), bytes));
    throw std::runtime_error("broken on purpose");
  }

 private:
  void serve(http::Exchange& e) {
    const std::string& path = e.request().path;
    if (const size_t at = path.find("/manifests/"); at != std::string::npos) {
      const auto it = manifests.find(path.substr(4));
      if (it == manifests.end()) return e.respond({.status = 404});
      return e.respond({.body = it->second});
    }
    const size_t at = path.find("/blobs/");
    const auto it = at == std::string::npos ? blobs.end() : blobs.find(path.substr(at + 7));
    if (it == blobs.end()) return e.respond({.status = 404});
    BlobCall call = {.digest = it->first, .last = std::ssize(it->second) - 1};
    if (const std::string* range = http::find_header(e.request().headers, "Range")) {
      call.ranged = std::sscanf(range->c_str(), "bytes=%ld-%ld", &call.first, &call.last) == 2;
    }
    {
      const std::lock_guard lock(mutex);
      call.count = static_cast<int>(seen.size()) + 1;
      seen.push_back(call);
    }
    if (on_blob && on_blob(e, call, it->second)) return;
    answer(e, call, it->second);
  }

  std::mutex mutex;
  std::vector<BlobCall> seen;

 public:
  http::Running running;  // last: it uses the members above
};

}  // namespace cria::store
