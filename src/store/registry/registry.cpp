#include "store/registry/registry.h"

#include "base/error.h"
#include "base/text.h"

namespace cria::store {
namespace {

#if defined(__aarch64__)
constexpr std::string_view kArchitecture = "arm64";
#else
constexpr std::string_view kArchitecture = "amd64";
#endif
constexpr size_t kMaxErrorText = 500;

// Registries tell by its beginning that a client understands their manifests.
std::string user_agent() {
  return fmt::format("ollama/0.33.0 ({} linux) Cria/0.1", kArchitecture);
}

const ModelName& checked(const ModelName& name, const RegistryOptions& options) {
  if (name.scheme() == "http" && !options.insecure)
    fail(ErrorKind::kInvalidInput, "insecure protocol http");
  return name;
}

bool is_redirect(int status) {
  return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

// A compressed body would not be the bytes that its digest names, and could unpack without end.
void refuse_encodings(const http::ClientResponse& head) {
  if (!head.ok()) return;
  const std::string* const content = http::find_header(head.headers, "Content-Encoding");
  if (content != nullptr && !content->empty() && !http::equal_ignoring_case(*content, "identity"))
    fail(ErrorKind::kUnsupported,
         "the registry answers with Content-Encoding {}, which was not asked for",
         one_line(*content));
  const std::string* const transfer = http::find_header(head.headers, "Transfer-Encoding");
  if (transfer != nullptr && !http::equal_ignoring_case(*transfer, "chunked") &&
      !http::equal_ignoring_case(*transfer, "identity"))
    fail(ErrorKind::kUnsupported,
         "the registry answers with Transfer-Encoding {}, which was not asked for",
         one_line(*transfer));
}

}  // namespace

Registry::Registry(const ModelName& name, const RegistryOptions& options)
    : base_(http::Url::parse(fmt::format("{}://{}/", options.insecure ? "http" : "https",
                                         checked(name, options).host()))),
      options_(options),
      authorizer_(name.host(), options.insecure) {}

std::string Registry::url(const ModelName& name, std::string_view rest) const {
  return fmt::format("{}v2/{}/{}/{}", base_.text, name.space(), name.model(), rest);
}

bool Registry::may_connect(http::AddressKind kind) const {
  using http::AddressKind;
  // Link-local is where clouds keep their machines' credentials: never a registry's storage.
  return kind == AddressKind::kPublic || (kind == kind_ && kind != AddressKind::kLinkLocal);
}

void Registry::check_target(const http::Url& target) const {
  if (base_.scheme == "https" && target.scheme != "https")
    fail(ErrorKind::kForbidden, "the registry {} leads from https to {}: refused", base_.host,
         target.text.substr(0, 200));
}

http::ClientResponse Registry::attempt(const http::ClientRequest& request, const http::Sink& sink) {
  if (sink) return http::fetch_to(request, sink);
  return http::fetch(request, kMaxBody);
}

http::ClientResponse Registry::send(http::ClientRequest request, const http::Sink& sink) {
  const http::Url target = http::Url::parse(request.url);
  check_target(target);
  const bool own = target.same_origin(base_);
  request.connections = &connections_;
  if (request.stall_timeout.count() == 0) request.stall_timeout = options_.stall_timeout;
  if (!own) request.may_connect = [this](http::AddressKind kind) { return may_connect(kind); };
  request.headers.push_back({"User-Agent", user_agent()});
  request.on_head = [this, own, next = request.on_head](const http::ClientResponse& head) {
    if (own && !kind_known_.exchange(true)) kind_ = head.peer;
    refuse_encodings(head);
    if (next) next(head);
  };
  const http::Headers plain = request.headers;
  for (const bool last : {false, true}) {
    const http::Headers credentials = own ? authorizer_.headers() : http::Headers{};
    request.headers = plain;
    request.headers.insert(request.headers.end(), credentials.begin(), credentials.end());
    http::ClientResponse response = attempt(request, sink);
    if (response.status != 401 || !own) return response;
    if (last) break;
    authorizer_.answer(response, credentials, request.url, request.stop);
  }
  fail(ErrorKind::kUnauthorized, "unauthorized: access denied");
}

http::ClientResponse Registry::follow(http::ClientRequest request, const http::Sink& sink) {
  for (int hops = 0; hops <= kMaxRedirects; ++hops) {
    http::ClientResponse response = send(request, sink);
    if (!is_redirect(response.status)) return response;
    const std::string* const location = http::find_header(response.headers, "Location");
    if (location == nullptr)
      fail(ErrorKind::kUpstream, "{}: a redirect without a Location", request.url);
    request.url = http::Url::parse(request.url).resolve(*location).text;
  }
  fail(ErrorKind::kUpstream, "maximum redirects exceeded ({}) for {}", kMaxRedirects, request.url);
}

void require_ok(const http::ClientResponse& response) {
  if (response.ok()) return;
  if (response.status == 404) fail(ErrorKind::kNotFound, "file does not exist");
  fail(ErrorKind::kUpstream, "{}: {}", response.status, one_line(response.body, kMaxErrorText));
}

}  // namespace cria::store
