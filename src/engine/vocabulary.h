// vocabulary.h - the tokenizer of a GGUF file.
#pragma once

#include "formats/model_file.h"
#include "text/tokenizer/tokenizer.h"

#include <memory>

namespace cria::engine {

// The tokenizer.ggml.* metadata as plain values. Throws Error{kInvalidInput} naming the key when a
// value has another type than the format says.
text::VocabularySpec vocabulary_of(const formats::ModelFile& file);

}  // namespace cria::engine
