// options.cpp - the options of a request are whatever a client sends.
#include "engine/options.h"
#include "base/error.h"
#include "engine/sampler.h"

#include <spdlog/spdlog.h>

#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  spdlog::set_level(spdlog::level::off);
  try {
    const auto options =
        cria::engine::parse_options(cria::parse_json({reinterpret_cast<const char*>(data), size}));
    // Whatever is accepted must sample a token that exists, or say why not.
    cria::engine::Sampler sampler(options.sampling, 64);
    for (int i = 0; i < 4; ++i) {
      std::vector<float> logits = {1.5f, -2.0f, 0.0f, 3.0f, 2.9f, -80.0f, 1e30f * 0, 0.25f};
      const auto token = sampler.sample(logits);
      if (token < 0 || token >= 8) __builtin_trap();
      sampler.accept(token);
    }
  } catch (const cria::Error&) {
  }
  return 0;
}
