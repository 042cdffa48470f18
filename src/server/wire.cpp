#include "server/wire.h"

#include "base/log_context.h"
#include "http/message.h"

#include <fmt/core.h>

#include <chrono>
#include <random>

namespace cria::server {
namespace {

std::string_view openai_type(int status) {
  if (status == 400 || status == 401 || status == 415) return "invalid_request_error";
  if (status == 403) return "insufficient_permissions";
  return status == 404 ? "not_found_error" : "api_error";
}

std::string_view anthropic_type(int status) {
  switch (status) {
    case 400:
    case 415:
      return "invalid_request_error";
    case 401:
      return "authentication_error";
    case 403:
      return "permission_error";
    case 404:
      return "not_found_error";
    case 413:
      return "request_too_large";
    case 429:
      return "rate_limit_error";
    case 503:
    case 529:
      return "overloaded_error";
    default:
      return "api_error";
  }
}

}  // namespace

Dialect dialect_of(std::string_view path) {
  if (!path.starts_with("/v1/")) return Dialect::kNative;
  return path.starts_with("/v1/messages") ? Dialect::kAnthropic : Dialect::kOpenAi;
}

Dialect dialect_of(const http::Request& request) {
  const std::string_view path = request.path;
  const bool models = path == "/v1/models" || path.starts_with("/v1/models/");
  if (models && http::find_header(request.headers, "anthropic-version") != nullptr)
    return Dialect::kAnthropic;
  return dialect_of(path);
}

Json error_body(Dialect dialect, int status, std::string_view message) {
  switch (dialect) {
    case Dialect::kOpenAi:
      return {{"error",
               {{"message", message},
                {"type", openai_type(status)},
                {"param", nullptr},
                {"code", status == 401 ? Json("invalid_api_key") : Json()}}}};
    case Dialect::kAnthropic:
      return {{"type", "error"},
              {"error", {{"type", anthropic_type(status)}, {"message", message}}},
              {"request_id", log::request_id().empty() ? new_id("req_") : log::request_id()}};
    case Dialect::kNative:
      break;
  }
  return {{"error", message}};
}

std::string last_words(Dialect dialect, const Json& body) {
  switch (dialect) {
    case Dialect::kOpenAi:
      return fmt::format("data: {}\n\n", dump_json(body));
    case Dialect::kAnthropic:
      return fmt::format("event: error\ndata: {}\n\n", dump_json(body));
    case Dialect::kNative:
      break;
  }
  return dump_json(body) + "\n";
}

void EventStream::send(const Json& data) {
  write(fmt::format("data: {}\n\n", dump_json(data)));
}

void EventStream::send_named(const Json& data) {
  write(fmt::format("event: {}\ndata: {}\n\n", data["type"].get_ref<const std::string&>(),
                    dump_json(data)));
}

void EventStream::end() {
  write("data: [DONE]\n\n");
}

void EventStream::write(std::string_view bytes) {
  if (!exchange_.started())
    exchange_.start_stream(
        {.content_type = "text/event-stream", .headers = {{"Cache-Control", "no-cache"}}});
  exchange_.write(bytes);
}

std::string new_id(std::string_view prefix) {
  thread_local std::random_device random;  // making one takes tens of microseconds
  return fmt::format("{}{:08x}{:08x}{:08x}", prefix, random(), random(), random());
}

int64_t unix_time() {
  return std::chrono::duration_cast<std::chrono::seconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

}  // namespace cria::server
