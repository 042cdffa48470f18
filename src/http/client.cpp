#include "http/client.h"

#include "base/error.h"
#include "base/settings.h"
#include "http/proxy.h"
#include "http/url.h"

#include <curl/curl.h>
#include <sys/socket.h>

#include <algorithm>

#include <cstdio>
#include <exception>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

namespace cria::http {
namespace {

constexpr size_t kMaxLine = size_t{256} << 20;
constexpr size_t kMaxErrorBody = size_t{1} << 20;

constexpr size_t kMaxHeaders = size_t{256} << 10;
constexpr long kBuffer = 256L << 10;
using Clock = std::chrono::steady_clock;

struct Transfer {
  const ClientRequest& request;
  Sink sink;
  ClientResponse response;
  CURL* curl = nullptr;
  std::FILE* upload = nullptr;
  int64_t sent = 0, total = 0;  // of the upload
  size_t header_bytes = 0;
  bool proxied = false, head_given = false, ended_early = false, stalled = false;
  std::string refused;  // an address that may_connect did not want
  Clock::time_point last_byte = Clock::now();
  std::exception_ptr thrown;  // out of a callback: exceptions must not pass through C
};

template <class Body>
size_t guarded(Transfer& transfer, size_t on_error, Body&& body) {
  try {
    return body();
  } catch (...) {
    transfer.thrown = std::current_exception();
    return on_error;
  }
}

size_t on_header(char* data, size_t size, size_t count, void* self) {
  auto& transfer = *static_cast<Transfer*>(self);
  return guarded(transfer, 0, [&] {
    transfer.last_byte = Clock::now();
    std::string_view line(data, size * count);
    transfer.header_bytes += line.size();
    if (transfer.header_bytes > kMaxHeaders)
      fail(ErrorKind::kTooLarge, "{}: the headers are over the limit of {} bytes",
           transfer.request.url, kMaxHeaders);
    if (line.starts_with("HTTP/")) transfer.response.headers.clear();  // of a "100 Continue" before
    const size_t colon = line.find(':');
    if (colon == std::string_view::npos) return size * count;
    std::string_view value = line.substr(colon + 1);
    const size_t first = value.find_first_not_of(" \t\r\n");
    value = first == std::string_view::npos ? std::string_view() : value.substr(first);
    value = value.substr(0, value.find_last_not_of(" \t\r\n") + 1);
    transfer.response.headers.push_back({std::string(line.substr(0, colon)), std::string(value)});
    return size * count;
  });
}

void give_head(Transfer& transfer) {
  if (std::exchange(transfer.head_given, true)) return;
  long status = 0;
  char* address = nullptr;
  curl_easy_getinfo(transfer.curl, CURLINFO_RESPONSE_CODE, &status);
  curl_easy_getinfo(transfer.curl, CURLINFO_PRIMARY_IP, &address);
  transfer.response.status = static_cast<int>(status);
  if (address != nullptr && !transfer.proxied)
    transfer.response.peer = address_kind(std::string(address));
  if (transfer.request.on_head) transfer.request.on_head(transfer.response);
}

size_t on_body(char* data, size_t size, size_t count, void* self) {
  auto& transfer = *static_cast<Transfer*>(self);
  return guarded(transfer, 0, [&]() -> size_t {
    const std::string_view bytes(data, size * count);
    give_head(transfer);
    if (transfer.response.ok()) {
      transfer.ended_early = !transfer.sink(bytes);
    } else {
      std::string& body = transfer.response.body;
      body += bytes.substr(0, kMaxErrorBody - body.size());
      transfer.ended_early = body.size() == kMaxErrorBody;
    }
    transfer.last_byte = Clock::now();  // after the sink, which may have waited
    return transfer.ended_early ? 0 : bytes.size();
  });
}

size_t on_upload(char* out, size_t size, size_t count, void* self) {
  auto& transfer = *static_cast<Transfer*>(self);
  transfer.last_byte = Clock::now();
  const auto left = static_cast<size_t>(transfer.total - transfer.sent);
  const size_t got = std::fread(out, 1, std::min(size * count, left), transfer.upload);
  transfer.sent += static_cast<int64_t>(got);
  return got;
}

// curl sends a body again, for one, when a kept connection turns out to be closed.
int on_rewind(void* self, curl_off_t offset, int origin) {
  auto& transfer = *static_cast<Transfer*>(self);
  if (origin != SEEK_SET) return CURL_SEEKFUNC_CANTSEEK;
  transfer.sent = offset;
  const int64_t at = transfer.request.upload_offset + offset;
  return fseeko(transfer.upload, at, SEEK_SET) == 0 ? CURL_SEEKFUNC_OK : CURL_SEEKFUNC_FAIL;
}

int on_progress(void* self, curl_off_t, curl_off_t, curl_off_t, curl_off_t) {
  auto& transfer = *static_cast<Transfer*>(self);
  return static_cast<int>(guarded(transfer, 1, [&]() -> size_t {
    if (transfer.request.stop.stop_requested()) return 1;
    if (transfer.request.progress && transfer.upload != nullptr)
      transfer.request.progress(transfer.sent, transfer.total);
    return 0;
  }));
}

curl_socket_t on_open_socket(void* self, curlsocktype, curl_sockaddr* address) {
  auto& transfer = *static_cast<Transfer*>(self);
  const AddressKind kind = address_kind(address->addr);
  if (transfer.request.may_connect && !transfer.proxied && !transfer.request.may_connect(kind)) {
    transfer.refused = kind_text(kind);
    return CURL_SOCKET_BAD;
  }
  return ::socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

void set_up_library() {
  static std::once_flag once;
  std::call_once(once, [] { curl_global_init(CURL_GLOBAL_DEFAULT); });
}

using FilePointer = std::unique_ptr<std::FILE, int (*)(std::FILE*)>;

FilePointer open_upload(const ClientRequest& request, Transfer& transfer) {
  if (request.upload.empty()) return {nullptr, std::fclose};
  FilePointer file(std::fopen(request.upload.c_str(), "rbe"), std::fclose);
  if (!file) fail(ErrorKind::kNotFound, "{}: cannot open", request.upload.string());
  transfer.total = request.upload_length;
  if (transfer.total < 0)
    transfer.total =
        static_cast<int64_t>(std::filesystem::file_size(request.upload)) - request.upload_offset;
  if (fseeko(file.get(), request.upload_offset, SEEK_SET) != 0)
    fail(ErrorKind::kInternal, "{}: cannot seek", request.upload.string());
  transfer.upload = file.get();
  return file;
}

void set_route(CURL* curl, Transfer& transfer) {
  const Url url = Url::parse(transfer.request.url);
  const std::string proxy = proxy_for(url);
  transfer.proxied = !proxy.empty();
  curl_easy_setopt(curl, CURLOPT_URL, url.text.c_str());
  curl_easy_setopt(curl, CURLOPT_PROXY, proxy.c_str());  // empty: curl asks no variable either
  curl_easy_setopt(curl, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
  curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
  // One transfer has one connection; HTTP/2 would only add its own windows to TCP's.
  curl_easy_setopt(curl, CURLOPT_HTTP_VERSION, long{CURL_HTTP_VERSION_1_1});
  curl_easy_setopt(curl, CURLOPT_OPENSOCKETFUNCTION, on_open_socket);
  curl_easy_setopt(curl, CURLOPT_OPENSOCKETDATA, &transfer);
  if (const std::string file = setting("SSL_CERT_FILE"); !file.empty())
    curl_easy_setopt(curl, CURLOPT_CAINFO, file.c_str());
  if (const std::string folder = setting("SSL_CERT_DIR"); !folder.empty())
    curl_easy_setopt(curl, CURLOPT_CAPATH, folder.c_str());
}

void set_options(CURL* curl, Transfer& transfer) {
  const ClientRequest& request = transfer.request;
  curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(curl, CURLOPT_TCP_NODELAY, 1L);
  curl_easy_setopt(curl, CURLOPT_BUFFERSIZE, kBuffer);
  curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, long{request.connect_timeout.count()});
  curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, long{request.total_timeout.count()});
  curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, on_header);
  curl_easy_setopt(curl, CURLOPT_HEADERDATA, &transfer);
  curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_body);
  curl_easy_setopt(curl, CURLOPT_WRITEDATA, &transfer);
  curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
  curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, on_progress);
  curl_easy_setopt(curl, CURLOPT_XFERINFODATA, &transfer);
  curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, request.method.c_str());
  if (request.method == "HEAD") {
    curl_easy_setopt(curl, CURLOPT_NOBODY, 1L);
  } else if (transfer.upload != nullptr) {
    curl_easy_setopt(curl, CURLOPT_UPLOAD, 1L);
    curl_easy_setopt(curl, CURLOPT_READFUNCTION, on_upload);
    curl_easy_setopt(curl, CURLOPT_READDATA, &transfer);
    curl_easy_setopt(curl, CURLOPT_SEEKFUNCTION, on_rewind);
    curl_easy_setopt(curl, CURLOPT_SEEKDATA, &transfer);
    curl_easy_setopt(curl, CURLOPT_UPLOAD_BUFFERSIZE, kBuffer);
    curl_easy_setopt(curl, CURLOPT_INFILESIZE_LARGE, curl_off_t{transfer.total});
  } else if (!request.body.empty() || request.method != "GET") {
    curl_easy_setopt(curl, CURLOPT_POSTFIELDS, request.body.data());
    curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE,
                     static_cast<curl_off_t>(request.body.size()));
  }
}

