// completion.h - what shells need to complete a command line, and the man page, both from the table
// of commands.
#pragma once

#include "cli/command.h"

#include <span>
#include <string>
#include <string_view>

namespace cria::cli {

// For "bash", "zsh" or "fish"; models are completed by asking `cria list`. Throws
// Error{kInvalidInput} for another shell.
std::string completion_script(std::string_view shell, std::span<const Command> commands);

// roff, as `man` reads it.
std::string man_page(std::span<const Command> commands);

}  // namespace cria::cli
