// sequence.h - the tokens of one request and the pages that hold their keys and values.
#pragma once

#include "base/error.h"
#include "engine/pages.h"
#include "engine/prefix_cache.h"
#include "ml/backend.h"

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

namespace cria::engine {

// All pages are held by sequences that run.
class OutOfPages : public Error {
 public:
  explicit OutOfPages(int64_t pages);
};

// The KV memory of a runner: its pages, who holds them, and the prefixes that can be found again.
class KvMemory {
 public:
  // The prefix cache does not grow beyond `most_cached` pages where that would take memory that was
  // never used so far.
  explicit KvMemory(std::unique_ptr<ml::KvStore> store, int64_t most_cached = INT64_MAX);
  // A page for writing, if need be by forgetting the oldest prefix.
  std::optional<int32_t> try_take();
  int32_t take();  // throws OutOfPages when running sequences hold everything
  // Pages that could be taken now.
  int64_t available() const { return pool_.free() + cache_.evictable(); }
  ml::KvStore& store() { return *store_; }
  PagePool& pool() { return pool_; }
  PrefixCache& cache() { return cache_; }

 private:
  std::unique_ptr<ml::KvStore> store_;
  PagePool pool_;
  PrefixCache cache_;
  int64_t most_cached_;
};

// Tokens [0, stored) have keys and values in the pages; the rest waits for a step.
class Sequence {
 public:
  // Begins with what the prefix cache knows of `prompt`, but leaves its last token to compute:
  // somebody wants logits. `memory` outlives the sequence.
  Sequence(KvMemory& memory, std::vector<TokenId> prompt);
  ~Sequence();  // gives the pages back
  Sequence(const Sequence&) = delete;
  Sequence& operator=(const Sequence&) = delete;

  std::span<const TokenId> tokens() const { return tokens_; }
  int64_t size() const { return static_cast<int64_t>(tokens_.size()); }
  int64_t stored() const { return stored_; }
  int64_t pending() const { return size() - stored_; }
  int64_t reused() const { return reused_; }  // tokens that came from the prefix cache
  std::span<const int32_t> pages() const { return pages_; }

  void append(TokenId token);
  // Gets the pages for `rows` more positions. Throws OutOfPages.
  void reserve(int64_t rows);
  // A step has written `rows` more positions.
  void advance(int64_t rows);
  // Drops the tokens [keep, keep + discard) and moves those behind them down. All but the last
  // token must be stored. Keeps its pages: it is about to fill them again. Throws OutOfPages. All
  // shifts of a sequence are alike, and happen at the same size. False for one that is done again
  // after a pause.
  bool shift(int64_t keep, int64_t discard);
  // Lets others find what is stored: whole pages, and the part-full last one when `finished`. After
  // a shift only the untouched beginning still is what its tokens say.
  void publish(bool finished);
  // Gives all pages back. After resume() what the prefix cache has lost meanwhile waits for a step.
  // After a shift keys and values are no longer what a prompt of the tokens would give: then all
  // tokens that there ever were are computed again, and shifted where they were before. For that it
  // is as it was before its first shift, and each shift() brings the tokens that came next.
  void pause();
  void resume();
  bool shifted() const { return !all_.empty(); }
  // Whether tokens that were appended once are still to come.
  bool repeats() const { return next_ < all_.size(); }
  // How many tokens a pause may have computed again.
  int64_t cost() const { return shifted() ? std::ssize(all_) : size(); }

 private:
  void find_prefix();
  void make_exclusive(size_t first_page);

  KvMemory& memory_;
  std::vector<TokenId> tokens_;
  std::vector<int32_t> pages_;
  int64_t stored_ = 0, reused_ = 0;
  int64_t pure_ = INT64_MAX;  // positions below it were computed from all tokens before them
  // From the first shift on: all tokens that were ever appended, those of them that are in tokens_
  // or have left it, and how many there were at the first shift.
  std::vector<TokenId> all_;
  size_t next_ = 0, first_shift_ = 0;
  int64_t shifts_ = 0, most_shifts_ = 0;  // since the last pause, and that there ever were
};

}  // namespace cria::engine
