// statuses.h - what create, pull and push show while the server works: a spinner or a bar for what
// is going on, a line for what is done.
#pragma once

#include "cli/api_client.h"

#include <string>

namespace cria::cli {

// Posts `request` and shows the statuses of its answer on stderr until its end. Ctrl-C ends it with
// Error{kCancelled}. On a terminal lines are redrawn; elsewhere each status is one line, once.
void follow_statuses(const ApiClient& client, const std::string& path, const Json& request);

}  // namespace cria::cli
