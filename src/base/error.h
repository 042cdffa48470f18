// error.h - the one error type of the project.
//
// Anything that can fail because of input, files, network or resources throws Error.
// Anything that can fail only because our own code is wrong uses CRIA_CHECK, which aborts.
#pragma once

#include <fmt/core.h>

#include <cstdint>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

namespace cria {

// What the caller can do about it. http_status and exit_code below are the only mappings.
enum class ErrorKind {
  kInvalidInput,  // the request or the file is malformed
  kUnauthorized,  // credentials are missing or wrong
  kForbidden,     // known, but not allowed
  kNotFound,
  kConflict,
  kTooLarge,     // a body, a prompt or a file is over its limit
  kUnsupported,  // well formed, but this build or model cannot do it
  kBusy,         // queue full, shutting down
  kOutOfMemory,  // memory or disk does not suffice
  kUpstream,     // a registry or peer failed
  kCancelled,    // the client went away or asked to stop
  kInternal,
};

int http_status(ErrorKind kind) noexcept;
// Process exit code: 0 is success, 1 every failure (as existing scripts expect), 130 cancelled.
int exit_code(ErrorKind kind) noexcept;
// Stable lower-case name ("not_found") used on the wire between server and runner.
std::string_view kind_name(ErrorKind kind) noexcept;
ErrorKind kind_from_name(std::string_view name) noexcept;  // kInternal when unknown

// Of memory, in bytes: what was asked for and what there was.
struct Shortage {
  int64_t needed = 0, available = 0;
};

class Error : public std::runtime_error {
 public:
  Error(ErrorKind kind, const std::string& message, std::optional<Shortage> shortage = std::nullopt)
      : std::runtime_error(message), kind_(kind), shortage_(shortage) {}
  ErrorKind kind() const noexcept { return kind_; }
  // Of kOutOfMemory, where the numbers are known: who can make room reads them here.
  const std::optional<Shortage>& shortage() const noexcept { return shortage_; }

 private:
  ErrorKind kind_;
  std::optional<Shortage> shortage_;
};

template <class... Args>
[[noreturn]] void fail(ErrorKind kind, fmt::format_string<Args...> text, Args&&... args) {
  throw Error(kind, fmt::format(text, std::forward<Args>(args)...));
}

// Runs `body`; an Error that leaves it is prefixed with where it happened.
template <class Body>
decltype(auto) in_context(std::string_view where, Body&& body) {
  try {
    return body();
  } catch (const Error& e) {
    throw Error(e.kind(), fmt::format("{}: {}", where, e.what()), e.shortage());
  }
}

[[noreturn]] void check_failed(const char* expression, const char* why, const char* file, int line);

}  // namespace cria

#define CRIA_CHECK(expression, why) \
  ((expression) ? void(0) : ::cria::check_failed(#expression, why, __FILE__, __LINE__))
