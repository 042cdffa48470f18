#include "text/grammar/token_mask.h"

#include <algorithm>
#include <array>
#include <limits>
#include <utility>

namespace cria::grammar {

namespace {

constexpr size_t kMostMasks = 512;

size_t common_bytes(std::string_view a, std::string_view b) {
  return static_cast<size_t>(std::ranges::mismatch(a, b).in1 - a.begin());
}

}  // namespace

TokenTrie::TokenTrie(const text::Tokenizer& tokenizer) : size_(tokenizer.size()) {
  std::vector<std::pair<std::string, TokenId>> pieces;
  for (TokenId id = 0; id < size_; ++id)
    if (tokenizer.is_end(id))
      ends_.push_back(id);
    else
      pieces.emplace_back(tokenizer.piece(id), id);
  build(std::move(pieces));
}

TokenTrie::TokenTrie(std::span<const std::pair<std::string, TokenId>> pieces, int64_t size)
    : size_(size) {
  build({pieces.begin(), pieces.end()});
}

void TokenTrie::build(std::vector<std::pair<std::string, TokenId>> pieces) {
  std::erase_if(pieces, [](const auto& piece) {
    return piece.first.empty() || piece.first.size() > static_cast<size_t>(kMostBytes);
  });
  std::ranges::sort(pieces);
  nodes_.push_back({});
  std::vector<uint32_t> path{0};  // the nodes of the last piece
  const auto close = [&](size_t depth) {
    while (path.size() > depth + 1) {
      nodes_[path.back()].end = static_cast<uint32_t>(nodes_.size());
      path.pop_back();
    }
  };
  std::string_view last;
  for (const auto& [bytes, id] : pieces) {
    close(common_bytes(last, bytes));
    for (size_t i = path.size() - 1; i < bytes.size(); ++i) {
      path.push_back(static_cast<uint32_t>(nodes_.size()));
      nodes_.push_back({.first = static_cast<uint32_t>(ids_.size()),
                        .byte = static_cast<uint8_t>(bytes[i]),
                        .depth = static_cast<uint8_t>(i + 1)});
    }
    ++nodes_[path.back()].tokens;
    ids_.push_back(id);
    last = bytes;
  }
  close(0);
  nodes_.front().end = static_cast<uint32_t>(nodes_.size());
  plain_.emplace(*this);
}

Mask& Mask::operator|=(const Mask& other) {
  for (size_t i = 0; i < words_.size(); ++i) words_[i] |= other.words_[i];
  return *this;
}

bool Mask::any() const {
  return std::ranges::any_of(words_, [](uint64_t word) { return word != 0; });
}

void Mask::apply(std::span<float> logits) const {
  for (size_t begin = 0; begin < logits.size(); begin += 64) {
    const uint64_t word = begin / 64 < words_.size() ? words_[begin / 64] : 0;
    if (word == ~uint64_t{0}) continue;
    const size_t count = std::min<size_t>(64, logits.size() - begin);
    for (size_t i = 0; i < count; ++i)
      if (((word >> i) & 1) == 0) logits[begin + i] = -std::numeric_limits<float>::infinity();
  }
}

const Mask& TokenMasks::allowed(Expr state) {
  state = grammar_.shortened(state, TokenTrie::kMostBytes);
  if (const auto known = masks_.find(state); known != masks_.end()) return known->second;
  if (masks_.size() >= kMostMasks) masks_.clear();
  Mask mask(trie_.size());
  add(state, mask);
  return masks_.emplace(state, std::move(mask)).first->second;
}

void TokenMasks::add(Expr state, Mask& to) {
  const Expressions& expressions = grammar_.expressions();
  const Node node = expressions[state];
  if (node.kind == Kind::kChoice) {
    const auto all = expressions.alternatives(state);
    const std::vector<Expr> parts(all.begin(), all.end());
    // Many ways at once are cheaper to follow together.
    constexpr size_t kFew = 8;
    if (parts.size() <= kFew) {
      for (const Expr part : parts) add(part, to);
      return;
    }
  } else if (node.kind == Kind::kSequence && expressions[node.a].kind == Kind::kGroup) {
    const Inside& first = inside(node.a);
    to |= first.mask;
    for (const uint32_t exit : first.exits) walk(exit, node.b, to, nullptr);
    return;
  }
  walk(0, state, to, nullptr);
}

const TokenMasks::Inside& TokenMasks::inside(Expr group) {
  if (const auto known = insides_.find(group); known != insides_.end()) return known->second;
  if (insides_.size() >= kMostMasks) insides_.clear();
  Inside out{.mask = Mask(trie_.size()), .exits = {}};
  if (grammar_.may_end(group)) out.exits.push_back(0);
  walk(0, group, out.mask, &out.exits);
  return insides_.emplace(group, std::move(out)).first->second;
}

std::optional<Expr> TokenMasks::after_plain(Expr state, Utf8Scan scan) {
  if (state == kNothing) return kNothing;
  std::optional<Expr> all;
  Expr last = kNothing;  // many bytes in a row lead to the same begun character
  auto last_scan = Utf8Scan::kOther;
  for (int byte = 0; byte < 256; ++byte) {
    const Utf8Scan then = scan_utf8(scan, static_cast<uint8_t>(byte));
    if (then == Utf8Scan::kOther) continue;
    const Expr next = grammar_.next(state, static_cast<uint8_t>(byte));
    if (next == last && then == last_scan) continue;
    last = next;
    last_scan = then;
    const std::optional<Expr> whole = then == Utf8Scan::kWhole ? next : after_plain(next, then);
    if (!whole || (all && *all != *whole)) return std::nullopt;
    all = whole;
  }
  return all;
}

std::optional<Expr> TokenMasks::after_plain(Expr state) {
  if (const auto known = after_plain_.find(state); known != after_plain_.end())
    return known->second;
  constexpr size_t kMostKept = 1 << 16;
  if (after_plain_.size() >= kMostKept) after_plain_.clear();
  const std::optional<Expr> out = after_plain(state, Utf8Scan::kWhole);
  after_plain_.emplace(state, out);
  return out;
}

bool TokenMasks::walk_plain(Expr state, Mask& to, std::vector<uint32_t>* exits) {
  std::array<Expr, PlainTokens::kMostCharacters + 1> after{state};  // so many characters
  size_t most = 0;
  while (most < PlainTokens::kMostCharacters) {
    const std::optional<Expr> next = after_plain(after[most]);
    if (!next) return false;
    if (*next == kNothing) break;
    if (exits != nullptr && grammar_.may_end(*next)) return false;
    ++most;
    after[most] = *next;
  }
  if (most == 0) return false;
  const PlainTokens& plain = trie_.plain();
  for (uint32_t i = 0; i < plain.count(most); ++i) to.set(plain.tokens()[i]);
  const auto nodes = trie_.nodes();
  const auto ids = trie_.ids();
  states_.assign(static_cast<size_t>(TokenTrie::kMostBytes) + 1, kNothing);
  const auto& rest = plain.rest();
  for (uint32_t i = 0; i < rest.size();) {
    const PlainTokens::Rest& part = rest[i];
    const TokenTrie::Node& at = nodes[part.node];
    const Expr before = part.first ? after[part.characters] : states_[at.depth - size_t{1}];
    const Expr next = before == kNothing ? kNothing : grammar_.next(before, at.byte);
    if (next == kNothing) {
      i = part.skip;
      continue;
    }
    states_[at.depth] = next;
    for (uint32_t k = 0; k < at.tokens; ++k) to.set(ids[at.first + k]);
    if (exits != nullptr && grammar_.may_end(next)) exits->push_back(part.node);
    ++i;
  }
  return true;
}

void TokenMasks::walk(uint32_t node, Expr state, Mask& to, std::vector<uint32_t>* exits) {
  if (node == 0 && walk_plain(state, to, exits)) return;
  const auto nodes = trie_.nodes();
  const auto ids = trie_.ids();
  const size_t base = nodes[node].depth;
  states_.assign(static_cast<size_t>(TokenTrie::kMostBytes) + 1, kNothing);
  states_[base] = state;
  const uint32_t end = nodes[node].end;
  for (uint32_t i = node + 1; i < end;) {
    const TokenTrie::Node& at = nodes[i];
    const Expr next = grammar_.next(states_[at.depth - size_t{1}], at.byte);
    if (next == kNothing) {
      i = at.end;
      continue;
    }
    states_[at.depth] = next;
    for (uint32_t k = 0; k < at.tokens; ++k) to.set(ids[at.first + k]);
    if (exits != nullptr && grammar_.may_end(next)) exits->push_back(i);
    ++i;
  }
}

}  // namespace cria::grammar
