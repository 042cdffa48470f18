#include "engine/sequence.h"

#include "base/error.h"

#include <algorithm>
#include <utility>

namespace cria::engine {

using ml::kPageTokens;

OutOfPages::OutOfPages(int64_t pages)
    : Error(ErrorKind::kOutOfMemory,
            fmt::format("all {} pages of the KV cache are in use", pages)) {}

KvMemory::KvMemory(std::unique_ptr<ml::KvStore> store, int64_t most_cached)
    : store_(std::move(store)), pool_(store_->pages()), cache_(pool_), most_cached_(most_cached) {}

std::optional<int32_t> KvMemory::try_take() {
  if (pool_.next_is_untouched() && cache_.size() >= most_cached_) cache_.evict();
  std::optional<int32_t> page = pool_.take();
  while (!page && cache_.evict()) page = pool_.take();
  return page;
}

int32_t KvMemory::take() {
  const std::optional<int32_t> page = try_take();
  if (!page) throw OutOfPages(pool_.size());
  return *page;
}

Sequence::Sequence(KvMemory& memory, std::vector<TokenId> prompt)
    : memory_(memory), tokens_(std::move(prompt)) {
  CRIA_CHECK(!tokens_.empty(), "a sequence has a first token");
  find_prefix();
  reused_ = stored_;
}

void Sequence::find_prefix() {
  PrefixMatch match = memory_.cache().match(tokens().first(tokens_.size() - 1));
  pages_ = std::move(match.pages);
  stored_ = static_cast<int64_t>(pages_.size()) * kPageTokens;
  if (match.partial) {
    // Without a page to copy into, those few tokens are computed again.
    if (const std::optional<int32_t> copy = memory_.try_take()) {
      memory_.store().copy_page(*match.partial, *copy);
      pages_.push_back(*copy);
      stored_ += match.partial_tokens;
    }
    memory_.pool().release(*match.partial);
  }
}

Sequence::~Sequence() {
  for (const int32_t page : pages_) memory_.pool().release(page);
}

void Sequence::append(TokenId token) {
  CRIA_CHECK(!repeats(), "a new token comes behind all others");
  tokens_.push_back(token);
  if (!shifted()) return;
  all_.push_back(token);
  ++next_;
}

void Sequence::pause() {
  publish(true);
  for (const int32_t page : std::exchange(pages_, {})) memory_.pool().release(page);
  stored_ = 0;
  if (!shifted()) return;
  shifts_ = 0;
  next_ = first_shift_;
  tokens_.assign(all_.begin(), all_.begin() + static_cast<std::ptrdiff_t>(next_));
  pure_ = INT64_MAX;
}

void Sequence::resume() {
  CRIA_CHECK(pages_.empty() && stored_ == 0, "it was paused");
  find_prefix();
}

void Sequence::reserve(int64_t rows) {
  const int64_t pages = (stored_ + rows + kPageTokens - 1) / kPageTokens;
  while (std::ssize(pages_) < pages) pages_.push_back(memory_.take());
}

void Sequence::advance(int64_t rows) {
  CRIA_CHECK(rows <= pending(), "only tokens that there are get stored");
  stored_ += rows;
}

void Sequence::make_exclusive(size_t first_page) {
  const std::span<int32_t> changing = std::span(pages_).subspan(first_page);
  memory_.cache().forget(changing);
  for (int32_t& page : changing) {
    if (memory_.pool().holders(page) == 1) continue;
    const int32_t copy = memory_.take();
    memory_.store().copy_page(page, copy);
    memory_.pool().release(std::exchange(page, copy));
  }
}

bool Sequence::shift(int64_t keep, int64_t discard) {
  CRIA_CHECK(keep >= 0 && discard > 0 && keep + discard <= stored_ && pending() == 1,
             "a shift drops stored tokens");
  make_exclusive(static_cast<size_t>(keep / kPageTokens));
  if (!shifted()) {
    all_ = tokens_;
    next_ = first_shift_ = all_.size();
  }
  const int64_t from = keep + discard, count = stored_ - from;
  if (count > 0) memory_.store().shift(pages_, from, keep, count);
  tokens_.erase(tokens_.begin() + keep, tokens_.begin() + from);
  stored_ -= discard;
  pure_ = std::min(pure_, keep);
  const size_t more = std::min(static_cast<size_t>(discard), all_.size() - next_);
  const auto from_all = all_.begin() + static_cast<std::ptrdiff_t>(next_);
  tokens_.insert(tokens_.end(), from_all, from_all + static_cast<std::ptrdiff_t>(more));
  next_ += more;
  if (++shifts_ <= most_shifts_) return false;
  most_shifts_ = shifts_;
  return true;
}

void Sequence::publish(bool finished) {
  int64_t count = std::min(stored_, pure_);
  if (!finished || pure_ != INT64_MAX) count -= count % kPageTokens;
  const auto pages = static_cast<size_t>((count + kPageTokens - 1) / kPageTokens);
  memory_.cache().insert(tokens().first(static_cast<size_t>(count)),
                         std::span(pages_).first(pages));
}

}  // namespace cria::engine
