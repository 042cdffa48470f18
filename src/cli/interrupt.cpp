#include "cli/interrupt.h"

namespace cria::cli {

Interrupt::Interrupt() {
  sigset_t interrupt;
  sigemptyset(&interrupt);
  sigaddset(&interrupt, SIGINT);
  pthread_sigmask(SIG_BLOCK, &interrupt, &before_);
  watcher_ = std::jthread([this, interrupt](const std::stop_token& stop) {
    const timespec wait = {.tv_sec = 0, .tv_nsec = 50'000'000};
    while (!stop.stop_requested())
      if (sigtimedwait(&interrupt, nullptr, &wait) == SIGINT) source_.request_stop();
  });
}

Interrupt::~Interrupt() {
  watcher_.request_stop();
  watcher_.join();
  pthread_sigmask(SIG_SETMASK, &before_, nullptr);
}

}  // namespace cria::cli
