// maintenance.cpp - /api/verify (and repair), /api/outdated and /api/prune: what only Cria has, for
// operators.
#include "api/fields.h"
#include "base/log.h"
#include "server/service.h"
#include "store/registry/remote_manifest.h"
#include "store/registry/repair.h"
#include "store/verify.h"

#include <algorithm>
#include <atomic>
#include <string>
#include <thread>
#include <vector>

namespace cria::server {
namespace {

using Statuses = std::function<void(const Json&)>;

// The models that were asked for by name, or all.
store::Inventory asked_models(Service& service, const api::Fields& fields) {
  const Json* names = fields.find("models");
  if (names != nullptr && !names->is_array())
    fail(ErrorKind::kInvalidInput, "\"models\" must be a list of names");
  if (names == nullptr || names->empty()) return service.models.store().inventory();
  store::Inventory inventory;
  for (const Json& name : *names) {
    if (!name.is_string()) fail(ErrorKind::kInvalidInput, "\"models\" must be a list of names");
    const auto parsed = store::ModelName::require(name.get<std::string>());
    try {
      inventory.models.push_back(service.models.store().require(parsed));
    } catch (const Error& e) {
      if (e.kind() != ErrorKind::kInvalidInput) throw;
      inventory.broken.push_back({.name = parsed, .why = e.what()});
    }
  }
  return inventory;
}

std::string joined(const std::vector<store::ModelName>& names) {
  std::string text;
  for (const store::ModelName& name : names) text += (text.empty() ? "" : ", ") + name.short_text();
  return text;
}

std::string verify_blob(Service& service, const store::CheckedBlob& blob,
                        const std::stop_token& stop, const Statuses& send) {
  const std::string digest = blob.layer.digest.text();
  const std::string status = "verifying " + digest.substr(7, 12);
  int64_t told = 0;
  const auto report = [&](int64_t done) {
    if (done < blob.layer.size && done - told < blob.layer.size / 100) return;
    told = done;
    send({{"status", status}, {"digest", digest}, {"total", blob.layer.size}, {"completed", done}});
  };
  return store::damage_of(service.models.store(), blob.layer, stop, report);
}

// How a model here compares with the one of its name in its registry.
Json compared(Service& service, const store::StoredModel& model,
              const store::TransferOptions& options) {
  Json row = {{"name", model.name.short_text()}, {"digest", model.digest}};
  try {
    store::Registry registry(model.name, store::registry_options(options));
    const std::string text = store::fetch_manifest(registry, model.name, options);
    Sha256 hash;
    hash.update(std::as_bytes(std::span(text)));
    const std::string digest = hash.hex();
    row["remote_digest"] = digest;
    row["status"] = digest == model.digest ? "current" : "outdated";
    int64_t missing = 0;
    for (const store::Layer& layer : store::Manifest::parse(text).blobs())
      if (!service.models.store().has_layer(layer)) missing += layer.size;
    row["download"] = missing;
  } catch (const Error& e) {
    if (e.kind() == ErrorKind::kCancelled) throw;
    row["status"] = e.kind() == ErrorKind::kNotFound ? "absent" : "unknown";
    row["error"] = e.what();
  }
  return row;
}

// What is being done about a store's damage.
struct Repair {
  Service& service;
  store::TransferOptions options;
  const Statuses& send;
  size_t failed = 0;
  std::string last_failure;

  // Runs `fetch`, whose failure is told and counted.
  void attempt(const std::string& what, const std::function<void(const store::OnStatus&)>& fetch) {
    send({{"status", "fetching " + what}});
    try {
      fetch([&](const store::TransferStatus& status) {
        if (status.total > 0)
          send({{"status", status.status},
                {"digest", status.digest},
                {"total", status.total},
                {"completed", status.completed}});
      });
    } catch (const Error& e) {
      if (e.kind() == ErrorKind::kCancelled) throw;
      ++failed;
      last_failure = fmt::format("{}: {}", what, e.what());
      send({{"status", "cannot repair " + last_failure}});
    }
  }

