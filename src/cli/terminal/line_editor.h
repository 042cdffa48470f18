// line_editor.h - reads one message from the terminal: editing keys, history, bracketed paste.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

namespace cria::cli {

// The entries of the prompt's history, last 100, kept in a file of mode 0600.
class History {
 public:
  explicit History(std::filesystem::path file);
  void add(const std::string& line);  // writes the file unless switched off
  void enable(bool on) { enabled_ = on; }
  const std::vector<std::string>& entries() const { return entries_; }

 private:
  std::filesystem::path file_;
  bool enabled_ = true;
  std::vector<std::string> entries_;
};

enum class InputEnd { kLine, kInterrupt, kEndOfFile };
struct Input {
  InputEnd end = InputEnd::kLine;
  std::string text;
  bool pasted = false;
};

// The text of a line with a cursor; pure, so that every key can be tested without a terminal.
struct LineBuffer {
  std::string text;
  size_t cursor = 0;  // byte offset, at a character's start

  void insert(std::string_view bytes);
  void left();
  void right();
  void word_left();
  void word_right();
  void erase_before();
  void erase_under();
  void erase_word();
  void erase_to_end() { text.erase(cursor); }
  void erase_to_start() { text.erase(0, cursor), cursor = 0; }
  void replace(const std::string& with) { text = with, cursor = with.size(); }
};

class LineEditor {
 public:
  explicit LineEditor(History& history);
  ~LineEditor();  // bracketed paste off, the terminal as it was
  LineEditor(const LineEditor&) = delete;
  LineEditor& operator=(const LineEditor&) = delete;
  Input read(const std::string& prompt, const std::string& hint);

 private:
  class RawMode;
  struct Reading;
  History& history_;
  std::unique_ptr<RawMode> raw_;
};

}  // namespace cria::cli
