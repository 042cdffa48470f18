#include "text/grammar/plain_tokens.h"

#include "text/grammar/token_mask.h"

#include <algorithm>
#include <span>

namespace cria::grammar {
namespace {

Utf8Scan scan_first(uint8_t byte) noexcept {
  if (byte < 0x80)
    return byte < 0x20 || byte == '"' || byte == '\\' ? Utf8Scan::kOther : Utf8Scan::kWhole;
  if (byte < 0xC2 || byte > 0xF4) return Utf8Scan::kOther;
  if (byte < 0xE0) return Utf8Scan::kNeedOne;
  if (byte == 0xE0) return Utf8Scan::kAfterE0;
  if (byte == 0xED) return Utf8Scan::kAfterEd;
  if (byte < 0xF0) return Utf8Scan::kNeedTwo;
  if (byte == 0xF0) return Utf8Scan::kAfterF0;
  return byte == 0xF4 ? Utf8Scan::kAfterF4 : Utf8Scan::kNeedThree;
}

// The bytes that go on with a character, by what Utf8Scan says of it.
struct Continuation {
  uint8_t least, most;
  Utf8Scan next;
};
constexpr std::array<Continuation, 8> kContinuations = {{{},  // kWhole
                                                         {0x80, 0xBF, Utf8Scan::kWhole},
                                                         {0x80, 0xBF, Utf8Scan::kNeedOne},
                                                         {0x80, 0xBF, Utf8Scan::kNeedTwo},
                                                         {0xA0, 0xBF, Utf8Scan::kNeedOne},
                                                         {0x80, 0x9F, Utf8Scan::kNeedOne},
                                                         {0x90, 0xBF, Utf8Scan::kNeedTwo},
                                                         {0x80, 0x8F, Utf8Scan::kNeedTwo}}};

bool is_begun(Utf8Scan scan) {
  return scan != Utf8Scan::kWhole && scan != Utf8Scan::kOther;
}

// How each node's text ends, and its whole characters.
struct Place {
  Utf8Scan scan = Utf8Scan::kWhole;
  uint8_t characters = 0;
  bool kept = false;  // a begun character that the rest needs
};

std::vector<Place> places_of(std::span<const TokenTrie::Node> nodes) {
  std::vector<Place> out(nodes.size());
  std::array<uint32_t, TokenTrie::kMostBytes + 1> path{};  // nodes by depth
  for (uint32_t i = 1; i < nodes.size(); ++i) {
    const TokenTrie::Node& node = nodes[i];
    path[node.depth] = i;
    const Place& before = out[path[node.depth - size_t{1}]];
    Place& place = out[i];
    place = {.scan = scan_utf8(before.scan, node.byte), .characters = before.characters};
    if (place.scan == Utf8Scan::kWhole) ++place.characters;
    place.kept = is_begun(place.scan) && node.tokens > 0;
    if (!place.kept && place.scan != Utf8Scan::kOther) continue;
    for (size_t d = node.depth - size_t{1}; is_begun(out[path[d]].scan); --d)
      out[path[d]].kept = true;
  }
  return out;
}

}  // namespace

Utf8Scan scan_utf8(Utf8Scan before, uint8_t byte) noexcept {
  if (before == Utf8Scan::kWhole) return scan_first(byte);
  if (before == Utf8Scan::kOther) return Utf8Scan::kOther;
  const Continuation& may = kContinuations[static_cast<size_t>(before)];
  return byte < may.least || byte > may.most ? Utf8Scan::kOther : may.next;
}

PlainTokens::PlainTokens(const TokenTrie& trie) {
  const auto nodes = trie.nodes();
  const auto ids = trie.ids();
  const std::vector<Place> places = places_of(nodes);
  std::array<std::vector<text::TokenId>, kMostCharacters + 1> by_length;
  std::array<Utf8Scan, TokenTrie::kMostBytes + 1> path{};
  for (uint32_t i = 1; i < nodes.size(); ++i) {
    const TokenTrie::Node& node = nodes[i];
    const Place& place = places[i];
    const bool first = path[node.depth - size_t{1}] == Utf8Scan::kWhole;
    path[node.depth] = place.scan;
    if (place.scan == Utf8Scan::kWhole) {
      const auto here = ids.subspan(node.first, node.tokens);
      by_length[place.characters].insert(by_length[place.characters].end(), here.begin(),
                                         here.end());
    } else if (place.kept || place.scan == Utf8Scan::kOther) {
      rest_.push_back({.node = i, .characters = place.characters, .first = first});
    }
  }
  for (Rest& part : rest_) {
    const auto behind = std::ranges::lower_bound(rest_, nodes[part.node].end, {}, &Rest::node);
    part.skip = static_cast<uint32_t>(behind - rest_.begin());
  }
  for (size_t n = 0; n < by_length.size(); ++n) {
    tokens_.insert(tokens_.end(), by_length[n].begin(), by_length[n].end());
    counts_[n] = static_cast<uint32_t>(tokens_.size());
  }
}

}  // namespace cria::grammar
