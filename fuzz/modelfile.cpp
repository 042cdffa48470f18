// A Modelfile; one that parses must come back the same when it is written and read again.
#include "api/modelfile.h"
#include "base/error.h"

#include <cstdint>

namespace {

std::string all_of(const cria::api::Modelfile& m) {
  cria::Json fields = cria::api::create_fields(m);
  fields["from"] = m.from;
  fields["adapters"] = m.adapters;
  fields["drafts"] = m.drafts;
  fields.erase("parameters");  // written in the order of their names
  return cria::dump_json(fields) + cria::api::write_parameters(m.parameters);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace cria;
  api::Modelfile m;
  try {
    m = api::parse_modelfile({reinterpret_cast<const char*>(data), size});
  } catch (const Error&) {
    return 0;
  }
  CRIA_CHECK(all_of(api::parse_modelfile(api::write_modelfile(m, "name"))) == all_of(m),
             "a Modelfile reads back as it was written");
  return 0;
}
