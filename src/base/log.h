// log.h - the process's log on stderr. OLLAMA_DEBUG=1 shows debug lines, 2 also trace lines.
#pragma once

#include <spdlog/spdlog.h>

namespace cria {

// Called once by main: format of a line and level from settings. `role` is printed in each line.
void set_up_log(const char* role, int debug_level);

namespace log = spdlog;  // log::info("loaded {} in {} ms", name, ms);

}  // namespace cria
