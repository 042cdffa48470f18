// main.cpp - wires the roles: client commands, serve, runner, worker.
#include "base/error.h"
#include "base/log.h"
#include "base/settings.h"
#include "cli/app.h"
#include "create/worker.h"
#include "engine/bench.h"
#include "engine/runner.h"
#include "protocol/child.h"
#include "server/serve.h"
#include "store/store.h"

#include <cstdio>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace {

int debug_level() {
  const std::string text = cria::setting("OLLAMA_DEBUG");
  if (text == "0" || text == "false") return 0;
  return text.size() == 1 && text[0] >= '2' && text[0] <= '9' ? 2 : 1;
}

int run_role(std::string_view role) {
  const std::string name(role);
  cria::set_up_log(name.c_str(), debug_level());
  if (role == "serve") return cria::server::serve();
  if (role == "worker") return cria::create::run_worker(cria::protocol::kChildDescriptor);
  if (role == "runner") return cria::engine::run_runner(cria::protocol::kChildDescriptor);
  std::fprintf(stderr, "Error: unknown command \"%s\"\n", name.c_str());
  return 1;
}

// `cria bench`: the engine in this process, without a server.
int run_bench(std::span<const std::string> arguments) {
  const auto resolve = [](const std::string& name) -> cria::fs::path {
    const cria::store::Store store(cria::store::Store::default_folder());
    const auto model = store.require(cria::store::ModelName::require(name));
    const auto* weights = model.manifest.find("model");
    if (weights == nullptr)
      cria::fail(cria::ErrorKind::kInvalidInput, "model '{}' has no weights", name);
    return store.blob_path(weights->digest);
  };
  try {
    return cria::engine::run_bench(arguments, resolve);
  } catch (const cria::Error& e) {
    std::fprintf(stderr, "Error: %s\n", e.what());
    return cria::exit_code(e.kind());
  }
}

}  // namespace

int main(int argc, char** argv) {
  const std::vector<std::string> words(argv + 1, argv + argc);
  const bool is_role = !words.empty() && (words[0] == "serve" || words[0] == "start" ||
                                          words[0] == "runner" || words[0] == "worker");
  if (is_role && words.size() == 1) return run_role(words[0] == "start" ? "serve" : words[0]);
  const bool help = words.size() > 1 && (words[1] == "-h" || words[1] == "--help");
  if (!words.empty() && words[0] == "bench" && !help) return run_bench(std::span(words).subspan(1));
  return cria::cli::run_client(words);
}
