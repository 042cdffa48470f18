#include "cli/terminal/wrap.h"

#include "cli/terminal/width.h"

#include <fmt/format.h>

namespace cria::cli {

constexpr size_t kMargin = 5;

std::string Wrap::add(std::string_view piece) {
  if (columns_ <= 2 * kMargin) return std::string(piece);
  cut_ += piece;
  std::string out;
  std::string_view rest = cut_;
  while (const size_t length = character_length(rest)) {
    add_character(out, rest.substr(0, length));
    rest.remove_prefix(length);
  }
  cut_ = std::string(rest);
  return out;
}

void Wrap::add_character(std::string& out, std::string_view character) {
  const char first = character[0];
  const size_t width = display_width(character);
  if (first == '\n') {
    out += '\n';
    column_ = word_width_ = 0;
    word_.clear();
    return;
  }
  const bool over = column_ + width > columns_ - kMargin;
  if (first == ' ' || first == '\t') {
    word_.clear();
    word_width_ = 0;
    if (over) {
      out += '\n';
      column_ = 0;
      return;
    }
  } else {
    if (over && column_ > word_width_ && word_width_ + width <= columns_ - 2 * kMargin) {
      if (word_width_ > 0) out += fmt::format("\x1b[{}D\x1b[K", word_width_);
      out += '\n' + word_;
      column_ = word_width_;
    } else if (column_ + width > columns_) {
      column_ = 0;  // the terminal itself moves on
    }
    word_ += character;
    word_width_ += width;
    if (width > 1) {  // ideographs: a line may break after each
      word_.clear();
      word_width_ = 0;
    }
  }
  out += character;
  column_ += first == '\t' ? 8 - column_ % 8 : width;
}

}  // namespace cria::cli
