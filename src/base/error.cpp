#include "base/error.h"

#include <array>
#include <cstdio>
#include <cstdlib>

namespace cria {
namespace {

struct Row {
  ErrorKind kind;
  std::string_view name;
  int status;
  int exit;
};

constexpr std::array kRows = {
    Row{ErrorKind::kInvalidInput, "invalid_input", 400, 1},
    Row{ErrorKind::kUnauthorized, "unauthorized", 401, 1},
    Row{ErrorKind::kForbidden, "forbidden", 403, 1},
    Row{ErrorKind::kNotFound, "not_found", 404, 1},
    Row{ErrorKind::kConflict, "conflict", 409, 1},
    Row{ErrorKind::kTooLarge, "too_large", 413, 1},
    Row{ErrorKind::kUnsupported, "unsupported", 501, 1},
    Row{ErrorKind::kBusy, "busy", 503, 1},
    Row{ErrorKind::kOutOfMemory, "out_of_memory", 507, 1},
    Row{ErrorKind::kUpstream, "upstream", 502, 1},
    Row{ErrorKind::kCancelled, "cancelled", 499, 130},
    Row{ErrorKind::kInternal, "internal", 500, 1},
};

const Row& row_of(ErrorKind kind) noexcept {
  for (const Row& row : kRows)
    if (row.kind == kind) return row;
  return kRows.back();
}

}  // namespace

int http_status(ErrorKind kind) noexcept {
  return row_of(kind).status;
}
int exit_code(ErrorKind kind) noexcept {
  return row_of(kind).exit;
}
std::string_view kind_name(ErrorKind kind) noexcept {
  return row_of(kind).name;
}

ErrorKind kind_from_name(std::string_view name) noexcept {
  for (const Row& row : kRows)
    if (row.name == name) return row.kind;
  return ErrorKind::kInternal;
}

void check_failed(const char* expression, const char* why, const char* file, int line) {
  std::fprintf(stderr, "%s:%d: check failed: %s (%s)\n", file, line, expression, why);
  std::abort();
}

}  // namespace cria
