// config.h - the config layer of a model and its parameters, byte for byte as Ollama writes them,
// so that equal content has equal digests in both programs.
#pragma once

#include "base/json.h"

#include <string>

namespace cria::store {

// The known fields in Ollama's order: the optional ones only when they say something, the others
// with an empty value. Fields that Ollama does not write are left out.
std::string config_text(const Json& config);

// As go_json, with the keys of every object sorted: Go writes maps so ("params").
std::string go_map_json(const Json& value);

}  // namespace cria::store
