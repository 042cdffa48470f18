// precompiled.h - what most files include, parsed once per build (cmake/cria.cmake). Every file
// still includes what it uses; a build with -DCMAKE_DISABLE_PRECOMPILE_HEADERS=ON proves it.
#include "base/json.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <charconv>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <variant>
#include <vector>
