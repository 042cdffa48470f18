// main.cpp - wires the roles: client commands, serve, runner, worker.
#include "base/log.h"
#include "base/settings.h"
#include "create/worker.h"
#include "engine/runner.h"
#include "protocol/child.h"
#include "server/serve.h"

#include <cstdio>
#include <string_view>

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

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) {
    std::fprintf(stderr, "usage: cria serve\n");
    return 1;
  }
  return run_role(argv[1]);
}
