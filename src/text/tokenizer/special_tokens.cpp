#include "text/tokenizer/vocabulary.h"

namespace cria::text {
namespace {

std::vector<Trie::Entry> spellings(const Vocabulary& vocabulary) {
  std::vector<Trie::Entry> list;
  for (TokenId id = 0; id < vocabulary.size(); ++id) {
    const TokenType type = vocabulary.type(id);
    if (type == TokenType::kUserDefined || type == TokenType::kControl ||
        type == TokenType::kUnknown)
      list.emplace_back(vocabulary.text(id), id);
  }
  return list;
}

// Gemma's files call "</s>" user-defined. Text that is not to spell control tokens must not spell
// this one either; in the model's output it stays visible, since there it closes an HTML element.
bool spelt_always(const Vocabulary& vocabulary, TokenId id) {
  return vocabulary.type(id) == TokenType::kUserDefined && vocabulary.text(id) != "</s>";
}

}  // namespace

SpecialTokens::SpecialTokens(const Vocabulary& vocabulary)
    : vocabulary_(vocabulary), spellings_(spellings(vocabulary)) {}

std::vector<Fragment> SpecialTokens::partition(std::string_view text, bool parse_special) const {
  std::vector<Fragment> out;
  size_t raw = 0;
  for (size_t at = 0; at < text.size();) {
    size_t length = 0;
    TokenId token = -1;
    spellings_.for_each_prefix(text, at, [&](size_t size, TokenId id) {
      if (!parse_special && !spelt_always(vocabulary_, id)) return;
      length = size;
      token = id;
    });
    if (token < 0) {
      ++at;
      continue;
    }
    if (raw < at) out.push_back({text.substr(raw, at - raw), -1});
    out.push_back({{}, token});
    raw = at += length;
  }
  if (raw < text.size()) out.push_back({text.substr(raw), -1});
  return out;
}

}  // namespace cria::text
