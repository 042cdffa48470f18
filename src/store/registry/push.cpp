// push.cpp - a model to a registry (spec store-and-registry.md 7).
#include "base/error.h"
#include "base/file.h"
#include "base/log.h"
#include "base/settings.h"
#include "base/text.h"
#include "store/registry/remote_manifest.h"
#include "store/registry/transfer.h"

#include <openssl/evp.h>

#include <algorithm>
#include <charconv>
#include <limits>
#include <memory>
#include <set>

namespace cria::store {
namespace {

constexpr int kTries = 6;
constexpr int64_t kMinPart = 100'000'000, kMaxPart = 1'000'000'000;
constexpr const char* kOctets = "application/octet-stream";

// MD5 of a byte range, raw: Ollama's registry wants the MD5 of the parts' MD5s as an etag.
class Md5 {
 public:
  Md5() { EVP_DigestInit_ex(context_.get(), EVP_md5(), nullptr); }
  void update(std::string_view bytes) {
    EVP_DigestUpdate(context_.get(), bytes.data(), bytes.size());
  }
  std::string raw() {
    unsigned char out[EVP_MAX_MD_SIZE];
    unsigned size = 0;
    EVP_DigestFinal_ex(context_.get(), out, &size);
    return {reinterpret_cast<const char*>(out), size};
  }

 private:
  std::unique_ptr<EVP_MD_CTX, void (*)(EVP_MD_CTX*)> context_{EVP_MD_CTX_new(), EVP_MD_CTX_free};
};

std::string hex_of(std::string_view bytes) {
  std::string out;
  for (const char c : bytes) out += fmt::format("{:02x}", static_cast<unsigned char>(c));
  return out;
}

// "0-99" or "bytes=0-99": how many bytes the session has.
std::optional<int64_t> range_end(const http::ClientResponse& response) {
  const std::string* const text = http::find_header(response.headers, "Range");
  if (text == nullptr) return std::nullopt;
  const size_t dash = text->find('-');
  int64_t last = 0;
  if (dash == std::string::npos ||
      std::from_chars(text->data() + dash + 1, text->data() + text->size(), last).ec !=
          std::errc() ||
      last < 0 || last == std::numeric_limits<int64_t>::max())
    return std::nullopt;
  return last + 1;
}

// One blob on its way up.
class Upload {
 public:
  Upload(const Store& store, Registry& registry, const ModelName& name, const Layer& layer,
         const TransferOptions& options, const std::function<void(int64_t)>& on_progress)
      : path_(store.blob_path(layer.digest)),
        registry_(registry),
        name_(name),
        layer_(layer),
        options_(options),
        limit_(options.bytes_per_second),
        on_progress_(on_progress),
        part_size_(part_size(layer.size)) {}

  void run(const std::string& mount_from) {
    for (int attempt = 0;; ++attempt) {
      try {
        if (session_.empty() && start(attempt == 0 ? mount_from : "")) return report(layer_.size);
        while (sent_ < layer_.size) send_part();
        return commit();
      } catch (const Error& e) {
        if (e.kind() != ErrorKind::kUpstream || options_.stop.stop_requested()) throw;
        if (attempt + 1 >= kTries) fail(e.kind(), "max retries exceeded: {}", e.what());
        log::warn("push of {}, try {}: {}", layer_.digest.text(), attempt + 1, e.what());
        pause_before_retry(attempt, options_.stop);
        resume();
      }
    }
  }

 private:
  static int64_t part_size(int64_t total) {
    const int64_t set = setting_integer("CRIA_PART_BYTES");
    return set > 0 ? set : std::clamp(total / 16, kMinPart, kMaxPart);
  }

  void report(int64_t completed) {
    if (completed > told_) on_progress_(told_ = std::min(completed, layer_.size));
  }

  http::ClientRequest request(std::string method, std::string url) const {
    return {.method = std::move(method),
            .url = std::move(url),
            .headers = {{"Content-Type", kOctets}},
            .stop = options_.stop};
  }

