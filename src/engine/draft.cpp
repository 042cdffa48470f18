#include "engine/draft.h"

#include <algorithm>
#include <bit>
#include <cstdlib>
#include <utility>

namespace cria::engine {
namespace {

constexpr int64_t kLongest = 32;  // matches are not told apart beyond this length
constexpr int64_t kShortest = 2;  // one equal token says nothing
constexpr int kCandidates = 8;    // places that a look-up compares
constexpr double kMemory = 12;    // guesses that a rate remembers
constexpr size_t kLeastSlots = 256;

// Lower bounds of the lengths that share a rate, and what is assumed before any guess was judged.
constexpr std::array<int64_t, 8> kLengths = {2, 3, 4, 6, 8, 12, 16, 24};
constexpr std::array<double, 8> kRates = {0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9};

size_t rate_of(int64_t length) {
  const auto above = std::ranges::upper_bound(kLengths, length);
  return static_cast<size_t>(std::max<std::ptrdiff_t>(above - kLengths.begin() - 1, 0));
}

}  // namespace

Drafter::Drafter(std::span<const TokenId> prompt)
    : indexes_{Index{.order = 4, .heads = {}, .before = {}},
               Index{.order = 2, .heads = {}, .before = {}}},
      rates_(kRates) {
  const size_t kept = std::min(prompt.size(), kMostTokens / 2);
  tokens_.assign(prompt.end() - static_cast<std::ptrdiff_t>(kept), prompt.end());
  rebuild();
  for (const Index& index : indexes_) look_up(index, match_);
}

void Drafter::append(TokenId token) {
  if (match_.length > 0) {
    const bool right = tokens_[static_cast<size_t>(match_.next)] == token;
    double& rate = rates_[rate_of(match_.length)];
    rate += ((right ? 1.0 : 0.0) - rate) / kMemory;
    expected_ = match_.next + 1;
    match_ = right ? Match{match_.next + 1, std::min(match_.length + 1, kLongest)} : Match{};
  } else {
    ++expected_;
  }
  add(token);
  if (match_.length == kLongest) return;
  for (const Index& index : indexes_)
    if (match_.length < static_cast<int64_t>(index.order)) look_up(index, match_);
}

void Drafter::guess(int64_t most, std::vector<Guess>& out) const {
  out.clear();
  if (match_.length == 0) return;
  // A match that reaches the end of the text goes round: the text repeats itself.
  const int64_t period = std::ssize(tokens_) - match_.next;
  double probability = 1;
  for (int64_t i = 0; i < most; ++i) {
    probability *= rates_[rate_of(match_.length + i)];
    out.push_back({tokens_[static_cast<size_t>(match_.next + i % period)], probability});
  }
}

void Drafter::add(TokenId token) {
  tokens_.push_back(token);
  if (tokens_.size() >= kMostTokens) {
    const size_t dropped = tokens_.size() / 2;
    tokens_.erase(tokens_.begin(), tokens_.begin() + static_cast<std::ptrdiff_t>(dropped));
    match_ = {};
    return rebuild();
  }
  if (tokens_.size() > indexes_[0].heads.size()) return rebuild();
  for (Index& index : indexes_) index_last(index);
}

void Drafter::rebuild() {
  const std::vector<TokenId> all = std::move(tokens_);
  tokens_.clear();
  for (Index& index : indexes_) {
    index.heads.assign(std::bit_ceil(std::max(kLeastSlots, 2 * all.size())), -1);
    index.before.clear();
  }
  for (const TokenId token : all) {
    tokens_.push_back(token);
    for (Index& index : indexes_) index_last(index);
  }
}

size_t Drafter::slot(const Index& index, size_t end) const {
  uint64_t hash = 0;
  for (size_t i = 0; i < index.order; ++i)
    hash = (hash ^ static_cast<uint32_t>(tokens_[end - i])) * 0x9E3779B97F4A7C15u;
  return static_cast<size_t>(hash >> 32) & (index.heads.size() - 1);
}

void Drafter::index_last(Index& index) {
  const size_t last = tokens_.size() - 1;
  if (tokens_.size() < index.order) return index.before.push_back(-1);
  int32_t& head = index.heads[slot(index, last)];
  index.before.push_back(std::exchange(head, static_cast<int32_t>(last)));
}

// How many tokens that end at `end` are the text's last ones.
int64_t Drafter::common(size_t end) const {
  const size_t last = tokens_.size() - 1, most = std::min<size_t>(end + 1, kLongest);
  size_t length = 0;
  while (length < most && tokens_[end - length] == tokens_[last - length]) ++length;
  return static_cast<int64_t>(length);
}

// The longest match wins; of equal ones that near the place which the text was following, else the
// latest.
void Drafter::look_up(const Index& index, Match& best) const {
  if (tokens_.size() < index.order) return;
  int32_t end = index.before.back();
  for (int i = 0; i < kCandidates && end >= 0; ++i) {
    const int64_t length = common(static_cast<size_t>(end)), next = end + 1;
    if (length >= kShortest &&
        (length > best.length || (length == best.length && nearer(next, best.next))))
      best = {next, length};
    end = index.before[static_cast<size_t>(end)];
  }
}

bool Drafter::nearer(int64_t next, int64_t than) const {
  constexpr int64_t kNear = 32;
  return std::abs(next - expected_) <= kNear && std::abs(than - expected_) > kNear;
}

}  // namespace cria::engine
