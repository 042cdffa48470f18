// service.h - what every handler works with, and how they answer.
#pragma once

#include "api/keys.h"
#include "api/ollama.h"
#include "base/error.h"
#include "base/json.h"
#include "http/server.h"
#include "server/metrics.h"
#include "server/models.h"
#include "server/requests.h"
#include "server/scheduler.h"
#include "store/registry/transfer.h"

#include <string>
#include <string_view>

namespace cria::server {

inline constexpr std::string_view kVersion = "0.33.0";  // of the API that clients ask for

struct Service {
  Models& models;
  Scheduler& scheduler;
  store::Downloads& downloads;
  api::KeyRing& keys;
  Metrics& metrics;
  Requests& requests;
  bool prune = true;
};

// One request: `argument` is the part of the path that the route leaves open, decoded.
using Handle = void (*)(Service& service, http::Exchange& exchange, const std::string& argument);

void answer_json(http::Exchange& exchange, const Json& body, int status = 200);
void answer_error(http::Exchange& exchange, int status, std::string_view message);

// One JSON object per line. Errors before the first line become a real status, later ones the last
// line.
class LineStream {
 public:
  explicit LineStream(http::Exchange& exchange) : exchange_(exchange) {}
  void send(const Json& line);

 private:
  http::Exchange& exchange_;
};

// Brings a model of a registry into the store.
void pull_model(Service& service, const store::ModelName& name,
                const store::TransferOptions& options, const store::OnStatus& on_status);

// Makes the model of that name as the request says, its files being in the store. `from`, where it
// is not empty, becomes the origin of the weights in the manifest.
void make_model(Service& service, const store::ModelName& name, const api::CreateRequest& request,
                const std::string& from, const std::stop_token& stop,
                const std::function<void(const Json&)>& send);

// Handlers, one per row of routes.cpp.
void get_root(Service&, http::Exchange&, const std::string&);
void get_version(Service&, http::Exchange&, const std::string&);
void get_status(Service&, http::Exchange&, const std::string&);
void get_metrics(Service&, http::Exchange&, const std::string&);
void get_tags(Service&, http::Exchange&, const std::string&);
void get_ps(Service&, http::Exchange&, const std::string&);
void post_show(Service&, http::Exchange&, const std::string&);
void post_create(Service&, http::Exchange&, const std::string&);
void head_blob(Service&, http::Exchange&, const std::string& digest);
void get_blob(Service&, http::Exchange&, const std::string& digest);
void post_blob(Service&, http::Exchange&, const std::string& digest);
void post_copy(Service&, http::Exchange&, const std::string&);
void delete_model(Service&, http::Exchange&, const std::string&);
void post_pull(Service&, http::Exchange&, const std::string&);
void post_push(Service&, http::Exchange&, const std::string&);
void post_verify(Service&, http::Exchange&, const std::string&);
void post_outdated(Service&, http::Exchange&, const std::string&);
void post_prune(Service&, http::Exchange&, const std::string&);
void post_generate(Service&, http::Exchange&, const std::string&);
void post_chat(Service&, http::Exchange&, const std::string&);
void post_openai_chat(Service&, http::Exchange&, const std::string&);
void post_openai_completion(Service&, http::Exchange&, const std::string&);
void post_openai_responses(Service&, http::Exchange&, const std::string&);
void post_openai_count(Service&, http::Exchange&, const std::string&);
void post_anthropic_messages(Service&, http::Exchange&, const std::string&);
void post_anthropic_count(Service&, http::Exchange&, const std::string&);
void get_openai_models(Service&, http::Exchange&, const std::string&);
void get_openai_model(Service&, http::Exchange&, const std::string& id);
void post_embed(Service&, http::Exchange&, const std::string&);
void post_embeddings(Service&, http::Exchange&, const std::string&);
void post_tokenize(Service&, http::Exchange&, const std::string&);
void post_detokenize(Service&, http::Exchange&, const std::string&);
void post_rerank(Service&, http::Exchange&, const std::string&);
void post_v1_embeddings(Service&, http::Exchange&, const std::string&);

}  // namespace cria::server
