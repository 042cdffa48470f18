// reference.h - the backend "reference": every op as plain loops in float, weights dequantised to
// float, a float32 cache. Slow and single-threaded: the oracle for tests, and the fallback.
#pragma once

#include "ml/backend.h"

#include <memory>

namespace cria::ml::reference {

std::unique_ptr<Backend> make_reference();

}  // namespace cria::ml::reference