  // Where the session goes on; the registry's own host or one that its redirect may lead to.
  void take_session(const http::ClientRequest& request, const http::ClientResponse& response) {
    const std::string* location = http::find_header(response.headers, "Docker-Upload-Location");
    if (location == nullptr) location = http::find_header(response.headers, "Location");
    if (location == nullptr)
      fail(ErrorKind::kUpstream, "{}: the registry names no Location to go on", request.url);
    const http::Url next = http::Url::parse(request.url).resolve(*location);
    if (!next.same_origin(http::Url::parse(registry_.url(name_, ""))))
      fail(ErrorKind::kForbidden, "the registry sends the upload to {}: refused", next.authority());
    session_ = next.text;
  }

  // True when the registry had the blob in another repository.
  bool start(const std::string& mount_from) {
    std::string url = registry_.url(name_, "blobs/uploads/");
    if (!mount_from.empty())
      url += "?from=" + http::percent_encode(mount_from) + "&mount=" + layer_.digest.text();
    const http::ClientRequest ask = request("POST", url);
    const http::ClientResponse response = registry_.send(ask);
    if (response.status == 201) return true;
    require_ok(response);
    take_session(ask, response);
    sent_ = 0;
    parts_.clear();
    return false;
  }

  void send_part() {
    const int64_t length = std::min(part_size_, layer_.size - sent_);
    http::ClientRequest patch = request("PATCH", session_);
    patch.headers.push_back({"Content-Range", fmt::format("{}-{}", sent_, sent_ + length - 1)});
    patch.headers.push_back({"X-Redirect-Uploads", "1"});
    fill(patch, length);
    const http::ClientResponse response = registry_.send(patch);
    if (response.status == 307) {
      send_elsewhere(patch, response, length);
    } else {
      if (response.status == 404 || response.status == 416) session_.clear();  // begin again
      if (response.status >= 400 && response.status != 403)
        fail(ErrorKind::kUpstream, "http status {}: {}", response.status, one_line(response.body));
      require_ok(response);
    }
    take_session(patch, response);
    remember(sent_, length);
    sent_ += length;
    report(sent_);
  }

  void fill(http::ClientRequest& to, int64_t length) {
    to.upload = path_;
    to.upload_offset = sent_;
    to.upload_length = length;
    const int64_t before = sent_;
    int64_t last = 0;
    to.progress = [this, before, last](int64_t sent, int64_t) mutable {
      limit_.take(sent - last, options_.stop);
      last = sent;
      report(before + sent);
    };
  }

  // To the storage behind the registry: the part again, without credentials.
  void send_elsewhere(const http::ClientRequest& patch, const http::ClientResponse& response,
                      int64_t length) {
    const std::string* const location = http::find_header(response.headers, "Location");
    if (location == nullptr)
      fail(ErrorKind::kUpstream, "{}: redirected without a Location", patch.url);
    http::ClientRequest put = request("PUT", http::Url::parse(patch.url).resolve(*location).text);
    fill(put, length);
    const http::ClientResponse stored = registry_.send(std::move(put));
    if (!stored.ok())
      fail(ErrorKind::kUpstream, "http status {}: {}", stored.status, one_line(stored.body));
  }

