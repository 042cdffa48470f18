#include "http/client.h"

#include "base/error.h"

#include <curl/curl.h>

#include <cstdio>
#include <exception>
#include <memory>
#include <mutex>
#include <utility>

namespace cria::http {
namespace {

constexpr size_t kMaxLine = size_t{256} << 20;
constexpr size_t kMaxErrorBody = size_t{1} << 20;

struct Transfer {
  const ClientRequest& request;
  Sink sink;
  ClientResponse response;
  CURL* curl = nullptr;
  int64_t sent = 0, total = 0;
  bool ended_by_sink = false;
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
    std::string_view line(data, size * count);
    if (line.starts_with("HTTP/")) transfer.response.headers.clear();  // of a redirect before
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

size_t on_body(char* data, size_t size, size_t count, void* self) {
  auto& transfer = *static_cast<Transfer*>(self);
  return guarded(transfer, 0, [&]() -> size_t {
    const std::string_view bytes(data, size * count);
    long status = 0;
    curl_easy_getinfo(transfer.curl, CURLINFO_RESPONSE_CODE, &status);
    if (status >= 400) {
      if (transfer.response.body.size() < kMaxErrorBody) transfer.response.body += bytes;
      return bytes.size();
    }
    if (transfer.sink(bytes)) return bytes.size();
    transfer.ended_by_sink = true;
    return 0;
  });
}

size_t on_upload(char* out, size_t size, size_t count, void* file) {
  return std::fread(out, 1, size * count, static_cast<std::FILE*>(file));
}

int on_progress(void* self, curl_off_t, curl_off_t, curl_off_t, curl_off_t uploaded) {
  auto& transfer = *static_cast<Transfer*>(self);
  return static_cast<int>(guarded(transfer, 1, [&]() -> size_t {
    if (transfer.request.stop.stop_requested()) return 1;
    if (transfer.request.progress && uploaded != transfer.sent)
      transfer.request.progress(transfer.sent = uploaded, transfer.total);
    return 0;
  }));
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
  transfer.total = static_cast<int64_t>(std::filesystem::file_size(request.upload));
  return file;
}

void set_options(CURL* curl, Transfer& transfer, std::FILE* upload) {
  const ClientRequest& request = transfer.request;
  curl_easy_setopt(curl, CURLOPT_URL, request.url.c_str());
  curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(curl, CURLOPT_REDIR_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(curl, CURLOPT_TCP_NODELAY, 1L);
  curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, long{request.connect_timeout.count()});
  if (request.stall_timeout.count() > 0) {
    curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
    curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME,
                     std::max(1L, long{request.stall_timeout.count() / 1000}));
  }
  curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, request.max_redirects > 0 ? 1L : 0L);
  curl_easy_setopt(curl, CURLOPT_MAXREDIRS, long{request.max_redirects});
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
  } else if (upload != nullptr) {
    curl_easy_setopt(curl, CURLOPT_UPLOAD, 1L);
    curl_easy_setopt(curl, CURLOPT_READFUNCTION, on_upload);
    curl_easy_setopt(curl, CURLOPT_READDATA, upload);
    curl_easy_setopt(curl, CURLOPT_INFILESIZE_LARGE, curl_off_t{transfer.total});
  } else if (!request.body.empty() || request.method == "POST" || request.method == "PUT") {
    curl_easy_setopt(curl, CURLOPT_POSTFIELDS, request.body.data());
    curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE,
                     static_cast<curl_off_t>(request.body.size()));
  }
}

void check_result(CURLcode code, const Transfer& transfer, const char* detail) {
  if (transfer.thrown) std::rethrow_exception(transfer.thrown);
  if (code == CURLE_OK || transfer.ended_by_sink) return;
  if (transfer.request.stop.stop_requested())
    fail(ErrorKind::kCancelled, "{} {}: cancelled", transfer.request.method, transfer.request.url);
  fail(ErrorKind::kUpstream, "{} {}: {}", transfer.request.method, transfer.request.url,
       *detail != '\0' ? detail : curl_easy_strerror(code));
}

// The loop of curl_easy_perform, but woken at once when `stop` is requested.
CURLcode perform(CURL* curl, const std::stop_token& stop) {
  const std::unique_ptr<CURLM, CURLMcode (*)(CURLM*)> multi(curl_multi_init(), curl_multi_cleanup);
  if (!multi || curl_multi_add_handle(multi.get(), curl) != CURLM_OK) return CURLE_OUT_OF_MEMORY;
  CURLcode result = CURLE_ABORTED_BY_CALLBACK;
  {
    const std::stop_callback waker(stop, [&] { curl_multi_wakeup(multi.get()); });
    for (int running = 1; running > 0 && !stop.stop_requested();) {
      if (curl_multi_perform(multi.get(), &running) != CURLM_OK) break;
      if (running > 0) curl_multi_poll(multi.get(), nullptr, 0, 500, nullptr);
    }
  }
  int left = 0;
  while (const CURLMsg* message = curl_multi_info_read(multi.get(), &left))
    if (message->msg == CURLMSG_DONE) result = message->data.result;
  curl_multi_remove_handle(multi.get(), curl);
  return result;
}

}  // namespace

ClientResponse fetch_to(const ClientRequest& request, const Sink& sink) {
  set_up_library();
  Transfer transfer{.request = request, .sink = sink};
  const FilePointer upload = open_upload(request, transfer);
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
  set_options(curl.get(), transfer, upload.get());
  check_result(perform(curl.get(), request.stop), transfer, detail);
  long status = 0;
  curl_easy_getinfo(curl.get(), CURLINFO_RESPONSE_CODE, &status);
  transfer.response.status = static_cast<int>(status);
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
  if (response.status < 400) response.body = std::move(body);
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
