// editor.h - a text in the user's own editor.
#pragma once

#include <string>

namespace cria::cli {

// Runs OLLAMA_EDITOR, else VISUAL, else EDITOR, else nano or vi, on the text; gives what was saved,
// without the line break at its end. Throws Error when there is no editor or it fails.
std::string edit_text(const std::string& text);

}  // namespace cria::cli
