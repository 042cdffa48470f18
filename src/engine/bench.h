// bench.h - `cria bench`: how fast a model reads and writes on this machine.
#pragma once

#include "base/file.h"

#include <functional>
#include <span>
#include <string>

namespace cria::engine {

// A model's name to the path of its file; throws Error{kNotFound}.
using ResolveModel = std::function<fs::path(const std::string& name)>;

// MODEL|FILE [--json] [--runs N] [--threads LIST] [--depth N] [--backend NAME]. An existing file is
// taken as such, everything else goes through `resolve`; --machine instead of a model measures the
// machine's limits alone. Prints to standard output; returns the
// exit code. Throws Error for wrong arguments or a model that does not load.
int run_bench(std::span<const std::string> args, const ResolveModel& resolve);

}  // namespace cria::engine
