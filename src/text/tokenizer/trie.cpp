#include "text/tokenizer/trie.h"

namespace cria::text {

// Level by level from the sorted keys, so that the edges of a node lie side by side.
Trie::Trie(std::vector<Entry> list) {
  std::erase_if(list, [](const Entry& e) { return e.first.empty() || e.first.size() > kMaxKey; });
  std::sort(list.begin(), list.end());
  list.erase(std::unique(list.begin(), list.end(),
                         [](const Entry& a, const Entry& b) { return a.first == b.first; }),
             list.end());
  struct Keys {
    size_t begin, end, depth;
  };
  std::vector<Keys> keys{{0, list.size(), 0}};
  nodes_.emplace_back();
  for (size_t n = 0; n < nodes_.size(); ++n) {
    auto [begin, end, depth] = keys[n];
    if (begin < end && list[begin].first.size() == depth) nodes_[n].value = list[begin++].second;
    nodes_[n].first_edge = static_cast<uint32_t>(edges_.size());
    while (begin < end) {
      const char byte = list[begin].first[depth];
      size_t last = begin;
      while (last < end && list[last].first[depth] == byte) ++last;
      edges_.push_back({static_cast<uint8_t>(byte), static_cast<uint32_t>(nodes_.size())});
      keys.push_back({begin, last, depth + 1});
      nodes_.emplace_back();
      begin = last;
    }
    nodes_[n].edge_count = static_cast<uint32_t>(edges_.size()) - nodes_[n].first_edge;
  }
  for (uint32_t e = 0; e < nodes_[0].edge_count; ++e) roots_[edges_[e].byte] = edges_[e].target;
}

}  // namespace cria::text
