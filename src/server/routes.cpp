#include "server/routes.h"

#include "base/log.h"
#include "base/log_context.h"
#include "base/text.h"
#include "http/content_coding.h"
#include "server/auth.h"
#include "server/truncation.h"
#include "server/wire.h"

#include <array>
#include <chrono>
#include <cstdio>
#include <ctime>

namespace cria::server {
namespace {

constexpr uint64_t kMaxJson = uint64_t{64} << 20;  // images travel inside the JSON
constexpr uint64_t kMaxBlob = uint64_t{1} << 40;
constexpr size_t kMaxUnpacked = size_t{20} << 20;  // a few bytes may stand for very many
constexpr int kClientGone = 499;                   // before there was an answer
constexpr std::string_view kNotYet = "is not supported by this version of Cria";

void not_yet(Service&, http::Exchange& exchange, const std::string&) {
  const std::string& path = exchange.request().path;
  answer_json(exchange, error_body(dialect_of(path), 501, fmt::format("{} {}", path, kNotYet)),
              501);
}

struct Route {
  std::string_view method;
  std::string_view path;  // a last part "*" takes one or more segments
  api::Scope scope;       // that a key must have, once there are keys
  Handle handle;
  bool streamed_body = false;
};

using enum api::Scope;
// infer: asks models and sees what there is; manage: changes what there is, or takes files out;
// admin: also sees what others do. Open is what tools poll to see whether a server is there.
// HEAD is served by the GET row where the table has one for HEAD.
constexpr std::array kRoutes = {
    Route{"GET", "/", kOpen, get_root},
    Route{"HEAD", "/", kOpen, get_root},
    Route{"GET", "/api/version", kOpen, get_version},
    Route{"HEAD", "/api/version", kOpen, get_version},
    Route{"GET", "/api/status", kAdmin, get_status},
    Route{"GET", "/metrics", kAdmin, get_metrics},
    Route{"GET", "/api/tags", kInfer, get_tags},
    Route{"HEAD", "/api/tags", kInfer, get_tags},
    Route{"GET", "/api/ps", kInfer, get_ps},
    Route{"POST", "/api/show", kInfer, post_show},
    Route{"POST", "/api/create", kManage, post_create},
    Route{"HEAD", "/api/blobs/*", kManage, head_blob},
    Route{"GET", "/api/blobs/*", kManage, get_blob},
    Route{"POST", "/api/blobs/*", kManage, post_blob, true},
    Route{"POST", "/api/copy", kManage, post_copy},
    Route{"DELETE", "/api/delete", kManage, delete_model},
    Route{"POST", "/api/generate", kInfer, post_generate},
    Route{"POST", "/api/chat", kInfer, post_chat},
    Route{"POST", "/api/pull", kManage, post_pull},
    Route{"POST", "/api/push", kManage, post_push},
    Route{"POST", "/api/verify", kManage, post_verify},
    Route{"POST", "/api/prune", kManage, post_prune},
    Route{"POST", "/api/outdated", kManage, post_outdated},
    Route{"POST", "/api/embed", kInfer, post_embed},
    Route{"POST", "/api/embeddings", kInfer, post_embeddings},
    Route{"POST", "/api/tokenize", kInfer, post_tokenize},
    Route{"POST", "/api/detokenize", kInfer, post_detokenize},
    Route{"POST", "/api/rerank", kInfer, post_rerank},
    Route{"POST", "/v1/rerank", kInfer, post_rerank},
    Route{"POST", "/api/me", kManage, not_yet},
    Route{"POST", "/api/signout", kManage, not_yet},
    Route{"POST", "/v1/chat/completions", kInfer, post_openai_chat},
    Route{"POST", "/v1/completions", kInfer, post_openai_completion},
    Route{"POST", "/v1/embeddings", kInfer, post_v1_embeddings},
    Route{"GET", "/v1/models", kInfer, get_openai_models},
    Route{"GET", "/v1/models/*", kInfer, get_openai_model},
    Route{"POST", "/v1/responses", kInfer, post_openai_responses},
    Route{"POST", "/v1/responses/input_tokens", kInfer, post_openai_count},
    Route{"POST", "/v1/audio/transcriptions", kInfer, not_yet},
    Route{"POST", "/v1/messages", kInfer, post_anthropic_messages},
    Route{"POST", "/v1/messages/count_tokens", kInfer, post_anthropic_count},
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
  const Dialect dialect = dialect_of(exchange.request());
  const int status = http_status(error.kind());
  note_error(error.what());
  const Json body = error_body(dialect, status, error.what());
  if (!exchange.started()) return answer_json(exchange, body, status);
  if (error.kind() == ErrorKind::kCancelled) return;  // nobody reads any more
  exchange.write(last_words(dialect, body));
}

void refuse(http::Exchange& exchange, const AuthVerdict& verdict) {
  if (!verdict.challenge.empty()) exchange.add_header("WWW-Authenticate", verdict.challenge);
  const Dialect dialect = dialect_of(exchange.request());
  answer_json(exchange, error_body(dialect, verdict.refuse_with, verdict.message),
              verdict.refuse_with);
}

// A body in another form than plain is unpacked, where it is held whole; false when it has been
// refused.
bool take_coding(http::Exchange& exchange, const Route& route) {
  const http::Request& request = exchange.request();
  const std::string* const coding = http::find_header(request.headers, "content-encoding");
  if (coding == nullptr || coding->empty() || http::equal_ignoring_case(*coding, "identity"))
    return true;
  if (!route.streamed_body && http::equal_ignoring_case(*coding, "zstd")) {
    exchange.replace_body(http::unpack_zstd(request.body, kMaxUnpacked));
    return true;
  }
  const std::string message =
      fmt::format("the request's Content-Encoding is {}, but this endpoint takes {}",
                  dump_json(one_line(*coding, 100)),
                  route.streamed_body ? "bodies as they are" : "zstd, or bodies as they are");
  exchange.add_header("Accept-Encoding", route.streamed_body ? "identity" : "zstd");
  answer_json(exchange, error_body(dialect_of(request.path), 415, message), 415);
  return false;
}

void dispatch(Service& service, const Access& access, http::Exchange& exchange,
              Requests::Entry& entry) {
  const http::Request& request = exchange.request();
  Access::Verdict verdict = access.check(request.method, request.headers);
  if (verdict.refuse_with != 0)
    return exchange.respond(
        {.status = verdict.refuse_with, .body = {}, .headers = std::move(verdict.headers)});
  for (http::Header& header : verdict.headers)
    exchange.add_header(std::move(header.name), std::move(header.value));
  const Route* const route = find_route(request.method, request.path);
  if (route == nullptr) return answer_unrouted(exchange);
  const AuthVerdict auth = check_key(service.keys, request, route->scope);
  entry.route(std::string(route->path), auth.key_id);
  if (auth.refuse_with != 0) return refuse(exchange, auth);
  try {
    if (!take_coding(exchange, *route)) return;
    route->handle(service, exchange, argument_of(*route, request.path));
  } catch (const Error& e) {
    report(exchange, e);
  }
}

// What became of a request: with CRIA_LOG_FORMAT=json an object of its own on stdout, in place of
// the access log's line.
void write_record(const RequestFacts& facts, int status) {
  const auto taken = std::chrono::steady_clock::now() - facts.start;
  Json record = {{"time", api::format_utc(std::chrono::system_clock::now())},
                 {"request_id", facts.id},
                 {"method", facts.method},
                 {"path", facts.path},
                 {"route", facts.route},
                 {"status", status},
                 {"client", facts.client},
                 {"seconds", std::chrono::duration<double>(taken).count()}};
  if (!facts.key_id.empty()) record["key"] = facts.key_id;
  if (!facts.model.empty()) {
    record["model"] = facts.model;
    record["prompt_tokens"] = facts.prompt_tokens;
    record["cached_tokens"] = facts.cached_tokens;
    record["generated_tokens"] = facts.generated_tokens;
    Losses(facts.truncated, facts.shifted_tokens).tell(record);
  }
  if (facts.queued) record["queue_seconds"] = std::chrono::duration<double>(*facts.queued).count();
  if (facts.first_token)
    record["first_token_seconds"] = std::chrono::duration<double>(*facts.first_token).count();
  if (!facts.error.empty()) record["error"] = facts.error;
  const std::string line = dump_json(record) + "\n";
  std::fwrite(line.data(), 1, line.size(), stdout);
  std::fflush(stdout);
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
  const http::Request& request = exchange.request();
  const std::string id = request_id_for(http::find_header(request.headers, "x-request-id"));
  const log::RequestScope scope(id);
  Requests::Entry entry(service.requests, {.id = id,
                                           .method = request.method,
                                           .path = request.path,
                                           .client = request.client,
                                           .route = "none"});
  exchange.add_header("X-Request-Id", id);
  // Where Anthropic's clients look for it.
  if (dialect_of(request) == Dialect::kAnthropic) exchange.add_header("request-id", id);
  try {
    dispatch(service, access, exchange, entry);
  } catch (const Error& e) {
    log::debug("{} {}: {}", exchange.request().method, exchange.request().path, e.what());
  } catch (const std::exception& e) {
    log::error("{} {}: {}", exchange.request().method, exchange.request().path, e.what());
    note_error(e.what());
    const Dialect dialect = dialect_of(request);
    if (!exchange.started())
      answer_json(exchange,
                  error_body(dialect, 500, fmt::format("internal error (request {})", id)), 500);
  }
  const RequestFacts facts = entry.facts();
  const int status = exchange.status() == 0 ? kClientGone : exchange.status();
  service.metrics.request_ended(facts, status);
  if (log::is_json())
    write_record(facts, status);
  else
    write_access_log(exchange, facts.start);
}

http::BodyRule body_rule(Service& service, const http::Request& head) {
  const Route* const route = find_route(head.method, head.path);
  if (route == nullptr) return {.max_bytes = kMaxJson};
  // Who will be refused need not send 64 MiB first, nor we keep them.
  if (check_key(service.keys, head, route->scope).refuse_with != 0)
    return {.max_bytes = kMaxJson, .streamed = true};
  return {.max_bytes = route->streamed_body ? kMaxBlob : kMaxJson,
          .streamed = route->streamed_body};
}

}  // namespace cria::server
