#include "base/log.h"

#include <spdlog/sinks/stdout_sinks.h>

namespace cria {

void set_up_log(const char* role, int debug_level) {
  auto logger = spdlog::stderr_logger_mt(role);
  spdlog::set_default_logger(logger);
  spdlog::set_pattern("time=%Y-%m-%dT%H:%M:%S.%e%z level=%l role=%n msg=\"%v\"");
  spdlog::set_level(debug_level >= 2   ? spdlog::level::trace
                    : debug_level == 1 ? spdlog::level::debug
                                       : spdlog::level::info);
}

}  // namespace cria
