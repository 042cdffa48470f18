#include "store/registry/blob_range.h"

#include "base/error.h"
#include "base/text.h"

#include <algorithm>
#include <charconv>
#include <optional>

namespace cria::store {
namespace {

std::optional<int64_t> take_number(std::string_view& text) {
  int64_t value = 0;
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (code != std::errc() || value < 0) return std::nullopt;
  text.remove_prefix(static_cast<size_t>(end - text.data()));
  return value;
}

bool take(std::string_view& text, std::string_view prefix) {
  if (!text.starts_with(prefix)) return false;
  text.remove_prefix(prefix.size());
  return true;
}

[[noreturn]] void wrong_size(const BlobSource& source, int64_t size) {
  fail(ErrorKind::kInvalidInput, "blob {}: the registry has {} bytes, the manifest says {}",
       source.digest.text(), size, source.size);
}

// "bytes 0-99/1234" or "bytes 0-99/*".
void check_content_range(std::string_view text, const BlobSource& source, const BlobRange& range) {
  const std::string whole(text);
  const auto bad = [&]() {
    fail(ErrorKind::kUpstream, "blob {}: asked for bytes {}-{}, got Content-Range \"{}\"",
         source.digest.text(), range.offset, range.offset + range.length - 1, one_line(whole, 100));
  };
  if (!take(text, "bytes ")) bad();
  const auto first = take_number(text);
  const bool dash = take(text, "-");
  const auto last = take_number(text);
  if (!dash || !take(text, "/")) bad();
  if (text != "*") {
    const auto total = take_number(text);
    if (!total || !text.empty()) bad();
    if (*total != source.size) wrong_size(source, *total);
  }
  // A shorter answer is a server's right (RFC 9110, 15.3.7): the rest is asked for again.
  if (first != range.offset || !last || *last < range.offset || *last >= source.size) bad();
}

void check_status(const http::ClientResponse& response, const BlobSource& source) {
  if (response.ok()) return;
  const int status = response.status;
  if (status == 416)
    fail(ErrorKind::kInvalidInput,
         "blob {}: the registry has fewer than the {} bytes of the manifest", source.digest.text(),
         source.size);
  // 403 is what object stores say when a signed address has expired.
  const bool passes =
      status == 403 || status == 408 || status == 425 || status == 429 || status >= 500;
  in_context(fmt::format("blob {}", source.digest.text()), [&] {
    if (!passes && status >= 400 && status != 404)
      fail(ErrorKind::kInvalidInput, "{}: {}", status, one_line(response.body, 200));
    require_ok(response);
  });
}

class RangeTransfer {
 public:
  RangeTransfer(const BlobSource& source, const BlobRange& range, const RangeSink& sink)
      : source_(source), range_(range), sink_(sink) {}

  void on_head(const http::ClientResponse& head) {
    if (!head.ok()) return;
    at_ = range_.offset;
    if (head.status == 206) {
      const std::string* const text = http::find_header(head.headers, "Content-Range");
      return check_content_range(text == nullptr ? "" : *text, source_, range_);
    }
    const std::string* const length = http::find_header(head.headers, "Content-Length");
    if (length != nullptr) {
      std::string_view digits = *length;
      const auto size = take_number(digits);
      if (size && *size != source_.size) wrong_size(source_, *size);
    }
    at_ = 0;
    ignored_ = range_.length != source_.size;
  }

  bool on_bytes(std::string_view bytes) {
    if (gave_up()) return false;
    const int64_t skip = std::min(std::max<int64_t>(range_.offset - at_, 0), std::ssize(bytes));
    at_ += std::ssize(bytes);
    bytes.remove_prefix(static_cast<size_t>(skip));
    const int64_t left = range_.length - delivered_;
    bytes = bytes.substr(0, static_cast<size_t>(std::min(left, std::ssize(bytes))));
    delivered_ += std::ssize(bytes);
    if (!bytes.empty()) sink_(bytes);
    return delivered_ < range_.length;
  }

  bool gave_up() const { return ignored_ && !range_.accept_whole; }
  int64_t delivered() const { return delivered_; }

 private:
  const BlobSource& source_;
  const BlobRange& range_;
  const RangeSink& sink_;
  int64_t at_ = 0;  // in the blob, of the next byte
  int64_t delivered_ = 0;
  bool ignored_ = false;
};

}  // namespace

bool fetch_range(Registry& registry, const BlobSource& source, const BlobRange& range,
                 const RangeSink& sink, const std::stop_token& stop) {
  if (range.length == 0) return true;
  RangeTransfer transfer(source, range, sink);
  http::ClientRequest request = {.url = source.url, .stop = stop};
  request.on_head = [&](const http::ClientResponse& head) { transfer.on_head(head); };
  if (range.length != source.size)
    request.headers.push_back(
        {"Range", fmt::format("bytes={}-{}", range.offset, range.offset + range.length - 1)});
  const http::ClientResponse response = registry.follow(
      std::move(request), [&](std::string_view bytes) { return transfer.on_bytes(bytes); });
  check_status(response, source);
  if (transfer.gave_up()) return false;
  if (transfer.delivered() < range.length)
    fail(ErrorKind::kUpstream, "blob {}: the answer ended after {} of {} bytes",
         source.digest.text(), transfer.delivered(), range.length);
  return true;
}

}  // namespace cria::store
