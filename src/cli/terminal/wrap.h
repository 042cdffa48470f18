// wrap.h - word wrap of a text that arrives in pieces: a word that reaches the right edge moves to
// the next line. With `columns` 0 text passes through unchanged, so that files get no escape codes.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace cria::cli {

class Wrap {
 public:
  explicit Wrap(size_t columns) : columns_(columns) {}
  // What to write to the terminal for the next piece; a cut-off character waits for its rest.
  std::string add(std::string_view piece);

 private:
  void add_character(std::string& out, std::string_view character);
  size_t columns_;
  size_t column_ = 0;
  std::string word_;  // the word the cursor is in
  size_t word_width_ = 0;
  std::string cut_;
};

}  // namespace cria::cli
