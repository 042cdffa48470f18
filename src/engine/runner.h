// runner.h - the runner process: one model, served over a channel to the server.
#pragma once

namespace cria::engine {

// Speaks protocol.h over the connected socket `fd`: receives Load, answers Progress and Loaded,
// then serves Generate and Cancel until the server closes. Returns the exit code.
int run_runner(int fd);

}  // namespace cria::engine
