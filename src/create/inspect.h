// inspect.h - what a model file says about itself, for /api/show and for making a model of it.
#pragma once

#include "base/json.h"
#include "formats/model_file.h"

namespace cria::create {

// {format, general_type, family, families, parameter_count, parameter_size, quantization_level,
//  context_length, embedding_length, capabilities, chat_template, model_info, tensors}. Arrays of
//  the
// metadata are null unless `verbose`.
Json inspect(const formats::ModelFile& file, bool verbose);

// 1234567 as "1.23M", the way models' sizes are written (spec store 3.4).
std::string human_count(int64_t count);

}  // namespace cria::create
