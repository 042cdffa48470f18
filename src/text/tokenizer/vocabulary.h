// vocabulary.h - a VocabularySpec after its checks: what every tokenizer kind shares.
//
// All ids are -1 or in range, every token has a type and a score, and the end-of-generation set and
// the spellings to look for in a text are known.
#pragma once

#include "text/tokenizer/tokenizer.h"
#include "text/tokenizer/trie.h"

namespace cria::text {

// What a kind of vocabulary assumes when the file says nothing (spec section 1.1).
struct VocabularyDefaults {
  TokenId bos = -1, eos = -1, unk = -1, sep = -1, pad = -1, mask = -1;
  bool add_bos = false, add_eos = false, add_sep = false, add_space_prefix = false;
};

class Vocabulary {
 public:
  // Throws Error{kInvalidInput} for no tokens, or arrays whose lengths do not fit.
  Vocabulary(VocabularySpec spec, const VocabularyDefaults& defaults);

  TokenId size() const { return static_cast<TokenId>(spec.tokens.size()); }
  bool contains(TokenId id) const { return id >= 0 && id < size(); }
  const std::string& text(TokenId id) const { return spec.tokens[static_cast<size_t>(id)]; }
  TokenType type(TokenId id) const { return types_[static_cast<size_t>(id)]; }
  float score(TokenId id) const {
    return spec.scores.empty() ? 0.0f : spec.scores[static_cast<size_t>(id)];
  }
  bool is_end(TokenId id) const { return contains(id) && ends_[static_cast<size_t>(id)]; }
  // Ordinary text may become such a token by the vocabulary's algorithm.
  bool is_ordinary(TokenId id) const {
    return type(id) == TokenType::kNormal || type(id) == TokenType::kUserDefined;
  }
  // Ids of the <0xHH> tokens; -1 where the vocabulary has none.
  std::vector<TokenId> byte_tokens() const;

  VocabularySpec spec;  // scores finite, ids valid
  bool add_bos, add_eos, add_sep, add_space_prefix;

 private:
  void check_arrays();
  void check_ids(const VocabularyDefaults& defaults);
  void find_ends();

  std::vector<TokenType> types_;
  std::vector<bool> ends_;
};

// The byte that "<0xHH>" names, or -1.
int byte_of(std::string_view text);

// A run of raw text, or one token that was spelt out in it.
struct Fragment {
  std::string_view raw;
  TokenId token = -1;
};

// Finds the spellings of control, user-defined and unknown tokens in a text: the leftmost first,
// the longest of those that begin at the same place.
class SpecialTokens {
 public:
  explicit SpecialTokens(const Vocabulary& vocabulary);  // which must outlive it
  // Control and unknown tokens count only when `parse_special`; user-defined ones always do.
  std::vector<Fragment> partition(std::string_view text, bool parse_special) const;

 private:
  const Vocabulary& vocabulary_;
  Trie spellings_;
};

// The fixed part of every tokenizer: partition, the special tokens around the text, simple getters.
// A kind implements encode_raw and piece.
class CommonTokenizer : public Tokenizer {
 public:
  CommonTokenizer(VocabularySpec spec, const VocabularyDefaults& defaults)
      : vocabulary_(std::move(spec), defaults), specials_(vocabulary_) {}
  std::vector<TokenId> encode(std::string_view text, EncodeOptions options) const override;
  std::string decode(std::span<const TokenId> ids, bool special) const override;
  int64_t size() const override { return vocabulary_.size(); }
  bool is_end(TokenId id) const override { return vocabulary_.is_end(id); }
  TokenId bos() const override { return vocabulary_.spec.bos; }
  TokenId eos() const override { return vocabulary_.spec.eos; }
  bool adds_bos() const override { return vocabulary_.add_bos && bos() >= 0; }

 protected:
  // `after_special`: at the start of the text or right after a spelt-out token.
  virtual void encode_raw(std::string_view raw, bool after_special,
                          std::vector<TokenId>& out) const = 0;
  const Vocabulary& vocabulary() const { return vocabulary_; }
  // Adds nothing to the output: out of range, or control and not asked for.
  bool is_hidden(TokenId id, bool special) const;

 private:
  bool trims_after(TokenId id) const;

  Vocabulary vocabulary_;
  SpecialTokens specials_;
};

// One factory per kind; make_tokenizer chooses.
std::unique_ptr<const Tokenizer> make_bpe_tokenizer(VocabularySpec spec);
std::unique_ptr<const Tokenizer> make_spm_tokenizer(VocabularySpec spec);
std::unique_ptr<const Tokenizer> make_wordpiece_tokenizer(VocabularySpec spec);
std::unique_ptr<const Tokenizer> make_unigram_tokenizer(VocabularySpec spec);

}  // namespace cria::text
