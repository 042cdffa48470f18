// gguf.cpp - any bytes as a model file: an Error at most.
#include "base/error.h"
#include "formats/model_file.h"

#include <sys/mman.h>
#include <unistd.h>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const int descriptor = ::memfd_create("input", MFD_CLOEXEC);
  if (descriptor < 0 || ::write(descriptor, data, size) != static_cast<ssize_t>(size)) return 0;
  try {
    cria::formats::open_gguf(cria::File::adopt(descriptor, "input"));
  } catch (const cria::Error&) {
  }
  return 0;
}
