// transfers.cpp - /api/pull and /api/push: the registry client behind the API.
#include "api/fields.h"
#include "server/service.h"
#include "store/registry/hub.h"
#include "store/registry/transfer.h"

#include <algorithm>
#include <span>

namespace cria::server {
namespace {

struct TransferRequest {
  std::string model;
  bool stream = true;
  store::TransferOptions options;
};

TransferRequest parse_transfer(std::string_view type, const http::Exchange& exchange) {
  const Json body = api::parse_body(exchange.request().body);
  const api::Fields fields(type, body);
  TransferRequest request = {.model = api::parse_model_name(type, body),
                             .stream = fields.flag("stream").value_or(true)};
  request.options = {.insecure = fields.flag("insecure").value_or(false),
                     .bytes_per_second = fields.integer("limit_rate").value_or(0),
                     .stop = exchange.gone()};
  if (request.options.bytes_per_second < 0)
    fail(ErrorKind::kInvalidInput, "limit_rate must be a number of bytes per second, not {}",
         request.options.bytes_per_second);
  return request;
}

Json to_json(const store::TransferStatus& status) {
  Json json = {{"status", status.status}};
  if (!status.digest.empty()) json["digest"] = status.digest;
  if (status.total > 0) json["total"] = status.total;
  if (status.completed > 0) json["completed"] = status.completed;
  return json;
}

// Runs `transfer`, which reports by the function that it gets; the last report is the answer to a
// request without stream.
void answer_statuses(http::Exchange& exchange, bool stream,
                     const std::function<void(const store::OnStatus&)>& transfer) {
  LineStream lines(exchange);
  Json last;
  try {
    transfer([&](const store::TransferStatus& status) {
      if (stream)
        lines.send(to_json(status));
      else
        last = to_json(status);
    });
  } catch (const Error& e) {
    if (stream || e.kind() == ErrorKind::kCancelled) throw;
    return answer_error(exchange, 500, e.what());  // as clients know it, whatever went wrong
  }
  if (!stream) exchange.respond({.content_type = "application/json", .body = dump_json(last)});
}

store::TransferStatus from_json(const Json& line) {
  return {.status = json_string(line, "status").value_or(""),
          .digest = json_string(line, "digest").value_or(""),
          .total = json_integer(line, "total").value_or(0),
          .completed = json_integer(line, "completed").value_or(0)};
}

// What stands in the manifest of a model that was made of these files: the next pull sees whether
// they are others by now.
std::string mark_of(const std::vector<store::HubFile>& files) {
  Sha256 hash;
  for (const store::HubFile& file : files)
    hash.update(std::as_bytes(std::span(file.source.digest.hex())));
  return "files " + hash.hex();
}

bool is_made_of(const store::Store& store, const store::ModelName& name, const std::string& mark) {
  const auto model = store.find(name);
  if (!model) return false;
  const auto blobs = model->manifest.blobs();
  return std::ranges::any_of(blobs, [&](const auto& layer) { return layer.from == mark; }) &&
         std::ranges::all_of(blobs, [&](const auto& layer) { return store.has_layer(layer); });
}

// A model of a repository of files: these come as blobs, then it is made of them as by create.
bool pull_files(Service& service, store::Registry& registry, const store::ModelName& name,
                const store::TransferOptions& options, const store::OnStatus& on_status) {
  const std::vector<store::HubFile> files = store::find_hub_files(registry, name, options);
  if (files.empty()) return false;
  const std::string mark = mark_of(files);
  if (is_made_of(service.models.store(), name, mark)) {
    on_status({.status = "success"});
    return true;
  }
  api::CreateRequest request{.model = name.full()};
  for (const store::HubFile& file : files) {
    const store::BlobSource& source = file.source;
    service.downloads.fetch(source, options, [&](int64_t completed) {
      on_status(store::pulling(source.digest, source.size, completed));
    });
    request.files.emplace_back(file.name, source.digest.text());
  }
  try {
    make_model(service, name, request, mark, options.stop,
               [&](const Json& line) { on_status(from_json(line)); });
  } catch (const Error&) {
    // Another pull of the same was faster, and its end took away the files.
    if (!is_made_of(service.models.store(), name, mark)) throw;
  }
  on_status({.status = "success"});
  return true;
}

}  // namespace

void pull_model(Service& service, const store::ModelName& name,
                const store::TransferOptions& options, const store::OnStatus& on_status) {
  store::pull(service.models.store(), service.downloads, name, options, service.prune, on_status,
              [&](store::Registry& registry) {
                return pull_files(service, registry, name, options, on_status);
              });
}

void post_pull(Service& service, http::Exchange& exchange, const std::string&) {
  const TransferRequest request = parse_transfer("PullRequest", exchange);
  const auto name = store::ModelName::require(request.model);
  answer_statuses(exchange, request.stream, [&](const store::OnStatus& on_status) {
    pull_model(service, name, request.options, on_status);
  });
}

void post_push(Service& service, http::Exchange& exchange, const std::string&) {
  const TransferRequest request = parse_transfer("PushRequest", exchange);
  if (request.model.empty()) fail(ErrorKind::kInvalidInput, "model is required");
  const auto name = store::ModelName::require(request.model);
  answer_statuses(exchange, request.stream, [&](const store::OnStatus& on_status) {
    store::push(service.models.store(), name, request.options, on_status);
  });
}

}  // namespace cria::server
