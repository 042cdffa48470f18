// safetensors.cpp - any bytes as a tensor file: an Error at most.
#include "base/error.h"
#include "formats/model_file.h"

#include <sys/mman.h>
#include <unistd.h>

#include <string>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const int descriptor = ::memfd_create("input", MFD_CLOEXEC);
  if (descriptor < 0) return 0;
  if (::write(descriptor, data, size) == static_cast<ssize_t>(size)) {
    try {
      cria::formats::open_safetensors("/proc/self/fd/" + std::to_string(descriptor));
    } catch (const cria::Error&) {
    }
  }
  ::close(descriptor);
  return 0;
}
