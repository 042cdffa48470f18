// app.h - the command line: a table of commands, their help, and what an error prints.
#pragma once

#include <string>
#include <vector>

namespace cria::cli {

// `words` are the arguments without the program's name. Returns the exit code; prints errors
// itself.
int run_client(const std::vector<std::string>& words);

}  // namespace cria::cli
