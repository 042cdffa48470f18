// manage.cpp - `stop`, `cp`, `rm`.
#include "base/error.h"
#include "cli/command.h"

#include <cstdio>

namespace cria::cli {
namespace {

void unload(const ApiClient& client, const std::string& model) {
  client.call("POST", "/api/generate", {{"model", model}, {"keep_alive", 0}, {"stream", false}});
}

}  // namespace

int run_stop(const ApiClient& client, const Arguments& arguments) {
  const std::string& model = arguments.positional.front();
  try {
    unload(client, model);
  } catch (const Error& e) {
    if (e.kind() != ErrorKind::kNotFound) throw;
    fail(ErrorKind::kNotFound, "couldn't find model \"{}\" to stop", model);
  }
  return 0;
}

int run_copy(const ApiClient& client, const Arguments& arguments) {
  const std::string &from = arguments.positional[0], &to = arguments.positional[1];
  client.call("POST", "/api/copy", {{"source", from}, {"destination", to}});
  std::printf("copied '%s' to '%s'\n", from.c_str(), to.c_str());
  return 0;
}

int run_remove(const ApiClient& client, const Arguments& arguments) {
  for (const std::string& model : arguments.positional) {
    try {
      unload(client, model);
    } catch (const Error& e) {
      if (e.kind() != ErrorKind::kNotFound)
        std::fprintf(stderr, "Warning: unable to stop model '%s'\n", model.c_str());
    }
    client.call("DELETE", "/api/delete", {{"model", model}});
    std::printf("deleted '%s'\n", model.c_str());
    std::fflush(stdout);
  }
  return 0;
}

}  // namespace cria::cli
