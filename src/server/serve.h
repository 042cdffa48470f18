// serve.h - the role "serve": the HTTP server in front of the store and the runners.
#pragma once

namespace cria::server {

// Until SIGINT or SIGTERM; all settings come from the environment. Returns the exit code, having
// printed what went wrong.
int serve();

}  // namespace cria::server
