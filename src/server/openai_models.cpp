// openai_models.cpp - /v1/models: the models of the store as OpenAI lists them (spec 2.5), and as
// Anthropic does for its own clients.
#include "api/duration.h"
#include "base/text.h"
#include "http/message.h"
#include "server/service.h"
#include "server/wire.h"
#include "store/name.h"

#include <algorithm>
#include <charconv>
#include <optional>

namespace cria::server {
namespace {

Json openai_model(const Model& model, const std::string& id) {
  return {{"id", id},
          {"object", "model"},
          {"created",
           std::chrono::duration_cast<std::chrono::seconds>(model.modified_at.time_since_epoch())
               .count()},
          {"owned_by", store::ModelName::require(model.full_name).space()}};
}

Json anthropic_model(const Model& model, const std::string& id) {
  return {{"type", "model"},
          {"id", id},
          {"display_name", id},
          {"created_at", api::format_utc(model.modified_at)}};
}

Json described(const http::Exchange& exchange, const Model& model, const std::string& id) {
  return dialect_of(exchange.request()) == Dialect::kAnthropic ? anthropic_model(model, id)
                                                               : openai_model(model, id);
}

size_t limit_of(std::string_view query) {
  constexpr size_t kDefault = 20, kMost = 1000;
  const auto text = http::query_value(query, "limit");
  if (!text) return kDefault;
  size_t limit = 0;
  const char* const end = text->data() + text->size();
  const auto [stop, error] = std::from_chars(text->data(), end, limit);
  if (error != std::errc() || stop != end || limit < 1 || limit > kMost)
    fail(ErrorKind::kInvalidInput, "limit: \"{}\" is no whole number from 1 to {}",
         one_line(*text, 100), kMost);
  return limit;
}

// The part of the list that a query asks for: at most `limit` models, from the beginning, behind
// the one of `after_id`, or before the one of `before_id`. `has_more` looks the same way.
Json anthropic_page(const Json& models, std::string_view query) {
  const size_t limit = limit_of(query);
  const auto cursor = [&](std::string_view field) -> std::optional<size_t> {
    const auto id = http::query_value(query, field);
    if (!id) return std::nullopt;
    const auto found = std::ranges::find(models, Json(*id), [](const Json& m) { return m["id"]; });
    if (found == models.end())
      fail(ErrorKind::kInvalidInput, "{}: there is no model \"{}\"", field, one_line(*id, 100));
    return static_cast<size_t>(found - models.begin());
  };
  const auto before = cursor("before_id"), after = cursor("after_id");
  if (before && after)
    fail(ErrorKind::kInvalidInput, "before_id and after_id cannot be used together");
  const size_t end = before ? *before : models.size();
  const size_t begin = after ? *after + 1 : 0;
  const size_t count = std::min(limit, end - begin);
  const size_t first = before ? end - count : begin;
  Json data = Json::array();
  for (size_t i = first; i < first + count; ++i) data.push_back(models[i]);
  const Json first_id = data.empty() ? Json() : data.front()["id"];
  const Json last_id = data.empty() ? Json() : data.back()["id"];
  return {{"data", std::move(data)},
          {"has_more", count < end - begin},
          {"first_id", first_id},
          {"last_id", last_id}};
}

}  // namespace

void get_openai_models(Service& service, http::Exchange& exchange, const std::string&) {
  Json data = Json::array();
  for (const Model& model : service.models.list())
    data.push_back(described(exchange, model, model.short_name));
  if (dialect_of(exchange.request()) == Dialect::kAnthropic)
    return answer_json(exchange, anthropic_page(data, exchange.request().query));
  answer_json(exchange, {{"object", "list"}, {"data", std::move(data)}});
}

void get_openai_model(Service& service, http::Exchange& exchange, const std::string& id) {
  const auto name = store::ModelName::require(id);
  if (!service.models.store().find(name))
    fail(ErrorKind::kNotFound, "model '{}' not found", name.short_text());
  answer_json(exchange, described(exchange, *service.models.find(id), id));
}

}  // namespace cria::server
