#include "http/content_coding.h"

#include "base/error.h"

#include <zstd.h>

#include <memory>

namespace cria::http {
namespace {

constexpr int kWindowLog = 23;  // 8 MiB: what RFC 8878 tells every reader to support

struct Free {
  void operator()(ZSTD_DCtx* context) const { ZSTD_freeDCtx(context); }
};

size_t checked(size_t result) {
  if (ZSTD_isError(result) != 0)
    fail(ErrorKind::kInvalidInput, "the request's body is no valid zstd: {}",
         ZSTD_getErrorName(result));
  return result;
}

}  // namespace

std::string unpack_zstd(std::string_view packed, size_t max_bytes) {
  const std::unique_ptr<ZSTD_DCtx, Free> context(ZSTD_createDCtx());
  if (!context) fail(ErrorKind::kOutOfMemory, "no memory to unpack the request's body");
  checked(ZSTD_DCtx_setParameter(context.get(), ZSTD_d_windowLogMax, kWindowLog));
  std::string out, piece(ZSTD_DStreamOutSize(), '\0');
  ZSTD_inBuffer from = {.src = packed.data(), .size = packed.size(), .pos = 0};
  size_t missing = 0;
  for (bool full = false; from.pos < from.size || (full && missing != 0);) {
    ZSTD_outBuffer to = {.dst = piece.data(), .size = piece.size(), .pos = 0};
    missing = checked(ZSTD_decompressStream(context.get(), &to, &from));
    full = to.pos == to.size;  // there may be more of what was read
    if (to.pos > max_bytes - out.size())
      fail(ErrorKind::kTooLarge, "the request's body is more than {} bytes when it is unpacked",
           max_bytes);
    out.append(piece, 0, to.pos);
  }
  if (missing != 0)
    fail(ErrorKind::kInvalidInput, "the request's body is no valid zstd: it ends early");
  return out;
}

}  // namespace cria::http
