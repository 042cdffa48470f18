#include "server/metrics.h"

#include <prometheus/counter.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>

#include <mutex>
#include <set>
#include <utility>
#include <vector>

namespace cria::server {
namespace {

using prometheus::BuildCounter;
using prometheus::BuildHistogram;
using prometheus::Counter;
using prometheus::Family;
using prometheus::Histogram;
using prometheus::MetricFamily;
using Labels = std::map<std::string, std::string>;

double seconds(std::chrono::nanoseconds time) {
  return std::chrono::duration<double>(time).count();
}

// Seconds, from a cached prompt's first token to a long load.
const Histogram::BucketBoundaries kWaits = {0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25,
                                            0.5,   1,      2.5,   5,    10,    30,   60,  120};
const Histogram::BucketBoundaries kTokenTimes = {0.001, 0.002, 0.005, 0.01, 0.02, 0.03, 0.05,
                                                 0.075, 0.1,   0.15,  0.2,  0.3,  0.5,  1};

MetricFamily gauge(const char* name, const char* help) {
  return {.name = name, .help = help, .type = prometheus::MetricType::Gauge, .metric = {}};
}

void add(MetricFamily& family, double value, const std::string& model = {}) {
  prometheus::ClientMetric metric;
  if (!model.empty()) metric.label.push_back({"model", model});
  metric.gauge.value = value;
  family.metric.push_back(std::move(metric));
}

}  // namespace

struct Metrics::Families {
  prometheus::Registry registry;
  std::mutex mutex;
  std::set<std::string> models;

  Family<Counter>& counter(const char* name, const char* help) {
    return BuildCounter().Name(name).Help(help).Register(registry);
  }
  Family<Histogram>& histogram(const char* name, const char* help) {
    return BuildHistogram().Name(name).Help(help).Register(registry);
  }

  Family<Counter>& requests =
      counter("cria_requests_total", "Requests that ended, by route and status");
  Family<Histogram>& request_time =
      histogram("cria_request_seconds", "From a request's first byte of work to its end, by route");
  Family<Counter>& prompt_tokens =
      counter("cria_prompt_tokens_total", "Tokens of prompts, cached ones included");
  Family<Counter>& cached_tokens =
      counter("cria_prompt_cached_tokens_total", "Tokens of prompts found in the prefix cache");
  Family<Counter>& generated_tokens = counter("cria_generated_tokens_total", "Generated tokens");
  Family<Histogram>& first_token =
      histogram("cria_time_to_first_token_seconds", "From a request's start to its first text");
  Family<Histogram>& token_time = histogram("cria_time_per_output_token_seconds",
                                            "Mean time of a request's tokens after the first");
  Family<Histogram>& queue_wait =
      histogram("cria_queue_wait_seconds", "Until a request had a place in a loaded runner");
  Family<Counter>& starts = counter("cria_runner_starts_total", "Runners that were started");
  Family<Counter>& failures =
      counter("cria_runner_failures_total",
              "Loads that were refused, and runners that ended without being asked to");

  std::string label_of(const std::string& model) {
    const std::lock_guard lock(mutex);
    if (models.contains(model)) return model;
    if (models.size() >= kMostModels) return "other";
    models.insert(model);
    return model;
  }
};

Metrics::Metrics() : families_(std::make_unique<Families>()) {}
Metrics::~Metrics() = default;

void Metrics::request_ended(const RequestFacts& facts, int status) {
  Families& to = *families_;
  to.requests.Add({{"route", facts.route}, {"status", std::to_string(status)}}).Increment();
  to.request_time.Add({{"route", facts.route}}, kWaits)
      .Observe(seconds(RequestFacts::Clock::now() - facts.start));
  if (facts.model.empty()) return;
  const Labels model = {{"model", to.label_of(facts.model)}};
  to.prompt_tokens.Add(model).Increment(static_cast<double>(facts.prompt_tokens));
  to.cached_tokens.Add(model).Increment(static_cast<double>(facts.cached_tokens));
  to.generated_tokens.Add(model).Increment(static_cast<double>(facts.generated_tokens));
  if (facts.queued) to.queue_wait.Add(model, kWaits).Observe(seconds(*facts.queued));
  if (facts.first_token) to.first_token.Add(model, kWaits).Observe(seconds(*facts.first_token));
  const int64_t later = facts.generated_tokens - facts.answers;
  if (facts.generate_ns > 0 && later > 0)
    to.token_time.Add(model, kTokenTimes)
        .Observe(static_cast<double>(facts.generate_ns) * 1e-9 / static_cast<double>(later));
}

void Metrics::runner_started(const std::string& model) {
  families_->starts.Add({{"model", families_->label_of(model)}}).Increment();
}

void Metrics::runner_failed(const std::string& model) {
  families_->failures.Add({{"model", families_->label_of(model)}}).Increment();
}

std::string Metrics::text(const SchedulerStatus& scheduler, size_t running_requests) const {
  MetricFamily running = gauge("cria_requests_running", "Requests that are being answered"),
               queued = gauge("cria_requests_queued",
                              "Requests that wait for a runner or a place in one"),
               loaded = gauge("cria_models_loaded", "Loaded models"),
               loading = gauge("cria_models_loading", "Models that are being loaded"),
               memory = gauge("cria_model_memory_bytes", "Memory of a loaded model"),
               limit = gauge("cria_kv_limit_bytes", "Memory that a KV cache may grow to"),
               used = gauge("cria_kv_pages_used", "Pages of a KV cache that hold something"),
               cached =
                   gauge("cria_kv_pages_cached", "Pages of a KV cache that can be found again"),
               total = gauge("cria_kv_pages", "Pages of a KV cache");
  double loads = 0;
  for (const RunnerStatus& one : scheduler.runners) {
    if (!one.loaded) {
      ++loads;
      continue;
    }
    const std::string model = families_->label_of(one.name);
    add(memory,
        static_cast<double>(one.loaded->weight_bytes + one.loaded->scratch_bytes +
                            kv_bytes_taken(*one.loaded, one.usage)),
        model);
    add(limit, static_cast<double>(one.loaded->kv_bytes), model);
    add(used, static_cast<double>(one.usage.pages_used), model);
    add(cached, static_cast<double>(one.usage.pages_cached), model);
    add(total, static_cast<double>(one.usage.pages), model);
  }
  add(running, static_cast<double>(running_requests));
  add(queued, static_cast<double>(scheduler.queue.size()));
  add(loaded, static_cast<double>(scheduler.runners.size()) - loads);
  add(loading, loads);
  std::vector<MetricFamily> all = families_->registry.Collect();
  for (MetricFamily* const family :
       {&running, &queued, &loaded, &loading, &memory, &limit, &used, &cached, &total})
    if (!family->metric.empty()) all.push_back(std::move(*family));
  return prometheus::TextSerializer().Serialize(all);
}

}  // namespace cria::server
