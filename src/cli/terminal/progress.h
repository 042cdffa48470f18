// progress.h - a spinner or a bar on stderr while something takes time. Nothing is drawn, and no
// escape code written, when stderr is no terminal.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

namespace cria::cli {

bool is_terminal(int descriptor);
// Text of a model or of a server for that descriptor: on a terminal without what could steer it,
// elsewhere byte for byte.
std::string shown_on(int descriptor, std::string text);
size_t terminal_columns();  // 80 when unknown

// "label: 43% ▕███   ▏ 12 MB/40 MB   3.1 MB/s   9s" in at most `columns` columns.
std::string format_bar(const std::string& label, int64_t done, int64_t total, double seconds,
                       size_t columns);

class Progress {
 public:
  explicit Progress(std::string label);
  ~Progress();                                   // stops
  void set_label(std::string label);             // back to the spinner
  void set_amount(int64_t done, int64_t total);  // a bar from now on
  void stop();                                   // erases the line
 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace cria::cli
