#include "cli/terminal/progress.h"

#include "base/printable.h"
#include "cli/format.h"
#include "cli/terminal/width.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <mutex>
#include <thread>

namespace cria::cli {

using Clock = std::chrono::steady_clock;

bool is_terminal(int descriptor) {
  return isatty(descriptor) == 1;
}

std::string shown_on(int descriptor, std::string text) {
  return is_terminal(descriptor) ? printable(text) : std::move(text);
}

size_t terminal_columns() {
  winsize size = {};
  for (const int descriptor : {STDOUT_FILENO, STDERR_FILENO})
    if (ioctl(descriptor, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) return size.ws_col;
  return 80;
}

std::string format_bar(const std::string& label, int64_t done, int64_t total, double seconds,
                       size_t columns) {
  const double part = total > 0 ? static_cast<double>(done) / static_cast<double>(total) : 1;
  const double rate = seconds > 0 ? static_cast<double>(done) / seconds : 0;
  const std::string before = fmt::format("{}: {:3.0f}% ", label, part * 100);
  std::string after = fmt::format(" {}/{}", human_bytes(done), human_bytes(total));
  if (rate > 0) {
    const auto left = static_cast<int64_t>(static_cast<double>(total - done) / rate);
    after += fmt::format("   {}/s   ", human_bytes(static_cast<int64_t>(rate)));
    after += left >= int64_t{99} * 3600 ? "99h+"
             : left >= 60               ? fmt::format("{}m{}s", left / 60, left % 60)
                                        : fmt::format("{}s", left);
  }
  const size_t used = display_width(before) + after.size() + 3;
  if (used + 4 > columns) return (before + after).substr(0, columns > 0 ? columns - 1 : 0);
  const size_t cells = columns - used;
  const auto full = static_cast<size_t>(std::clamp(part, 0.0, 1.0) * static_cast<double>(cells));
  std::string bar = "▕";
  for (size_t i = 0; i < cells; ++i) bar += i < full ? "█" : " ";
  return before + bar + "▏" + after;
}

struct Progress::State {
  std::mutex mutex;
  std::condition_variable_any changed;
  std::string label;
  int64_t done = 0, total = 0;
  Clock::time_point begin = Clock::now();
  std::jthread drawer;  // last: it uses the members above

  void draw(size_t tick) const {
    constexpr std::array kFrames = {"⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"};
    const double seconds = std::chrono::duration<double>(Clock::now() - begin).count();
    const std::string line = total > 0
                                 ? format_bar(label, done, total, seconds, terminal_columns() - 1)
                                 : fmt::format("{} {}", label, kFrames[tick % kFrames.size()]);
    std::fprintf(stderr, "\r\x1b[K%s", line.c_str());
  }
  void loop(const std::stop_token& stop) {
    for (size_t tick = 0; !stop.stop_requested(); ++tick) {
      std::unique_lock lock(mutex);
      draw(tick);
      changed.wait_for(lock, stop, std::chrono::milliseconds(100), [] { return false; });
    }
    std::fprintf(stderr, "\r\x1b[K");
  }
};

Progress::Progress(std::string label) : state_(std::make_unique<State>()) {
  state_->label = std::move(label);
  if (is_terminal(STDERR_FILENO))
    state_->drawer =
        std::jthread([s = state_.get()](const std::stop_token& stop) { s->loop(stop); });
}

Progress::~Progress() {
  stop();
}

void Progress::set_label(std::string label) {
  const std::lock_guard lock(state_->mutex);
  state_->label = std::move(label);
  state_->done = state_->total = 0;
  state_->begin = Clock::now();
}

void Progress::set_amount(int64_t done, int64_t total) {
  const std::lock_guard lock(state_->mutex);
  state_->done = done;
  state_->total = total;
}

void Progress::stop() {
  if (!state_->drawer.joinable()) return;
  state_->drawer.request_stop();
  state_->drawer.join();
}

}  // namespace cria::cli
