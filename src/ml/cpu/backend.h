// backend.h - the backend "cpu": our own kernels for this processor.
#pragma once

#include "ml/backend.h"

namespace cria::ml::cpu {

std::unique_ptr<Backend> make_cpu_backend();

}  // namespace cria::ml::cpu
