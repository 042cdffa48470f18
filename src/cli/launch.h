// launch.h - starts a server in the background when none listens.
#pragma once

#include "cli/api_client.h"

namespace cria::cli {

// Returns once the server answers. The new server runs in its own session and logs to
// ~/.ollama/logs/server.log. Throws when it ends at once, or OLLAMA_HOST is another machine.
void ensure_server(const ApiClient& client);

}  // namespace cria::cli
