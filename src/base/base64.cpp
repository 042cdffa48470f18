#include "base/base64.h"

#include "base/error.h"

#include <array>
#include <cstdint>

namespace cria {
namespace {

constexpr std::string_view kAlphabet =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

constexpr std::array<int8_t, 256> make_values() {
  std::array<int8_t, 256> values = {};
  values.fill(-1);
  for (size_t i = 0; i < kAlphabet.size(); ++i)
    values[static_cast<unsigned char>(kAlphabet[i])] = static_cast<int8_t>(i);
  return values;
}
constexpr auto kValues = make_values();

[[noreturn]] void fail_at(size_t offset) {
  fail(ErrorKind::kInvalidInput, "illegal base64 data at input byte {}", offset);
}

// Calls `put` with each byte.
template <class Put>
void decode(std::string_view text, Put put) {
  uint32_t group = 0;
  size_t filled = 0, padding = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c == '\n' || c == '\r') continue;
    const int8_t value = kValues[static_cast<unsigned char>(c)];
    if (c == '=' ? filled + padding < 2 || padding == 2 : value < 0 || padding > 0) fail_at(i);
    if (c == '=') {
      if (++padding + filled > 4) fail_at(i);
      continue;
    }
    group = group << 6 | static_cast<uint32_t>(value);
    if (++filled < 4) continue;
    for (const int shift : {16, 8, 0}) put(static_cast<char>(group >> shift & 0xff));
    group = 0;
    filled = 0;
  }
  if (filled + padding != 0 && filled + padding != 4) fail_at(text.size());
  if (filled == 2) put(static_cast<char>(group >> 4 & 0xff));
  if (filled == 3) {
    put(static_cast<char>(group >> 10 & 0xff));
    put(static_cast<char>(group >> 2 & 0xff));
  }
}

}  // namespace

std::string base64_encode(std::string_view bytes) {
  std::string out;
  out.reserve((bytes.size() + 2) / 3 * 4);
  for (size_t i = 0; i < bytes.size(); i += 3) {
    const size_t count = std::min<size_t>(3, bytes.size() - i);
    uint32_t group = 0;
    for (size_t k = 0; k < 3; ++k)
      group = group << 8 | (k < count ? static_cast<unsigned char>(bytes[i + k]) : 0u);
    for (size_t k = 0; k < 4; ++k) out += k <= count ? kAlphabet[group >> (18 - 6 * k) & 63] : '=';
  }
  return out;
}

std::string base64_decode(std::string_view text) {
  std::string out;
  out.reserve(text.size() / 4 * 3);
  decode(text, [&](char byte) { out += byte; });
  return out;
}

void base64_check(std::string_view text) {
  decode(text, [](char) {});
}

}  // namespace cria
