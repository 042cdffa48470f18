// A Modelfile; one that parses must survive being written and read again.
#include "api/modelfile.h"
#include "base/error.h"

#include <cstdint>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace cria;
  try {
    const auto m = api::parse_modelfile({reinterpret_cast<const char*>(data), size});
    api::create_fields(m);
    api::write_parameters(m.parameters);
    api::parse_modelfile(api::write_modelfile(m, "name"));
  } catch (const Error&) {
  }
  return 0;
}
