// models.h - the store as the server sees it: names to what a request needs, and facts about model
// files, which a worker reads. The server itself never opens a model file.
#pragma once

#include "api/duration.h"
#include "api/ollama.h"
#include "base/json.h"
#include "protocol/child.h"
#include "protocol/protocol.h"
#include "store/store.h"

#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

namespace cria::server {

// A model of the store, with the texts of its layers.
struct Model {
  std::string short_name;  // "tiny:latest"
  std::string full_name;   // "registry.ollama.ai/library/tiny:latest"
  std::string digest;      // of the manifest, without "sha256:"
  int64_t size = 0;
  api::WallTime modified_at;
  std::string model_path;
  std::string prompt_file;  // where its prompts may be kept
  std::vector<std::string> adapter_paths, projector_paths;
  std::string template_text, system;
  std::vector<std::string> licenses;
  Json messages = Json::array();
  Json parameters = Json::object();
  Json config = Json::object();

  Json details() const;  // of the config: format, family, families, parameter_size, ...
  std::string parent;    // the model that it was created from
};

// What a model file says about itself: the result of the worker's job "inspect".
struct Facts {
  std::string family, parameter_size, quantization_level, kind;  // kind: "model", "adapter", ...
  int64_t context_length = 0, embedding_length = 0;
  std::vector<std::string> capabilities;
  Json model_info = Json::object();  // metadata as /api/show gives it
  Json tensors = Json::array();
  std::string chat_template;                 // Jinja, of the file
  std::string template_text, template_name;  // the Go template that fits it, when one is known
  Json parameters = Json::object();          // that belong to that template
  std::string problem;                       // why the engine could not run it

  bool can(std::string_view capability) const;
};
// Throws Error{kInvalidInput}: a worker may have been taken over by the file that it read.
Facts facts_from_json(const Json& json);

// Runs one job in a process of its own. Throws what the worker reported; {kCancelled} with `stop`.
Json run_job(protocol::Spawner& spawner, const protocol::Job& job, const std::stop_token& stop,
             const std::function<void(double fraction)>& on_progress = {});

class Models {
 public:
  Models(store::Store& store, protocol::Spawner& spawner) : store_(store), spawner_(spawner) {}

  store::Store& store() { return store_; }
  protocol::Spawner& spawner() { return spawner_; }
  // Throws Error{kInvalidInput} "invalid model name", {kNotFound} "model 'NAME' not found". Read
  // again only when its manifest has changed.
  std::shared_ptr<const Model> find(const std::string& name);
  // After a file of the store was mended, which no manifest tells.
  void forget();
  std::vector<Model> list() const;  // newest first; unreadable ones are left out
  // Of a file of the store; read once per blob. `verbose`: with long arrays, read each time.
  std::shared_ptr<const Facts> inspect(const std::string& path, bool verbose,
                                       const std::stop_token& stop);
  // What the model can do, its template and projectors included; read once per manifest.
  std::shared_ptr<const Facts> facts(const Model& model, const std::stop_token& stop);

 private:
  struct Known {
    store::ManifestStamp stamp;
    std::shared_ptr<const Model> model;
  };

  // Of the templates, which the server does not read itself; nullopt when that failed.
  std::optional<std::vector<std::string>> template_capabilities(const Model& model,
                                                                const Facts& facts,
                                                                const std::stop_token& stop);

  store::Store& store_;
  protocol::Spawner& spawner_;
  std::mutex mutex_;
  std::map<std::string, Known> known_;                             // by full name
  std::map<std::string, std::shared_ptr<const Facts>> inspected_;  // by path: a blob never changes
  std::map<std::string, std::shared_ptr<const Facts>> facts_;      // by the manifest's digest
  std::map<std::pair<std::string, std::string>, std::vector<std::string>>
      template_capabilities_;  // by path and text of the template layer
};

}  // namespace cria::server
