#include "cli/terminal/line_editor.h"

#include "base/error.h"
#include "base/file.h"
#include "cli/terminal/editor.h"
#include "cli/terminal/progress.h"
#include "cli/terminal/width.h"

#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <optional>

namespace cria::cli {
namespace {

constexpr size_t kMaxEntries = 100;
constexpr int64_t kMaxHistoryFile = 16 << 20;

void write_out(const std::string& text) {
  std::fwrite(text.data(), 1, text.size(), stdout);
  std::fflush(stdout);
}

std::string trimmed(const std::string& text) {
  const size_t first = text.find_first_not_of(" \t\r\n");
  if (first == std::string::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t\r\n") - first + 1);
}

int read_byte() {
  unsigned char byte = 0;
  for (;;) {
    const ssize_t n = ::read(STDIN_FILENO, &byte, 1);
    if (n == 1) return byte;
    if (n < 0 && errno == EINTR) continue;
    return -1;
  }
}

size_t before(const std::string& text, size_t at) {
  if (at > 0) --at;
  while (at > 0 && (static_cast<unsigned char>(text[at]) & 0xc0) == 0x80) --at;
  return at;
}

size_t after(const std::string& text, size_t at) {
  if (at >= text.size()) return text.size();
  return at + std::max<size_t>(1, character_length(std::string_view(text).substr(at)));
}

}  // namespace

// Keys one by one, no echo, while the editor lives; the old mode comes back at the end. Between two
// lines too: a terminal that reads lines would turn the Enter of what is typed ahead into a
// newline. Ctrl-C is a byte while a line is read and a signal while the model answers.
class LineEditor::RawMode {
 public:
  RawMode() {
    tcgetattr(STDIN_FILENO, &before_);
    raw_ = before_;
    raw_.c_iflag &= ~static_cast<tcflag_t>(ICRNL | INLCR | IXON);
    raw_.c_lflag &= ~static_cast<tcflag_t>(ICANON | ECHO | ISIG | IEXTEN);
    raw_.c_cc[VMIN] = 1;
    raw_.c_cc[VTIME] = 0;
    answering();
  }
  ~RawMode() { tcsetattr(STDIN_FILENO, TCSADRAIN, &before_); }
  RawMode(const RawMode&) = delete;
  RawMode& operator=(const RawMode&) = delete;
  void reading() const { tcsetattr(STDIN_FILENO, TCSADRAIN, &raw_); }
  void answering() const {
    termios mode = raw_;
    mode.c_lflag |= ISIG;
    tcsetattr(STDIN_FILENO, TCSADRAIN, &mode);
  }
  void cooked() const { tcsetattr(STDIN_FILENO, TCSADRAIN, &before_); }
  void suspend() const {
    cooked();
    kill(0, SIGTSTP);
    reading();
  }

 private:
  termios before_ = {}, raw_ = {};
};

History::History(std::filesystem::path file) : file_(std::move(file)) {
  std::error_code none;
  if (!std::filesystem::exists(file_, none)) return;
  std::string text;
  try {
    text = read_text_file(file_, kMaxHistoryFile);
  } catch (const Error&) {  // an unreadable history is no reason not to talk
    return;
  }
  for (size_t start = 0; start < text.size();) {
    const size_t end = std::min(text.find('\n', start), text.size());
    if (std::string line = trimmed(text.substr(start, end - start)); !line.empty())
      entries_.push_back(std::move(line));
    start = end + 1;
  }
}

void History::add(const std::string& line) {
  std::string entry = trimmed(line);
  if (entry.empty()) return;
  entries_.push_back(std::move(entry));
  if (entries_.size() > kMaxEntries) entries_.erase(entries_.begin(), entries_.end() - kMaxEntries);
  if (!enabled_) return;
  std::string text;
  for (const std::string& one : entries_) text += one + "\n";
  std::error_code none;
  std::filesystem::create_directories(file_.parent_path(), none);
  const mode_t mask = umask(0077);
  try {
    write_file_atomically(file_, text);
    chmod(file_.c_str(), 0600);
  } catch (const Error&) {  // a full disk must not end the conversation
  }
  umask(mask);
}

void LineBuffer::insert(std::string_view bytes) {
  text.insert(cursor, bytes);
  cursor += bytes.size();
}
void LineBuffer::left() {
  cursor = before(text, cursor);
}
void LineBuffer::right() {
  cursor = after(text, cursor);
}
void LineBuffer::word_left() {
  while (cursor > 0 && text[cursor - 1] == ' ') --cursor;
  while (cursor > 0 && text[cursor - 1] != ' ') --cursor;
}
void LineBuffer::word_right() {
  while (cursor < text.size() && text[cursor] == ' ') ++cursor;
  while (cursor < text.size() && text[cursor] != ' ') ++cursor;
}
void LineBuffer::erase_before() {
  const size_t end = cursor;
  left();
  text.erase(cursor, end - cursor);
}
void LineBuffer::erase_under() {
  text.erase(cursor, after(text, cursor) - cursor);
}
void LineBuffer::erase_word() {
  const size_t end = cursor;
  word_left();
  text.erase(cursor, end - cursor);
}

LineEditor::LineEditor(History& history) : history_(history), raw_(std::make_unique<RawMode>()) {
  write_out("\x1b[?2004h");
}
LineEditor::~LineEditor() {
  write_out("\x1b[?2004l");
}

// One call of read(): what is typed, and where the screen's cursor is.
struct LineEditor::Reading {
  const std::string& prompt;
  const std::string& hint;
  const std::vector<std::string>& entries;
  const RawMode& raw;
  LineBuffer line = {};
  size_t entry = 0;  // of the history; entries.size() is the new line
  std::string draft;
  size_t cursor_row = 0;
  bool pasting = false, pasted = false;

