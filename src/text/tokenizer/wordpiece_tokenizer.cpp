// wordpiece_tokenizer.cpp - WordPiece ("bert"), normalised as the reference's BertNormalizer does.
//
// In a GGUF the first piece of a word begins with U+2581 and the others have no mark (the reference
// writes "##" before the others).
#include "text/tokenizer/blocks.h"
#include "text/tokenizer/normalize.h"
#include "text/tokenizer/token_index.h"
#include "text/tokenizer/unicode.h"
#include "text/tokenizer/vocabulary.h"

namespace cria::text {
namespace {

// The reference gives up on longer words; it bounds the work as well.
constexpr size_t kMaxWordCharacters = 100;

bool is_ideograph(uint32_t c) {
  return (c >= 0x4E00 && c <= 0x9FFF) || (c >= 0x3400 && c <= 0x4DBF) ||
         (c >= 0x20000 && c <= 0x2A6DF) || (c >= 0x2A700 && c <= 0x2B73F) ||
         (c >= 0x2B740 && c <= 0x2B81F) || (c >= 0x2B820 && c <= 0x2CEAF) ||
         (c >= 0xF900 && c <= 0xFAFF) || (c >= 0x2F800 && c <= 0x2FA1F);
}
bool is_ascii_sign(uint32_t c) {
  return c > 32 && c < 127 && !(c >= '0' && c <= '9') && !((c | 32) >= 'a' && (c | 32) <= 'z');
}

VocabularySpec with_bos(VocabularySpec spec) {
  if (spec.cls >= 0) spec.bos = spec.cls;
  return spec;
}

class WordPieceTokenizer final : public CommonTokenizer {
 public:
  explicit WordPieceTokenizer(VocabularySpec spec)
      : CommonTokenizer(with_bos(std::move(spec)), {.bos = 101,
                                                    .unk = 100,
                                                    .sep = 102,
                                                    .pad = 0,
                                                    .mask = 103,
                                                    .add_bos = true,
                                                    .add_sep = true}),
        index_(vocabulary().spec.tokens.size()) {
    lowercase_ = vocabulary().spec.lowercase != 0;
    const int strip = vocabulary().spec.strip_accents;
    strip_accents_ = strip < 0 ? lowercase_ : strip != 0;
    for (TokenId id = 0; id < vocabulary().size(); ++id)
      if (vocabulary().is_ordinary(id)) index_.add(vocabulary().text(id), id);
  }

  std::string piece(TokenId id, bool special) const override {
    return is_hidden(id, special) ? "" : blocks_to_spaces(vocabulary().text(id));
  }

  std::string decode(std::span<const TokenId> ids, bool special) const override {
    std::string out = CommonTokenizer::decode(ids, special);
    if (out.starts_with(' ')) out.erase(0, 1);
    for (const auto& [spaced, joined] : {std::pair{" .", "."},
                                         {" ?", "?"},
                                         {" !", "!"},
                                         {" ,", ","},
                                         {" ' ", "'"},
                                         {" n't", "n't"},
                                         {" 'm", "'m"},
                                         {" 's", "'s"},
                                         {" 've", "'ve"},
                                         {" 're", "'re"}})
      out = replace_all(out, spaced, joined);
    return out;
  }

 protected:
  void encode_raw(std::string_view raw, bool, std::vector<TokenId>& out) const override {
    const UnicodeTable& table = UnicodeTable::get();
    Word word;
    std::vector<uint32_t> points;
    for (size_t at = 0; at < raw.size();) {
      const CodePoint c = decode_utf8(raw, at);
      at += c.length;
      const bool space = c.value != kInvalidCodePoint && (table[c.value] & kSpace) != 0;
      if (space) {
        flush(word, out);
        continue;
      }
      if (c.value == 0 || c.value == 0xFFFD || c.value == kInvalidCodePoint || is_control(c.value))
        continue;
      points.clear();
      normalise(c.value, points);
      for (const uint32_t p : points) {
        const bool alone =
            is_ideograph(c.value) || is_ascii_sign(p) || (table[p] & kPunctuation) != 0;
        if (alone) flush(word, out);
        append_utf8(word.text, p);
        ++word.characters;
        if (alone) flush(word, out);
      }
    }
    flush(word, out);
  }

 private:
  struct Word {
    std::string text{kBlock};
    size_t characters = 0;
  };

  void normalise(uint32_t c, std::vector<uint32_t>& points) const {
    if (strip_accents_) {
      append_decomposed(c, points);
      std::erase_if(points, is_nonspacing_mark);
    } else {
      points.push_back(c);
    }
    if (lowercase_)
      for (uint32_t& p : points) p = to_lower(p);
  }

  // The longest token that begins the rest of the word, again and again; one failure spoils the
  // word.
  void flush(Word& word, std::vector<TokenId>& out) const {
    if (word.characters == 0) return;
    const size_t before = out.size();
    std::string_view rest = word.text;
    while (!rest.empty() && word.characters <= kMaxWordCharacters) {
      size_t length = std::min(rest.size(), index_.longest());
      TokenId id = -1;
      for (; length > 0 && id < 0; --length) id = index_.find(rest.substr(0, length));
      if (id < 0) break;
      out.push_back(id);
      rest.remove_prefix(length + 1);
    }
    if (!rest.empty()) {
      out.resize(before);
      if (vocabulary().spec.unk >= 0) out.push_back(vocabulary().spec.unk);
    }
    word.text = kBlock;
    word.characters = 0;
  }

  TokenIndex index_;
  bool lowercase_ = true, strip_accents_ = true;
};

}  // namespace

std::unique_ptr<const Tokenizer> make_wordpiece_tokenizer(VocabularySpec spec) {
  return std::make_unique<WordPieceTokenizer>(std::move(spec));
}

}  // namespace cria::text
