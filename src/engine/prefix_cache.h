// prefix_cache.h - pages of finished and running sequences, found again by their tokens.
//
// A radix tree whose edges are the tokens of one page: a path from the root spells a prefix. Full
// pages are shared as they are. The last page of a sequence may be part full; such a page is a
// leaf, and whoever matches a part of any page copies it before writing on.
//
// Invariant: a sequence that holds the page of a node holds the pages of all nodes above it. So
// when no page is free, some leaf is held by the tree alone, or the sequences hold everything.
#pragma once

#include "engine/pages.h"
#include "ml/backend.h"
#include "text/tokenizer/tokenizer.h"

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <vector>

namespace cria::engine {

using text::TokenId;

struct PrefixMatch {
  std::vector<int32_t> pages;      // whole pages, held once more for the caller
  std::optional<int32_t> partial;  // a page whose first `partial_tokens` fit too, likewise held
  int64_t partial_tokens = 0;
};

class PrefixCache {
 public:
  explicit PrefixCache(PagePool& pool);  // the pool outlives the cache
  ~PrefixCache();
  PrefixCache(const PrefixCache&) = delete;
  PrefixCache& operator=(const PrefixCache&) = delete;

  PrefixMatch match(std::span<const TokenId> tokens);
  // Makes the pages of `tokens` findable; a part-full last page too. Where the tree has a page of
  // the same tokens already, the sequence's own is given back and replaced by it in `pages`.
  void insert(std::span<const TokenId> tokens, std::span<int32_t> pages);
  // Drops the least recently used page that no sequence holds; false when there is none.
  bool evict();
  // Drops the nodes of these pages and everything below them: their content is about to change.
  void forget(std::span<const int32_t> pages);
  // Every page, behind the one that it follows (-1: none), with its tokens.
  using Visit = std::function<void(int32_t page, int32_t before, std::span<const TokenId> tokens)>;
  void visit(const Visit& see) const;
  int64_t size() const { return static_cast<int64_t>(by_page_.size()); }
  int64_t evictable() const;  // pages that no sequence holds; looks at all

 private:
  struct Node;
  using Children = std::map<std::vector<TokenId>, std::unique_ptr<Node>>;
  struct Node {
    Node* parent = nullptr;
    Children::iterator place;  // in the parent's children
    int32_t page = -1;
    uint64_t used = 0;
    Children children;  // by the tokens of the child's page
  };

  void touch(Node& node);
  Node& add(Node& parent, std::vector<TokenId> tokens, int32_t page);
  void remove(Node& node);  // with everything below it

  PagePool& pool_;
  Node root_;
  uint64_t clock_ = 0;
  std::map<int32_t, Node*> by_page_;
  std::map<uint64_t, Node*> by_use_;
};

}  // namespace cria::engine
