// export.cpp - `export`: a model as a folder of readable files that `create` makes it of again.
#include "api/modelfile.h"
#include "base/error.h"
#include "base/file.h"
#include "cli/command.h"
#include "cli/format.h"
#include "cli/interrupt.h"
#include "cli/launch.h"
#include "cli/terminal/progress.h"

#include <cstdio>

namespace cria::cli {
namespace {

// ".../sha256-<hex>", as a Modelfile of the server names its blobs.
std::string digest_of(const std::string& path) {
  const std::string file = fs::path(path).filename();
  if (!file.starts_with("sha256-"))
    fail(ErrorKind::kUnsupported, "the server does not say which blob {} is", path);
  return "sha256:" + file.substr(7);
}

struct Export {
  const ApiClient& client;
  const fs::path folder;
  const Interrupt& interrupt;
  Progress& progress;

  // Brings each blob into a file of that name ("model.gguf", "model-2.gguf", ...) and puts the
  // name in its place.
  void bring(std::vector<std::string>& paths, size_t first, const std::string& name) const {
    for (size_t i = first; i < paths.size(); ++i) {
      const std::string file =
          i == first ? name + ".gguf" : fmt::format("{}-{}.gguf", name, i - first + 1);
      client.download_blob(
          digest_of(paths[i]), folder / file, interrupt.token(), [&](int64_t done) {
            progress.set_label(fmt::format("copying {}: {}", file, human_bytes(done)));
          });
      paths[i] = "./" + file;
    }
  }
};

}  // namespace

int run_export(const ApiClient& client, const Arguments& arguments) {
  const std::string& model = arguments.positional[0];
  const fs::path folder = arguments.positional[1];
  ensure_server(client);
  const Json shown = client.call("POST", "/api/show", {{"model", model}});
  api::Modelfile modelfile = api::parse_modelfile(json_string(shown, "modelfile").value_or(""));
  std::error_code code;
  fs::create_directories(folder, code);
  if (code) fail(ErrorKind::kForbidden, "{}: {}", folder.string(), code.message());
  if (!fs::is_empty(folder))
    fail(ErrorKind::kConflict, "{} is not empty; name a new folder", folder.string());
  const Interrupt interrupt;
  Progress progress("");
  const Export work{
      .client = client, .folder = folder, .interrupt = interrupt, .progress = progress};
  std::vector<std::string> weights(modelfile.from.begin(), modelfile.from.begin() + 1);
  work.bring(weights, 0, "model");
  modelfile.from[0] = weights[0];
  work.bring(modelfile.from, 1, "projector");
  work.bring(modelfile.adapters, 0, "adapter");
  work.bring(modelfile.drafts, 0, "draft");
  write_file_atomically(folder / "Modelfile", api::write_modelfile(modelfile, ""));
  progress.stop();
  std::printf("exported '%s' to %s\n\n\tcria create NAME -f %s\n", model.c_str(), folder.c_str(),
              (folder / "Modelfile").c_str());
  return 0;
}

}  // namespace cria::cli
