// status.cpp - /api/status and /metrics: what this server is doing.
#include "server/metrics.h"
#include "server/service.h"

#include <algorithm>

namespace cria::server {
namespace {

double seconds_since(RequestFacts::Clock::time_point then) {
  return std::chrono::duration<double>(RequestFacts::Clock::now() - then).count();
}

Json shown(const RunnerStatus& one) {
  Json json = {{"name", one.name}, {"digest", one.digest}, {"pid", one.pid}};
  if (!one.reason.empty()) json["reloaded_because"] = one.reason;
  if (!one.loaded) {
    json["progress"] = one.progress;
    json["seconds"] = one.seconds;
    return json;
  }
  json["requests"] = one.leases;
  json["expires_at"] = api::format_local(one.expires_at);
  json["context_length"] = one.loaded->context_length;
  json["backend"] = one.loaded->backend;
  json["parallel"] = one.loaded->parallel;
  json["texts_together"] = one.loaded->texts_together;
  json["threads"] = one.loaded->threads;
  json["sandboxed"] = one.loaded->sandboxed;
  json["memory"] = {{"weights", one.loaded->weight_bytes},
                    {"kv", kv_bytes_taken(*one.loaded, one.usage)},
                    {"kv_limit", one.loaded->kv_bytes},
                    {"scratch", one.loaded->scratch_bytes}};
  json["kv_pages"] = {{"total", one.usage.pages},
                      {"used", one.usage.pages_used},
                      {"cached", one.usage.pages_cached}};
  return json;
}

Json shown(const RequestFacts& facts) {
  Json json = {{"id", facts.id},
               {"route", facts.route},
               {"client", facts.client},
               {"phase", phase_name(facts.phase)},
               {"seconds", seconds_since(facts.start)}};
  if (!facts.key_id.empty()) json["key"] = facts.key_id;
  if (facts.model.empty()) return json;
  json["model"] = facts.model;
  json["prompt_tokens"] = facts.prompt_tokens;
  json["generated_tokens"] = facts.generated_tokens;
  return json;
}

}  // namespace

// "cloud" is what Ollama's clients look for: there is none behind this server.
void get_status(Service& service, http::Exchange& exchange, const std::string&) {
  const SchedulerStatus scheduler = service.scheduler.status();
  Json loaded = Json::array(), loading = Json::array(), queued = Json::array(),
       requests = Json::array();
  for (const RunnerStatus& one : scheduler.runners)
    (one.loaded ? loaded : loading).push_back(shown(one));
  for (const QueuedRequest& one : scheduler.queue)
    queued.push_back({{"id", one.request}, {"model", one.model}, {"position", one.position}});
  for (const RequestFacts& one : service.requests.list()) requests.push_back(shown(one));
  const Json counts = {{"loaded", loaded.size()},
                       {"loading", loading.size()},
                       {"queued", queued.size()},
                       {"requests", requests.size()}};
  answer_json(exchange, {{"cloud", {{"disabled", true}, {"source", "config"}}},
                         {"version", kVersion},
                         {"counts", counts},
                         {"loaded", std::move(loaded)},
                         {"loading", std::move(loading)},
                         {"queued", std::move(queued)},
                         {"requests", std::move(requests)}});
}

void get_metrics(Service& service, http::Exchange& exchange, const std::string&) {
  exchange.respond(
      {.content_type = "text/plain; version=0.0.4; charset=utf-8",
       .body = service.metrics.text(service.scheduler.status(), service.requests.list().size())});
}

}  // namespace cria::server
