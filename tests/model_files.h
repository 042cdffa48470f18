// model_files.h - the real models that some tests read, in the folder that CRIA_TEST_MODELS names.
#pragma once

#include "base/file.h"
#include "tests/skip.h"

#include <cstdint>
#include <cstdlib>
#include <filesystem>

namespace cria::test {

inline constexpr const char* kSmall = "SmolLM2-135M-Instruct.Q4_1.gguf";

inline std::filesystem::path test_model(const char* name = kSmall) {
  const char* folder = std::getenv("CRIA_TEST_MODELS");
  const char* home = std::getenv("HOME");
  return (folder != nullptr
              ? std::filesystem::path(folder)
              : std::filesystem::path(home == nullptr ? "/" : home) / ".cache/cria-test-models") /
         name;
}

inline bool have_model(const char* name = kSmall) {
  if (std::filesystem::exists(test_model(name))) return true;
  skip("no " + test_model(name).string() + "; set CRIA_TEST_MODELS");
  return false;
}

// The same, and it is in the system's cache where that can be told: only then are weights read
// late.
inline bool have_cached_model(const char* name = kSmall) {
  if (!have_model(name)) return false;
  read_text_file(test_model(name), INT64_MAX);
  if (File::open(test_model(name))->is_cached(0)) return true;
  skip("this file system does not tell what it has cached");
  return false;
}

}  // namespace cria::test
