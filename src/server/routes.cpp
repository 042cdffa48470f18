#include "server/routes.h"

#include "base/log.h"
#include "server/wire.h"

#include <array>
#include <chrono>
#include <cstdio>
#include <ctime>

namespace cria::server {
namespace {

constexpr uint64_t kMaxJson = uint64_t{64} << 20;  // images travel inside the JSON
constexpr uint64_t kMaxBlob = uint64_t{1} << 40;
constexpr std::string_view kNotYet = "is not supported by this version of Cria";

void not_yet(Service&, http::Exchange& exchange, const std::string&) {
  const std::string& path = exchange.request().path;
  answer_json(exchange, error_body(dialect_of(path), 501, fmt::format("{} {}", path, kNotYet)),
              501);
}

struct Route {
  std::string_view method;
  std::string_view path;  // a last part "*" takes one or more segments
  Handle handle;
  bool streamed_body = false;
};

// HEAD is served by the GET row where the table has one for HEAD.
constexpr std::array kRoutes = {
    Route{"GET", "/", get_root},
    Route{"HEAD", "/", get_root},
    Route{"GET", "/api/version", get_version},
    Route{"HEAD", "/api/version", get_version},
    Route{"GET", "/api/status", get_status},
    Route{"GET", "/api/tags", get_tags},
    Route{"HEAD", "/api/tags", get_tags},
    Route{"GET", "/api/ps", get_ps},
    Route{"POST", "/api/show", post_show},
    Route{"POST", "/api/create", post_create},
    Route{"HEAD", "/api/blobs/*", head_blob},
    Route{"GET", "/api/blobs/*", get_blob},
    Route{"POST", "/api/blobs/*", post_blob, true},
    Route{"POST", "/api/copy", post_copy},
    Route{"DELETE", "/api/delete", delete_model},
    Route{"POST", "/api/generate", post_generate},
    Route{"POST", "/api/chat", post_chat},
    Route{"POST", "/api/pull", post_pull},
    Route{"POST", "/api/push", post_push},
    Route{"POST", "/api/verify", post_verify},
    Route{"POST", "/api/prune", post_prune},
    Route{"POST", "/api/outdated", post_outdated},
    Route{"POST", "/api/embed", post_embed},
    Route{"POST", "/api/embeddings", post_embeddings},
    Route{"POST", "/api/tokenize", post_tokenize},
    Route{"POST", "/api/detokenize", post_detokenize},
    Route{"POST", "/api/rerank", post_rerank},
    Route{"POST", "/v1/rerank", post_rerank},
    Route{"POST", "/api/me", not_yet},
    Route{"POST", "/api/signout", not_yet},
    Route{"POST", "/v1/chat/completions", post_openai_chat},
    Route{"POST", "/v1/completions", post_openai_completion},
    Route{"POST", "/v1/embeddings", post_v1_embeddings},
    Route{"GET", "/v1/models", get_openai_models},
    Route{"GET", "/v1/models/*", get_openai_model},
    Route{"POST", "/v1/responses", post_openai_responses},
    Route{"POST", "/v1/audio/transcriptions", not_yet},
    Route{"POST", "/v1/messages", post_anthropic_messages},
    Route{"POST", "/v1/messages/count_tokens", post_anthropic_count},
};

bool path_matches(const Route& route, std::string_view path) {
  if (!route.path.ends_with('*')) return path == route.path;
  const std::string_view stem = route.path.substr(0, route.path.size() - 1);
  return path.starts_with(stem) && path.size() > stem.size();
}

std::string argument_of(const Route& route, std::string_view path) {
  if (!route.path.ends_with('*')) return {};
  return http::percent_decode(path.substr(route.path.size() - 1));
}

const Route* find_route(std::string_view method, std::string_view path) {
  for (const Route& route : kRoutes)
    if (route.method == method && path_matches(route, path)) return &route;
  return nullptr;
}

std::string methods_of(std::string_view path) {
  std::string methods;
  for (const Route& route : kRoutes)
    if (path_matches(route, path))
      methods += fmt::format("{}{}", methods.empty() ? "" : ", ", route.method);
  return methods;
}

void plain(http::Exchange& exchange, int status, std::string body, http::Headers headers = {}) {
  exchange.respond({.status = status,
                    .content_type = "text/plain",
                    .body = std::move(body),
                    .headers = std::move(headers)});
}

// "/api/tags/" is told its proper name; a path that no row knows is 404.
void answer_unrouted(http::Exchange& exchange) {
  const http::Request& request = exchange.request();
  std::string_view path = request.path;
  if (const std::string methods = methods_of(path); !methods.empty())
    return plain(exchange, 405, "405 method not allowed", {{"Allow", methods}});
  while (path.size() > 1 && path.ends_with('/')) path.remove_suffix(1);
  if (path.size() < request.path.size() && !path.starts_with("//") && !methods_of(path).empty())
    return plain(exchange, request.method == "GET" ? 301 : 307, "",
                 {{"Location", std::string(path)}});
  plain(exchange, 404, "404 page not found");
}

void report(http::Exchange& exchange, const Error& error) {
  const Dialect dialect = dialect_of(exchange.request().path);
  const int status = http_status(error.kind());
  const Json body = error_body(dialect, status, error.what());
  if (!exchange.started()) return answer_json(exchange, body, status);
  if (error.kind() == ErrorKind::kCancelled) return;  // nobody reads any more
  exchange.write(last_words(dialect, body));
}

void dispatch(Service& service, const Access& access, http::Exchange& exchange) {
  const http::Request& request = exchange.request();
  Access::Verdict verdict = access.check(request.method, request.headers);
  if (verdict.refuse_with != 0)
    return exchange.respond(
        {.status = verdict.refuse_with, .body = {}, .headers = std::move(verdict.headers)});
  for (http::Header& header : verdict.headers)
    exchange.add_header(std::move(header.name), std::move(header.value));
  const Route* const route = find_route(request.method, request.path);
  if (route == nullptr) return answer_unrouted(exchange);
  try {
    route->handle(service, exchange, argument_of(*route, request.path));
  } catch (const Error& e) {
    report(exchange, e);
  }
}

void write_access_log(const http::Exchange& exchange, std::chrono::steady_clock::time_point start) {
  const std::time_t now = std::time(nullptr);
  std::tm parts = {};
  ::localtime_r(&now, &parts);
  const http::Request& request = exchange.request();
  const auto taken =
      std::chrono::duration_cast<api::Nanoseconds>(std::chrono::steady_clock::now() - start);
  const std::string line =
      fmt::format("[GIN] {:04}/{:02}/{:02} - {:02}:{:02}:{:02} | {} | {:>12} | {:>15} | {:<7} {}\n",
                  parts.tm_year + 1900, parts.tm_mon + 1, parts.tm_mday, parts.tm_hour,
                  parts.tm_min, parts.tm_sec, exchange.status(), api::format_duration(taken),
                  request.client, request.method, dump_json(request.path));
  std::fwrite(line.data(), 1, line.size(), stdout);
  std::fflush(stdout);
}

}  // namespace

void serve_request(Service& service, const Access& access, http::Exchange& exchange) {
  const auto start = std::chrono::steady_clock::now();
  try {
    dispatch(service, access, exchange);
  } catch (const Error& e) {
    log::debug("{} {}: {}", exchange.request().method, exchange.request().path, e.what());
  } catch (const std::exception& e) {
    log::error("{} {}: {}", exchange.request().method, exchange.request().path, e.what());
    if (!exchange.started()) exchange.respond({.status = 500, .body = {}});
  }
  write_access_log(exchange, start);
}

http::BodyRule body_rule(const http::Request& head) {
  const Route* const route = find_route(head.method, head.path);
  if (route == nullptr) return {.max_bytes = kMaxJson};
  return {.max_bytes = route->streamed_body ? kMaxBlob : kMaxJson,
          .streamed = route->streamed_body};
}

}  // namespace cria::server
