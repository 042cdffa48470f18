#include "cli/statuses.h"

#include "cli/interrupt.h"
#include "cli/terminal/progress.h"

#include <unistd.h>

#include <cstdio>

namespace cria::cli {
namespace {

struct Shown {
  std::string status;
  int64_t completed = 0, total = 0;
};

// What stays on the screen of a status that is over.
void leave_line(const Shown& shown) {
  if (shown.status.empty()) return;
  const bool bar = shown.total > 0 && is_terminal(STDERR_FILENO);
  const std::string line =
      bar ? format_bar(shown.status, shown.total, shown.total, 0, terminal_columns())
          : shown_on(STDERR_FILENO, shown.status);
  std::fprintf(stderr, "%s\n", line.c_str());
}

}  // namespace

void follow_statuses(const ApiClient& client, const std::string& path, const Json& request) {
  const Interrupt interrupt;
  auto progress = std::make_unique<Progress>("");
  Shown now;
  client.stream(path, request, interrupt.token(), [&](const Json& event) {
    Shown next = {.status = json_string(event, "status").value_or(""),
                  .completed = json_integer(event, "completed").value_or(0),
                  .total = json_integer(event, "total").value_or(0)};
    if (next.status != now.status) {
      progress->stop();
      leave_line(now);
      progress = std::make_unique<Progress>(next.status);
    }
    if (next.total > 0 && next.completed > 0) progress->set_amount(next.completed, next.total);
    now = std::move(next);
  });
  progress->stop();
  leave_line(now);
}

}  // namespace cria::cli
