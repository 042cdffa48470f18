// describe.h - what is in a model file, for people and for programs.
#pragma once

#include "base/json.h"
#include "formats/model_file.h"

#include <string>

namespace cria::formats {

struct DescribeOptions {
  size_t most_elements = 6;  // of a list; the rest is counted
  size_t most_text = 160;    // bytes of a string, cut between characters; the rest is counted
  size_t most_tensors = SIZE_MAX;
};

// One line per metadata entry and tensor. Control characters are escaped, so that a file cannot
// write to the terminal what it likes.
std::string describe_text(const ModelFile& model, const DescribeOptions& options = {});

// {path, version, alignment, bytes, parameters, metadata: {...}, tensors: [{name, type, shape,
// bytes, offset}]}. Long lists become {"count", "first"}; numbers that JSON lacks (NaN, infinity)
// are null.
Json describe_json(const ModelFile& model, const DescribeOptions& options = {});

}  // namespace cria::formats