  void blob(const store::CheckedBlob& blob) {
    attempt(fmt::format("{} of {}", blob.layer.digest.text(), joined(blob.models)),
            [&](const store::OnStatus& on_status) {
              store::fetch_again(service.models.store(), service.downloads, blob, options,
                                 on_status);
              service.models.forget();
            });
  }
  // The whole model: nobody knows any more what its manifest said.
  void manifest(const store::ModelName& name) {
    attempt(name.short_text(), [&](const store::OnStatus& on_status) {
      pull_model(service, name, options, on_status);
    });
  }
};

}  // namespace

void post_verify(Service& service, http::Exchange& exchange, const std::string&) {
  const std::string& text = exchange.request().body;
  const Json body = text.empty() ? Json::object() : api::parse_body(text);
  const api::Fields fields("VerifyRequest", body);
  const bool repair = fields.flag("repair").value_or(false);
  const bool stream = fields.flag("stream").value_or(true);
  const store::Inventory inventory = asked_models(service, fields);
  const std::stop_token stop = exchange.gone();
  LineStream lines(exchange);
  const Statuses send = [&](const Json& line) {
    if (stream) lines.send(line);
  };
  for (const store::BrokenManifest& broken : inventory.broken)
    send({{"status",
           fmt::format("damaged: the manifest of {}: {}", broken.name.short_text(), broken.why)}});
  const auto blobs = store::blobs_of(inventory.models);
  std::vector<store::CheckedBlob> bad;
  for (const store::CheckedBlob& blob : blobs) {
    const std::string why = verify_blob(service, blob, stop, send);
    if (why.empty()) continue;
    bad.push_back(blob);
    const std::string what =
        fmt::format("{} of {}: {}", blob.layer.digest.text(), joined(blob.models), why);
    log::warn("damaged: {}", what);
    send({{"status", "damaged: " + what}});
  }
  const size_t damaged = bad.size() + inventory.broken.size();
  if (repair) {
    Repair work{.service = service,
                .options = {.insecure = fields.flag("insecure").value_or(false), .stop = stop},
                .send = send};
    for (const store::CheckedBlob& blob : bad) work.blob(blob);
    // A model that was made here may have the name of another one in a registry, so that only who
    // names it gets that.
    const Json* named = fields.find("models");
    if ((named == nullptr || named->empty()) && !inventory.broken.empty())
      fail(ErrorKind::kInternal,
           "the manifest of {} is damaged; `cria repair MODEL` pulls the model of that name",
           inventory.broken.front().name.short_text());
    for (const store::BrokenManifest& broken : inventory.broken) work.manifest(broken.name);
    if (work.failed > 0)
      fail(ErrorKind::kInternal, "{} of {} could not be repaired; the last: {}", work.failed,
           damaged, work.last_failure);
  }
  if (damaged > 0 && !repair)
    fail(ErrorKind::kInternal, "{} of {} files are damaged; `cria repair` fetches them again",
         damaged, blobs.size() + inventory.broken.size());
  const std::string last = damaged > 0 ? fmt::format("repaired {} files", damaged)
                                       : fmt::format("all {} files are whole", blobs.size());
  if (stream) {
    send({{"status", last}});
    send({{"status", "success"}});
  } else {
    answer_json(exchange, {{"status", last}});
  }
}

// {"models": [{name, digest, status, remote_digest, download, error}]}: status is "current",
// "outdated", "absent" (from its registry) or "unknown" (why stands in "error").
void post_outdated(Service& service, http::Exchange& exchange, const std::string&) {
  constexpr size_t kAtOnce = 8;
  const std::string& text = exchange.request().body;
  const Json body = text.empty() ? Json::object() : api::parse_body(text);
  const api::Fields fields("OutdatedRequest", body);
  const store::TransferOptions options{.insecure = fields.flag("insecure").value_or(false),
                                       .stop = exchange.gone()};
  const std::vector<store::StoredModel> models = asked_models(service, fields).models;
  std::vector<Json> rows(models.size());
  std::atomic<size_t> next = 0;
  {
    std::vector<std::jthread> askers;
    for (size_t i = 0; i < std::min(kAtOnce, models.size()); ++i)
      askers.emplace_back([&] {
        for (size_t at = next++; at < models.size() && !options.stop.stop_requested(); at = next++)
          try {
            rows[at] = compared(service, models[at], options);
          } catch (const Error&) {  // only where nobody waits any more
          }
      });
  }
  answer_json(exchange, {{"models", Json(std::move(rows))}});
}

void post_prune(Service& service, http::Exchange& exchange, const std::string&) {
  const std::string& text = exchange.request().body;
  const Json body = text.empty() ? Json::object() : api::parse_body(text);
  const api::Fields fields("PruneRequest", body);
  const store::PruneReport report =
      service.models.store().prune({.dry_run = fields.flag("dry_run").value_or(false)});
  if (!report.skipped.empty()) fail(ErrorKind::kConflict, "{}", report.skipped);
  Json removed = Json::array();
  for (const store::PruneReport::Removed& one : report.removed)
    removed.push_back({{"file", one.file}, {"bytes", one.bytes}});
  answer_json(exchange, {{"removed", std::move(removed)},
                         {"bytes", report.bytes()},
                         {"young", report.young},
                         {"held", report.held}});
}

}  // namespace cria::server
