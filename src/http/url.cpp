#include "http/url.h"

#include "base/error.h"

#include <curl/curl.h>

#include <cctype>
#include <memory>

namespace cria::http {
namespace {

constexpr size_t kMaxUrl = 16'384;  // signed addresses of object stores have up to some 4000

using Handle = std::unique_ptr<CURLU, void (*)(CURLU*)>;

void set(CURLU* url, std::string_view text) {
  const std::string copy(text);
  const CURLUcode code = copy.size() > kMaxUrl || copy.find('\0') != std::string::npos
                             ? CURLUE_MALFORMED_INPUT
                             : curl_url_set(url, CURLUPART_URL, copy.c_str(), CURLU_DISALLOW_USER);
  if (code != CURLUE_OK)
    fail(ErrorKind::kInvalidInput, "\"{}\" is not an address: {}", copy.substr(0, 200),
         curl_url_strerror(code));
}

std::string part(CURLU* url, CURLUPart which, unsigned flags = 0) {
  char* text = nullptr;
  if (curl_url_get(url, which, &text, flags) != CURLUE_OK) return {};
  std::string copy = text;
  curl_free(text);
  return copy;
}

Url read(CURLU* url) {
  curl_url_set(url, CURLUPART_FRAGMENT, nullptr, 0);
  Url out = {.scheme = part(url, CURLUPART_SCHEME),
             .host = part(url, CURLUPART_HOST),
             .port = part(url, CURLUPART_PORT, CURLU_DEFAULT_PORT),
             .text = part(url, CURLUPART_URL)};
  for (char& c : out.host) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  if (out.scheme != "http" && out.scheme != "https")
    fail(ErrorKind::kInvalidInput, "\"{}\" is neither http nor https", out.text.substr(0, 200));
  return out;
}

}  // namespace

Url Url::parse(std::string_view text) {
  const Handle url(curl_url(), curl_url_cleanup);
  set(url.get(), text);
  return read(url.get());
}

Url Url::resolve(std::string_view reference) const {
  const Handle url(curl_url(), curl_url_cleanup);
  set(url.get(), text);
  set(url.get(), reference);
  return read(url.get());
}

std::string percent_encode(std::string_view text) {
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x80 &&
        (std::isalnum(byte) != 0 || std::string_view("-._~").find(c) != std::string_view::npos))
      out += c;
    else
      out += fmt::format("%{:02X}", byte);
  }
  return out;
}

}  // namespace cria::http
