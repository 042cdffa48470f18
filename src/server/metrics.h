// metrics.h - what /metrics tells Prometheus: counters and histograms of requests that have ended,
// and gauges of what is at the moment of the scrape.
//
// Labels are bounded: routes are rows of the table, statuses what we answer, and models names that
// the store had when they were used, of which the first kMostModels have a label of their own.
#pragma once

#include "server/requests.h"
#include "server/scheduler.h"

#include <memory>
#include <string>

namespace cria::server {

inline constexpr size_t kMostModels = 200;  // the rest is "other"

class Metrics {
 public:
  Metrics();
  ~Metrics();
  Metrics(const Metrics&) = delete;
  Metrics& operator=(const Metrics&) = delete;

  // A request has ended with that status; 499: the client went before an answer.
  void request_ended(const RequestFacts& facts, int status);
  void runner_started(const std::string& model);
  void runner_failed(const std::string& model);  // ended, and not because we wanted it
  // The text format of Prometheus, version 0.0.4.
  std::string text(const SchedulerStatus& scheduler, size_t running_requests) const;

 private:
  struct Families;
  const std::unique_ptr<Families> families_;
};

}  // namespace cria::server
