// model.cpp - any GGUF bytes as a model: its graph, or an Error.
#include "models/model.h"
#include "base/error.h"

#include <sys/mman.h>
#include <unistd.h>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const int descriptor = ::memfd_create("input", MFD_CLOEXEC);
  if (descriptor < 0 || ::write(descriptor, data, size) != static_cast<ssize_t>(size)) return 0;
  try {
    cria::models::load_model(cria::formats::open_gguf(cria::File::adopt(descriptor, "input")), 4);
  } catch (const cria::Error&) {
  }
  return 0;
}
