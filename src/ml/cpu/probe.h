// probe.h - the limits of this machine, measured: what decode (memory) and prefill (arithmetic) can
// reach at best.
#pragma once

#include <cstdint>

namespace cria::ml::cpu {

struct MachineLimits {
  double read_bytes;  // per second, from memory on huge pages
  double int8_ops;    // per second; a multiplication and an addition are two
  double float_ops, bf16_ops;
};

// With `threads` threads at once, each on its own part of `bytes` bytes, which should be many times
// the last cache. Takes about a second. Throws Error{kOutOfMemory}.
MachineLimits measure_limits(int threads, int64_t bytes);

}  // namespace cria::ml::cpu
