// worker.h - the worker process: one job on model files, in a sandbox.
#pragma once

namespace cria::create {

// Serves one protocol::Job on the channel at `descriptor`, then returns the exit code.
int run_worker(int descriptor);

}  // namespace cria::create
