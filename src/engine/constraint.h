// constraint.h - the format of one answer while it is generated, and the formats of a runner.
#pragma once

#include "base/json.h"
#include "text/grammar/grammar.h"
#include "text/grammar/token_mask.h"

#include <atomic>
#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace cria::engine {

// A compiled format with the masks that were needed so far. Whoever samples is the only one that
// uses these; others only ask whether it is worn.
struct Format {
  Format(grammar::Grammar compiled, std::shared_ptr<const grammar::TokenTrie> vocabulary)
      : grammar(std::move(compiled)), trie(std::move(vocabulary)), masks(grammar, *trie) {}
  Format(const Format&) = delete;
  Format& operator=(const Format&) = delete;

  grammar::Grammar grammar;
  std::shared_ptr<const grammar::TokenTrie> trie;
  grammar::TokenMasks masks;
  std::atomic<bool> worn = false;  // better compiled anew for another answer
};

class Constraint {
 public:
  explicit Constraint(std::shared_ptr<Format> format);
  // Sets the logits of all tokens that may not come next to -infinity; those that end the answer
  // stay where it may end. Throws Error{kUnsupported} when no token is left: the vocabulary cannot
  // spell what the format asks for.
  void apply(std::span<float> logits);
  // A token was chosen; `piece` are its bytes.
  void accept(std::string_view piece);
  // Nothing can follow.
  bool complete();

 private:
  std::shared_ptr<Format> format_;
  grammar::Expr state_;
};

// The formats used last, compiled. Safe to use from several threads.
class Formats {
 public:
  explicit Formats(const text::Tokenizer& tokenizer) : tokenizer_(tokenizer) {}
  // None for null and "". Throws Error for a format that is wrong or not supported.
  std::optional<Constraint> constraint(const Json& format,
                                       const std::optional<grammar::ThinkingMarks>& thinking);

 private:
  struct Entry {
    std::string key;
    std::shared_ptr<Format> format;
  };
  std::shared_ptr<Format> known(const std::string& key);
  std::shared_ptr<const grammar::TokenTrie> trie();

  const text::Tokenizer& tokenizer_;
  std::once_flag made_trie_;
  std::shared_ptr<const grammar::TokenTrie> trie_;  // made for the first format
  std::mutex mutex_;
  std::list<Entry> entries_;  // the one used last first
};

}  // namespace cria::engine
