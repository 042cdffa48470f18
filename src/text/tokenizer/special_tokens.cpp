#include "text/tokenizer/vocabulary.h"

#include <algorithm>

namespace cria::text {
namespace {

struct Spelling {
  std::string_view text;
  TokenId token;
  bool always;
};

std::vector<Spelling> spellings(const Vocabulary& vocabulary, size_t max_size) {
  std::vector<Spelling> list;
  for (TokenId id = 0; id < vocabulary.size(); ++id) {
    const TokenType type = vocabulary.type(id);
    const bool always = type == TokenType::kUserDefined;
    if (!always && type != TokenType::kControl && type != TokenType::kUnknown) continue;
    const std::string_view text = vocabulary.text(id);
    if (!text.empty() && text.size() <= max_size) list.push_back({text, id, always});
  }
  std::sort(list.begin(), list.end(), [](const Spelling& a, const Spelling& b) {
    return a.text != b.text ? a.text < b.text : a.token < b.token;
  });
  const auto twins = std::unique(list.begin(), list.end(), [](const Spelling& a, const Spelling& b) {
    return a.text == b.text;
  });
  list.erase(twins, list.end());
  return list;
}

}  // namespace

// A trie, built level by level from the sorted list so that the edges of a node lie side by side.
SpecialTokens::SpecialTokens(const Vocabulary& vocabulary) {
  const std::vector<Spelling> list = spellings(vocabulary, kMaxSpelling);
  struct Range {
    size_t begin, end, depth;
  };
  std::vector<Range> ranges{{0, list.size(), 0}};
  nodes_.emplace_back();
  for (size_t n = 0; n < nodes_.size(); ++n) {
    auto [begin, end, depth] = ranges[n];
    if (begin < end && list[begin].text.size() == depth) {
      nodes_[n].token = list[begin].token;
      nodes_[n].always = list[begin].always;
      ++begin;
    }
    nodes_[n].first_edge = static_cast<uint32_t>(edges_.size());
    while (begin < end) {
      const char byte = list[begin].text[depth];
      size_t last = begin;
      while (last < end && list[last].text[depth] == byte) ++last;
      edges_.push_back({static_cast<uint8_t>(byte), static_cast<uint32_t>(nodes_.size())});
      ranges.push_back({begin, last, depth + 1});
      nodes_.emplace_back();
      begin = last;
    }
    nodes_[n].edge_count = static_cast<uint32_t>(edges_.size()) - nodes_[n].first_edge;
  }
  for (uint32_t e = 0; e < nodes_[0].edge_count; ++e) roots_[edges_[e].byte] = edges_[e].target;
}

SpecialTokens::Match SpecialTokens::longest_at(std::string_view text, size_t at,
                                               bool parse_special) const {
  Match best;
  uint32_t node = roots_[static_cast<uint8_t>(text[at])];
  for (size_t i = at + 1; node != 0; ++i) {
    const Node& here = nodes_[node];
    if (here.token >= 0 && (parse_special || here.always)) best = {i - at, here.token};
    if (i == text.size()) break;
    const auto byte = static_cast<uint8_t>(text[i]);
    const auto begin = edges_.begin() + here.first_edge, end = begin + here.edge_count;
    const auto edge = std::lower_bound(begin, end, byte,
                                       [](const Edge& e, uint8_t b) { return e.byte < b; });
    node = edge != end && edge->byte == byte ? edge->target : 0;
  }
  return best;
}

std::vector<Fragment> SpecialTokens::partition(std::string_view text, bool parse_special) const {
  std::vector<Fragment> out;
  size_t raw = 0;
  for (size_t at = 0; at < text.size();) {
    if (roots_[static_cast<uint8_t>(text[at])] == 0) {
      ++at;
      continue;
    }
    const Match match = longest_at(text, at, parse_special);
    if (match.token < 0) {
      ++at;
      continue;
    }
    if (raw < at) out.push_back({text.substr(raw, at - raw), -1});
    out.push_back({{}, match.token});
    raw = at += match.length;
  }
  if (raw < text.size()) out.push_back({text.substr(raw), -1});
  return out;
}

}  // namespace cria::text
