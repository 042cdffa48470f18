// interrupt.h - Ctrl-C as a stop request: while an Interrupt lives, SIGINT ends the request that
// holds its token, not the program. Make it before any other thread starts.
#pragma once

#include <csignal>
#include <stop_token>
#include <thread>

namespace cria::cli {

class Interrupt {
 public:
  Interrupt();
  ~Interrupt();
  Interrupt(const Interrupt&) = delete;
  Interrupt& operator=(const Interrupt&) = delete;
  std::stop_token token() const { return source_.get_token(); }
  bool happened() const { return source_.stop_requested(); }

 private:
  std::stop_source source_;
  sigset_t before_;
  std::jthread watcher_;
};

}  // namespace cria::cli
