// regex.h - splitting by a regular expression, for the pre-tokenizers that have no form by hand.
//
// The only header that stands before PCRE2. Patterns are ours, never a file's.
#pragma once

#include "text/tokenizer/splitter.h"

#include <memory>

namespace cria::text {

class Regex {
 public:
  explicit Regex(std::string_view pattern);
  ~Regex();
  Regex(Regex&&) noexcept;
  // Splits every part of `text` (parts end at parts[i], the first begins at 0) into matches and
  // gaps. Bytes that are no UTF-8 match nothing. Safe from several threads.
  void split(std::string_view text, const Ends& parts, Ends& out) const;

 private:
  struct Code;
  std::unique_ptr<Code> code_;
};

}  // namespace cria::text
