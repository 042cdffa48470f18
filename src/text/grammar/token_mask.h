// token_mask.h - which tokens of a vocabulary may come next.
//
// The tokens' bytes stand in a trie, built once per vocabulary; a mask is a walk of it that turns
// back where no text goes on. Masks are kept by state. Where a state is a group (a string, say)
// with something behind it, the tokens that stay in the group are the same whatever is behind: they
// are found once, and only those that reach beyond its end are looked at anew.
#pragma once

#include "text/grammar/grammar.h"
#include "text/grammar/plain_tokens.h"
#include "text/tokenizer/tokenizer.h"

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

namespace cria::grammar {

using text::TokenId;

class TokenTrie {
 public:
  // Longer tokens are never allowed: their text can be written with shorter ones.
  static constexpr int32_t kMostBytes = 64;
  struct Node {
    uint32_t end = 0;                // the node behind this one's last descendant
    uint32_t first = 0, tokens = 0;  // in ids(): those whose bytes end here
    uint8_t byte = 0;
    uint8_t depth = 0;  // bytes up to here; 0 for the root, which is node 0
  };

  // Tokens without text and those that end an answer are left out.
  explicit TokenTrie(const text::Tokenizer& tokenizer);
  // A vocabulary of `size` tokens that only has these.
  TokenTrie(std::span<const std::pair<std::string, TokenId>> pieces, int64_t size);
  std::span<const Node> nodes() const { return nodes_; }
  std::span<const TokenId> ids() const { return ids_; }
  std::span<const TokenId> ends() const { return ends_; }  // tokens that end an answer
  int64_t size() const { return size_; }
  const PlainTokens& plain() const { return *plain_; }

 private:
  void build(std::vector<std::pair<std::string, TokenId>> pieces);
  std::vector<Node> nodes_;
  std::vector<TokenId> ids_, ends_;
  int64_t size_;
  std::optional<PlainTokens> plain_;  // last: it is made of the rest
};

// A bit per token.
class Mask {
 public:
  explicit Mask(int64_t size) : words_(static_cast<size_t>(size + 63) / 64, 0) {}
  void set(TokenId id) { words_[static_cast<size_t>(id) / 64] |= uint64_t{1} << (id % 64); }
  bool operator[](TokenId id) const {
    return (words_[static_cast<size_t>(id) / 64] >> (id % 64)) & 1;
  }
  Mask& operator|=(const Mask& other);
  bool any() const;
  // Sets the logits of all tokens that are not in the mask to -infinity.
  void apply(std::span<float> logits) const;

 private:
  std::vector<uint64_t> words_;
};

// Grammar and trie outlive it.
class TokenMasks {
 public:
  TokenMasks(Grammar& grammar, const TokenTrie& trie) : grammar_(grammar), trie_(trie) {}
  // Tokens whose bytes some text goes on with. Valid until the next call.
  const Mask& allowed(Expr state);

 private:
  struct Inside {
    Mask mask;                    // tokens that a group allows by itself
    std::vector<uint32_t> exits;  // nodes of the trie where it may end
  };

  void add(Expr state, Mask& to);
  const Inside& inside(Expr group);
  // The tokens below `node` for a text that is in `state` there. `exits`: where to note ends.
  void walk(uint32_t node, Expr state, Mask& to, std::vector<uint32_t>* exits);
  // The same from the root, where `state` takes all plain characters alike; false where it does
  // not, or may end among them: nothing is done then.
  bool walk_plain(Expr state, Mask& to, std::vector<uint32_t>* exits);
  // What follows any plain character; nothing where that depends on the character.
  std::optional<Expr> after_plain(Expr state);
  std::optional<Expr> after_plain(Expr state, Utf8Scan scan);

  Grammar& grammar_;
  const TokenTrie& trie_;
  std::unordered_map<Expr, Mask> masks_;
  std::unordered_map<Expr, Inside> insides_;
  std::unordered_map<Expr, std::optional<Expr>> after_plain_;
  std::vector<Expr> states_;  // of walk, by depth
};

}  // namespace cria::grammar
