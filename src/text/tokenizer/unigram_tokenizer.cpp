// unigram_tokenizer.cpp - SentencePiece Unigram ("t5", XLM-RoBERTa): the segmentation whose scores
// have the largest sum, found by dynamic programming over the bytes of the text.
#include "text/tokenizer/blocks.h"
#include "text/tokenizer/charsmap.h"
#include "text/tokenizer/trie.h"
#include "text/tokenizer/unicode.h"
#include "text/tokenizer/vocabulary.h"

#include <limits>

namespace cria::text {
namespace {

class UnigramTokenizer final : public CommonTokenizer {
 public:
  explicit UnigramTokenizer(VocabularySpec spec)
      : CommonTokenizer(std::move(spec),
                        {.eos = 1, .unk = 2, .pad = 0, .add_eos = true, .add_space_prefix = true}),
        charsmap_(vocabulary().spec.precompiled_charsmap),
        pieces_(ordinary_pieces(vocabulary())) {
    constexpr double kUnknownPenalty = 10.0;
    double lowest = 0.0;
    for (TokenId id = 0; id < vocabulary().size(); ++id)
      if (vocabulary().type(id) == TokenType::kNormal)
        lowest = std::min(lowest, static_cast<double>(vocabulary().score(id)));
    unknown_score_ = lowest - kUnknownPenalty;
  }

  std::string piece(TokenId id, bool special) const override {
    return is_hidden(id, special) ? "" : blocks_to_spaces(vocabulary().text(id));
  }

  std::string decode(std::span<const TokenId> ids, bool special) const override {
    std::string out = CommonTokenizer::decode(ids, special);
    if (vocabulary().add_space_prefix && out.starts_with(' ')) out.erase(0, 1);
    return out;
  }

 protected:
  void encode_raw(std::string_view raw, bool after_special,
                  std::vector<TokenId>& out) const override {
    const std::string text = normalise(raw, after_special);
    const std::vector<Step> steps = best_steps(text);
    std::vector<TokenId> reversed;
    for (size_t at = text.size(); at > 0; at = steps[at].from) {
      const TokenId id = steps[at].token;
      // A run of unknown characters is one unknown token.
      if (id < 0 && !reversed.empty() && reversed.back() < 0) continue;
      reversed.push_back(id);
    }
    for (auto id = reversed.rbegin(); id != reversed.rend(); ++id) {
      const TokenId token = *id < 0 ? vocabulary().spec.unk : *id;
      if (token >= 0) out.push_back(token);
    }
  }

 private:
  // The best way to reach a byte position.
  struct Step {
    double score = -std::numeric_limits<double>::infinity();
    uint32_t from = 0;
    TokenId token = -1;  // -1: one unknown character
  };

  static std::vector<Trie::Entry> ordinary_pieces(const Vocabulary& vocabulary) {
    std::vector<Trie::Entry> list;
    for (TokenId id = 0; id < vocabulary.size(); ++id)
      if (vocabulary.is_ordinary(id)) list.emplace_back(vocabulary.text(id), id);
    return list;
  }

  std::string normalise(std::string_view raw, bool after_special) const {
    std::string out;
    out.reserve(raw.size() + raw.size() / 4 + kBlock.size());
    if (vocabulary().add_space_prefix && after_special) out = kBlock;
    const size_t prefix = out.size();
    const bool squeeze = vocabulary().spec.remove_extra_whitespaces == 1;
    bool after_space = true;  // white space at the start goes
    const auto put = [&](std::string_view text) {
      for (const char c : text) {
        if (c != ' ')
          out.push_back(c);
        else if (!squeeze || !after_space)
          out += kBlock;
        after_space = c == ' ';
      }
    };
    for (size_t at = 0; at < raw.size();) {
      const Charsmap::Match match = charsmap_.longest(raw, at);
      const CodePoint c = decode_utf8(raw, at);
      if (match.length > 0)
        put(match.replacement);
      else
        put(c.value == kInvalidCodePoint ? "\xEF\xBF\xBD" : raw.substr(at, c.length));
      at += std::max<size_t>(match.length, match.length > 0 ? 0 : c.length);
    }
    if (squeeze && after_space && out.size() > prefix) out.resize(out.size() - kBlock.size());
    return out.size() == prefix ? std::string() : out;
  }

  std::vector<Step> best_steps(std::string_view text) const {
    std::vector<Step> steps(text.size() + 1);
    steps[0].score = 0.0;
    for (size_t at = 0; at < text.size(); ++at) {
      if (steps[at].score == -std::numeric_limits<double>::infinity()) continue;
      const auto offer = [&](size_t length, double score, TokenId token) {
        Step& step = steps[at + length];
        if (steps[at].score + score > step.score)
          step = {steps[at].score + score, static_cast<uint32_t>(at), token};
      };
      const size_t character = decode_utf8(text, at).length;
      bool single = false;  // one token covers exactly this character
      pieces_.for_each_prefix(text, at, [&](size_t length, TokenId id) {
        single = single || length == character;
        const bool free = vocabulary().type(id) == TokenType::kUserDefined;
        offer(length, free ? 0.0 : static_cast<double>(vocabulary().score(id)), id);
      });
      if (!single) offer(character, unknown_score_, -1);
    }
    return steps;
  }

  Charsmap charsmap_;
  Trie pieces_;
  double unknown_score_;
};

}  // namespace

std::unique_ptr<const Tokenizer> make_unigram_tokenizer(VocabularySpec spec) {
  return std::make_unique<UnigramTokenizer>(std::move(spec));
}

}  // namespace cria::text
