// resources.h - what this process may use of the machine: memory and cores.
#pragma once

#include <cstdint>
#include <string>

namespace cria {

// The least of what the system has free and what the control group still allows; INT64_MAX when
// neither can be read.
int64_t available_memory();
// Cores that this process may run on, one thread for each physical core, at most its CPU quota.
int usable_threads();
std::string human_bytes(int64_t bytes);  // "1.5 GiB"

}  // namespace cria
