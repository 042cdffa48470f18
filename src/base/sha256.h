// sha256.h - incremental SHA-256 (OpenSSL, which uses the CPU's SHA instructions).
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>

namespace cria {

class Sha256 {
 public:
  Sha256();
  ~Sha256();
  void update(std::span<const std::byte> bytes);
  std::string hex();  // 64 lower-case digits; ends the computation

 private:
  struct Context;
  std::unique_ptr<Context> context_;
};

}  // namespace cria