  void remember(int64_t offset, int64_t length) {
    Md5 hash;
    const auto file = File::open(path_);
    std::vector<std::byte> piece(size_t{1} << 20);
    for (int64_t done = 0; done < length;) {
      const auto bytes = std::span(piece).first(
          static_cast<size_t>(std::min<int64_t>(length - done, std::ssize(piece))));
      file->read_at(offset + done, bytes);
      hash.update({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
      done += std::ssize(bytes);
    }
    parts_.push_back(hash.raw());
  }

  // After a broken connection: how far the session is, as the registry sees it.
  void resume() {
    if (session_.empty()) return;
    try {
      const http::ClientRequest ask = request("GET", session_);
      const http::ClientResponse response = registry_.send(ask);
      const auto end = range_end(response);
      if (response.ok() && end && *end <= layer_.size) {
        if (*end == 1) return session_.clear();  // "0-0" also means that nothing came
        take_session(ask, response);
        if (*end != sent_) {
          parts_.clear();
          remember(0, *end);
        }
        sent_ = *end;
        return;
      }
    } catch (const Error& e) {
      if (e.kind() != ErrorKind::kUpstream) throw;
    }
    session_.clear();
  }

  void commit() {
    std::string all;
    for (const std::string& part : parts_) all += part;
    Md5 hash;
    hash.update(all);
    const char mark = session_.find('?') == std::string::npos ? '?' : '&';
    const http::ClientRequest put =
        request("PUT", fmt::format("{}{}digest={}&etag={}-{}", session_, mark,
                                   http::percent_encode(layer_.digest.text()), hex_of(hash.raw()),
                                   parts_.size()));
    const http::ClientResponse response = registry_.send(put);
    if (response.status == 404) session_.clear();
    if (response.status >= 400 && response.status != 403)
      fail(ErrorKind::kUpstream, "http status {}: {}", response.status, one_line(response.body));
    require_ok(response);
    report(layer_.size);
  }

  const fs::path path_;
  Registry& registry_;
  const ModelName& name_;
  const Layer& layer_;
  const TransferOptions& options_;
  RateLimit limit_;
  const std::function<void(int64_t)>& on_progress_;
  const int64_t part_size_;
  std::string session_;
  int64_t sent_ = 0, told_ = -1;
  std::vector<std::string> parts_;  // their MD5s
};

// "library/base" when the layer came from another model of the same registry.
std::string mount_source(const Layer& layer, const ModelName& name) {
  const auto from = ModelName::parse(layer.from);  // also a file name may stand there
  if (!from || from->host() != name.host()) return {};
  if (from->space() == name.space() && from->model() == name.model()) return {};
  return from->space() + "/" + from->model();
}

void push_blob(const Store& store, Registry& registry, const ModelName& name, const Layer& layer,
               const TransferOptions& options, const OnStatus& on_status) {
  store.open_blob(layer);  // only whole blobs leave this store
  const std::function<void(int64_t)> report = [&](int64_t completed) {
    if (layer.size == 0) return;  // clients divide by the total
    on_status({.status = "pushing " + layer.digest.hex().substr(0, 12),
               .digest = layer.digest.text(),
               .total = layer.size,
               .completed = completed});
  };
  const http::ClientResponse there =
      registry.follow({.method = "HEAD",
                       .url = registry.url(name, "blobs/" + layer.digest.text()),
                       .stop = options.stop});
  if (there.ok()) return report(layer.size);
  if (there.status != 404) require_ok(there);
  Upload(store, registry, name, layer, options, report).run(mount_source(layer, name));
}

}  // namespace

void push(const Store& store, const ModelName& name, const TransferOptions& options,
          const OnStatus& on_status) {
  on_status({.status = "retrieving manifest"});
  const auto model = store.find(name);
  if (!model) {
    on_status({.status = "couldn't retrieve manifest"});
    fail(ErrorKind::kNotFound, "model '{}' not found", name.short_text());
  }
  Registry registry(model->name, registry_options(options));
  std::set<Digest> done;
  for (const Layer& layer : model->manifest.blobs())
    if (done.insert(layer.digest).second)
      push_blob(store, registry, model->name, layer, options, on_status);
  on_status({.status = "pushing manifest"});
  require_ok(registry.send({.method = "PUT",
                            .url = registry.url(model->name, "manifests/" + model->name.tag()),
                            .headers = {{"Content-Type", std::string(kManifestType)}},
                            .body = store.manifest_text(model->name),
                            .stop = options.stop}));
  on_status({.status = "success"});
}

}  // namespace cria::store