  // Row and column of the byte `end` when the text stands behind the prompt.
  std::pair<size_t, size_t> place(size_t end) const {
    const size_t columns = terminal_columns();
    size_t row = 0, column = prompt.size();
    for (size_t at = 0; at < end;) {
      const size_t next = after(line.text, at);
      if (line.text[at] == '\n') {
        ++row;
        column = prompt.size();
      } else {
        const size_t width = display_width(std::string_view(line.text).substr(at, next - at));
        if (column + width > columns) ++row, column = 0;
        column += width;
      }
      at = next;
    }
    return {row, column};
  }

  void draw() {
    std::string out = cursor_row > 0 ? fmt::format("\x1b[{}A", cursor_row) : "";
    out += "\r\x1b[J" + prompt;
    for (const char c : line.text) out += c == '\n' ? "\r\n... " : std::string(1, c);
    const auto [last_row, last_column] = place(line.text.size());
    if (line.text.empty() && !hint.empty())
      out += fmt::format("\x1b[38;5;245m{}\x1b[0m\x1b[{}D", hint, hint.size());
    // At the very edge the terminal waits with the line break until the next character.
    if (last_column >= terminal_columns()) out += "\r\n";
    const size_t bottom = last_row + (last_column >= terminal_columns() ? 1 : 0);
    auto [row, column] = place(line.cursor);
    if (column >= terminal_columns()) ++row, column = 0;
    if (bottom > row) out += fmt::format("\x1b[{}A", bottom - row);
    out += '\r';
    if (column > 0) out += fmt::format("\x1b[{}C", column);
    cursor_row = row;
    write_out(out);
  }

  void recall(size_t to) {
    if (entry == entries.size()) draft = line.text;
    entry = to;
    line.replace(entry == entries.size() ? draft : entries[entry]);
  }

  void escape() {
    const int kind = read_byte();
    if (kind == 'b') line.word_left();
    if (kind == 'f') line.word_right();
    if (kind == 127) line.erase_word();
    if (kind != '[' && kind != 'O') return;
    int number = 0, key = read_byte();
    for (; (key >= '0' && key <= '9') || key == ';'; key = read_byte())
      number = key == ';' ? 0 : std::min(number * 10 + (key - '0'), 9999);
    if (key == 'A' && entry > 0) recall(entry - 1);
    if (key == 'B' && entry < entries.size()) recall(entry + 1);
    if (key == 'C') line.right();
    if (key == 'D') line.left();
    if (key == 'H') line.cursor = 0;
    if (key == 'F') line.cursor = line.text.size();
    if (key == '~' && (number == 1 || number == 7)) line.cursor = 0;
    if (key == '~' && (number == 4 || number == 8)) line.cursor = line.text.size();
    if (key == '~' && number == 3) line.erase_under();
    if (key == '~' && number == 200) pasting = pasted = true;
    if (key == '~' && number == 201) pasting = false;
  }

  // The line in the user's editor, and back.
  void edit_elsewhere() {
    raw.cooked();
    write_out("\r\x1b[J");
    try {
      line.replace(edit_text(line.text));
    } catch (const Error& e) {
      write_out(fmt::format("{}\n", e.what()));
    }
    cursor_row = 0;
    raw.reading();
  }

  // Control keys other than Enter, Ctrl-C and Ctrl-D.
  void control(int key) {
    switch (key) {
      case 1:
        line.cursor = 0;
        break;
      case 2:
        line.left();
        break;
      case 5:
        line.cursor = line.text.size();
        break;
      case 6:
        line.right();
        break;
      case 7:
        edit_elsewhere();
        break;
      case 8:
      case 127:
        line.erase_before();
        break;
      case 9:
        line.insert(pasting ? "\t" : "        ");
        break;
      case 10:
        line.insert("\n");
        break;
      case 11:
        line.erase_to_end();
        break;
      case 12:
        write_out("\x1b[2J\x1b[H");
        cursor_row = 0;
        break;
      case 14:
        if (entry < entries.size()) recall(entry + 1);
        break;
      case 16:
        if (entry > 0) recall(entry - 1);
        break;
      case 21:
        line.erase_to_start();
        break;
      case 23:
        line.erase_word();
        break;
      case 26:
        raw.suspend();
        break;
      case 27:
        escape();
        break;
      default:
        break;
    }
  }

  Input finish(InputEnd end) {
    line.cursor = line.text.size();
    draw();
    write_out("\x1b[J\n");
    return {.end = end, .text = line.text, .pasted = pasted};
  }

  std::optional<Input> key(int byte) {
    if (byte < 0) return finish(InputEnd::kEndOfFile);
    if (byte == 13 && !pasting) return finish(InputEnd::kLine);
    if (byte == 13) {
      line.insert("\n");
    } else if (byte == 3) {
      return finish(InputEnd::kInterrupt);
    } else if (byte == 4) {
      if (line.text.empty()) return finish(InputEnd::kEndOfFile);
      line.erase_under();
    } else if (byte < 32 || byte == 127) {
      control(byte);
    } else {
      std::string character(1, static_cast<char>(byte));
      for (int more = 3; more > 0 && character_length(character) == 0; --more)
        character += static_cast<char>(read_byte());
      line.insert(character);
    }
    return std::nullopt;
  }
};

Input LineEditor::read(const std::string& prompt, const std::string& hint) {
  Reading reading = {.prompt = prompt, .hint = hint, .entries = history_.entries(), .raw = *raw_};
  reading.entry = history_.entries().size();
  raw_->reading();
  reading.draw();
  for (;;) {
    if (auto input = reading.key(read_byte())) {
      raw_->answering();
      return *input;
    }
    if (!reading.pasting) reading.draw();
  }
}

}  // namespace cria::cli