void check_result(CURLcode code, const Transfer& transfer, const char* detail) {
  const ClientRequest& request = transfer.request;
  if (transfer.thrown) std::rethrow_exception(transfer.thrown);
  if (code == CURLE_OK || transfer.ended_early) return;
  if (request.stop.stop_requested())
    fail(ErrorKind::kCancelled, "{} {}: cancelled", request.method, request.url);
  if (transfer.stalled)
    fail(ErrorKind::kUpstream, "{} {}: not a byte for {} ms", request.method, request.url,
         request.stall_timeout.count());
  if (code == CURLE_COULDNT_CONNECT && !transfer.refused.empty())
    fail(ErrorKind::kForbidden, "{}: refused, because its address is {}", request.url,
         transfer.refused);
  fail(ErrorKind::kUpstream, "{} {}: {}", request.method, request.url,
       *detail != '\0' ? detail : curl_easy_strerror(code));
}

// How long to sleep at most; 0 when the transfer has stalled.
int patience_ms(const Transfer& transfer) {
  constexpr std::chrono::milliseconds kMost{500};
  const auto stall = transfer.request.stall_timeout;
  if (stall.count() == 0) return static_cast<int>(kMost.count());
  const auto left =
      std::chrono::ceil<std::chrono::milliseconds>(transfer.last_byte + stall - Clock::now());
  return static_cast<int>(std::clamp(left, std::chrono::milliseconds(0), kMost).count());
}

