// maintenance.cpp - /api/verify (and repair) and /api/prune: what only Cria has, for operators.
#include "api/fields.h"
#include "base/log.h"
#include "server/service.h"
#include "store/verify.h"

#include <algorithm>
#include <set>

namespace cria::server {
namespace {

using Statuses = std::function<void(Json)>;

// The models that were asked for by name, or all; broken manifests only where all are meant.
store::Inventory asked_models(Service& service, const api::Fields& fields) {
  const Json* names = fields.find("models");
  if (names == nullptr || names->empty()) return service.models.store().inventory();
  if (!names->is_array()) fail(ErrorKind::kInvalidInput, "\"models\" must be a list of names");
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

// Pulls the models again; only what was set aside has to travel. The names of those that failed.
void pull_again(Service& service, const std::set<std::string>& models,
                const store::TransferOptions& options, const Statuses& send,
                std::vector<std::string>& failures) {
  for (const std::string& model : models) {
    send({{"status", "fetching what is damaged of " + model}});
    try {
      pull_model(service, store::ModelName::require(model), options,
                 [&](const store::TransferStatus& status) {
                   if (status.total > 0)
                     send({{"status", status.status},
                           {"digest", status.digest},
                           {"total", status.total},
                           {"completed", status.completed}});
                 });
    } catch (const Error& e) {
      if (e.kind() == ErrorKind::kCancelled) throw;
      failures.push_back(fmt::format("{}: {}", model, e.what()));
      send({{"status", "cannot repair " + failures.back()}});
    }
  }
}

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
  const Statuses send = [&](Json line) {
    if (stream) lines.send(line);
  };
  size_t damaged = inventory.broken.size();
  std::set<std::string> models;
  for (const store::BrokenManifest& broken : inventory.broken) {
    send({{"status",
           fmt::format("damaged: the manifest of {}: {}", broken.name.short_text(), broken.why)}});
    models.insert(broken.name.full());
  }
  const auto blobs = store::blobs_of(inventory.models);
  std::vector<store::Digest> bad;
  for (const store::CheckedBlob& blob : blobs) {
    const std::string why = verify_blob(service, blob, stop, send);
    if (why.empty()) continue;
    ++damaged;
    bad.push_back(blob.layer.digest);
    for (const store::ModelName& name : blob.models) models.insert(name.full());
    log::warn("{} of {}: {}", blob.layer.digest.text(), joined(blob.models), why);
    send({{"status", fmt::format("damaged: {} of {}: {}", blob.layer.digest.text(),
                                 joined(blob.models), why)}});
  }
  std::vector<std::string> failures;
  if (repair && damaged > 0) {
    std::vector<std::unique_ptr<store::SetAside>> aside;
    for (const store::Digest& digest : bad)
      aside.push_back(std::make_unique<store::SetAside>(service.models.store(), digest));
    pull_again(service, models, {.insecure = fields.flag("insecure").value_or(false), .stop = stop},
               send, failures);
  }
  if (!failures.empty())
    fail(ErrorKind::kInternal, "{} could not be repaired",
         failures.size() == 1 ? failures.front() : fmt::format("{} models", failures.size()));
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
