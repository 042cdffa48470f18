#include "text/tokenizer/tokenizer.h"

#include "base/error.h"
#include "text/tokenizer/vocabulary.h"

namespace cria::text {

std::unique_ptr<const Tokenizer> make_tokenizer(VocabularySpec spec) {
  struct Kind {
    std::string_view model;
    std::unique_ptr<const Tokenizer> (*make)(VocabularySpec);
  };
  constexpr Kind kKinds[] = {
      {"gpt2", make_bpe_tokenizer},   {"gemma4", make_bpe_tokenizer},
      {"llama", make_spm_tokenizer},  {"bert", make_wordpiece_tokenizer},
      {"t5", make_unigram_tokenizer},
  };
  for (const Kind& kind : kKinds)
    if (spec.model == kind.model) return kind.make(std::move(spec));
  fail(ErrorKind::kUnsupported, "unknown tokenizer model \"{}\" (tokenizer.ggml.model)",
       spec.model);
}

}  // namespace cria::text
