// pretokenizer.h - cutting text into the parts within which BPE merges, by tokenizer.ggml.pre.
#pragma once

#include "text/tokenizer/splitter.h"

#include <functional>

namespace cria::text {

// What the name of a pre-tokenizer says beyond how it splits.
struct PreTokenizerFlags {
  bool ignore_merges = false;  // a part that is a token stays whole, whatever the merges say
  bool add_bos = false;
  bool add_sep = false;
  bool clear_bos = false;
  bool nfc = false;  // the text is brought into NFC first
  bool raw = false;  // UTF-8 with U+2581 for spaces in place of the byte alphabet
};

class PreTokenizer {
 public:
  using Stage = std::function<void(std::string_view text, const Ends& parts, Ends& out)>;

  // Throws Error{kUnsupported} for an unknown name. Empty means "default".
  explicit PreTokenizer(std::string_view name);

  const PreTokenizerFlags& flags() const { return flags_; }
  // Ends of the parts of `text`, which they cover. `spare` is working space.
  void split(std::string_view text, Ends& ends, Ends& spare) const;

 private:
  std::vector<Stage> stages_;
  PreTokenizerFlags flags_;
};

}  // namespace cria::text