// The loop of curl_easy_perform, but woken at once when `stop` is requested.
CURLcode perform(CURLM* multi, Transfer& transfer) {
  const std::stop_token& stop = transfer.request.stop;
  if (curl_multi_add_handle(multi, transfer.curl) != CURLM_OK) return CURLE_OUT_OF_MEMORY;
  CURLcode result = CURLE_ABORTED_BY_CALLBACK;
  {
    const std::stop_callback waker(stop, [&] { curl_multi_wakeup(multi); });
    for (int running = 1; running > 0 && !stop.stop_requested();) {
      if (curl_multi_perform(multi, &running) != CURLM_OK) break;
      const int patience = patience_ms(transfer);
      transfer.stalled = running > 0 && patience == 0;
      if (transfer.stalled) break;
      if (running > 0) curl_multi_poll(multi, nullptr, 0, patience, nullptr);
    }
  }
  int left = 0;
  while (const CURLMsg* message = curl_multi_info_read(multi, &left))
    if (message->msg == CURLMSG_DONE) result = message->data.result;
  curl_multi_remove_handle(multi, transfer.curl);
  return result;
}

}  // namespace

struct Connections::Idle {
  using Multi = std::unique_ptr<CURLM, CURLMcode (*)(CURLM*)>;
  std::mutex mutex;
  std::vector<Multi> handles;  // each with the connections that its last requests left open
};

