// attachments.h - images and sounds that a prompt names by their paths.
#pragma once

#include "base/json.h"

#include <string>
#include <string_view>

namespace cria::cli {

struct Attached {
  std::string text;            // without the paths of what was attached
  Json files = Json::array();  // base64, in their order
};

// Looks for paths that begin with "./", "/", "\\" or "~/" (a drive letter may stand before) and end
// in .jpg, .jpeg, .png, .webp or .wav, and says on stderr what was added. What is no file stays
// text. Throws Error{kInvalidInput} "Couldn't process file: ..." for a file that is none of these
// formats or too large.
Attached attach_files(std::string_view prompt);

}  // namespace cria::cli