Connections::Connections() : idle_(std::make_unique<Idle>()) {}
Connections::~Connections() = default;

// A multi handle for one request: out of a pool, and back into it.
class PooledHandle {
 public:
  explicit PooledHandle(Connections* pool) : pool_(pool == nullptr ? nullptr : pool->idle_.get()) {
    if (pool_ != nullptr) {
      const std::lock_guard lock(pool_->mutex);
      if (!pool_->handles.empty()) {
        multi_ = std::move(pool_->handles.back());
        pool_->handles.pop_back();
        return;
      }
    }
    multi_.reset(curl_multi_init());
    if (!multi_) fail(ErrorKind::kOutOfMemory, "cannot make an HTTP client");
  }
  ~PooledHandle() {
    if (pool_ == nullptr) return;
    const std::lock_guard lock(pool_->mutex);
    pool_->handles.push_back(std::move(multi_));
  }
  PooledHandle(const PooledHandle&) = delete;
  PooledHandle& operator=(const PooledHandle&) = delete;
  CURLM* get() const { return multi_.get(); }

 private:
  Connections::Idle* pool_;
  Connections::Idle::Multi multi_{nullptr, curl_multi_cleanup};
};

ClientResponse fetch_to(const ClientRequest& request, const Sink& sink) {
  set_up_library();
  Transfer transfer{.request = request, .sink = sink};
  const FilePointer upload = open_upload(request, transfer);
  const PooledHandle multi(request.connections);
  const std::unique_ptr<CURL, void (*)(CURL*)> curl(curl_easy_init(), curl_easy_cleanup);
  if (!curl) fail(ErrorKind::kOutOfMemory, "cannot make an HTTP client");
  transfer.curl = curl.get();
  curl_slist* list = nullptr;
  for (const Header& header : request.headers)
    list = curl_slist_append(list, fmt::format("{}: {}", header.name, header.value).c_str());
  const std::unique_ptr<curl_slist, void (*)(curl_slist*)> headers(list, curl_slist_free_all);
  curl_easy_setopt(curl.get(), CURLOPT_HTTPHEADER, headers.get());
  char detail[CURL_ERROR_SIZE] = "";
  curl_easy_setopt(curl.get(), CURLOPT_ERRORBUFFER, detail);
  set_route(curl.get(), transfer);
  set_options(curl.get(), transfer);
  check_result(perform(multi.get(), transfer), transfer, detail);
  give_head(transfer);
  return std::move(transfer.response);
}

ClientResponse fetch(const ClientRequest& request, int64_t max_bytes) {
  std::string body;
  ClientResponse response = fetch_to(request, [&](std::string_view bytes) {
    if (body.size() + bytes.size() > static_cast<size_t>(max_bytes))
      fail(ErrorKind::kTooLarge, "{}: the response is over the limit of {} bytes", request.url,
           max_bytes);
    body += bytes;
    return true;
  });
  if (response.ok()) response.body = std::move(body);
  return response;
}

ClientResponse fetch_lines(const ClientRequest& request, const Sink& on_line) {
  std::string pending;
  ClientResponse response = fetch_to(request, [&](std::string_view bytes) {
    for (size_t end = 0; (end = bytes.find('\n')) != std::string_view::npos;) {
      pending += bytes.substr(0, end);
      bytes.remove_prefix(end + 1);
      const std::string line = std::exchange(pending, {});
      if (!line.empty() && !on_line(line)) return false;
    }
    if (pending.size() + bytes.size() > kMaxLine)
      fail(ErrorKind::kTooLarge, "{}: a line is over the limit of {} bytes", request.url, kMaxLine);
    pending += bytes;
    return true;
  });
  if (!pending.empty()) on_line(pending);
  return response;
}

ClientRequest json_request(std::string method, std::string url, const Json& body) {
  return {.method = std::move(method),
          .url = std::move(url),
          .headers = {{"Content-Type", "application/json"}},
          .body = dump_json(body)};
}

}  // namespace cria::http
