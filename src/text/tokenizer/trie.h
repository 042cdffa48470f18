// trie.h - an immutable byte trie: which keys begin at a place of a text.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

namespace cria::text {

class Trie {
 public:
  using Entry = std::pair<std::string_view, int32_t>;
  // Keys beyond this many bytes are left out: it bounds the work per byte of text.
  static constexpr size_t kMaxKey = 512;

  // Of equal keys the one with the lowest value counts; empty keys are left out.
  explicit Trie(std::vector<Entry> entries);

  // The node after the first byte, and after a further one; 0 when no key goes on like that.
  uint32_t root(char byte) const { return roots_[static_cast<uint8_t>(byte)]; }
  uint32_t step(uint32_t node, char byte) const {
    const auto wanted = static_cast<uint8_t>(byte);
    const auto begin = edges_.begin() + nodes_[node].first_edge;
    const auto end = begin + nodes_[node].edge_count;
    const auto edge =
        std::lower_bound(begin, end, wanted, [](const Edge& e, uint8_t b) { return e.byte < b; });
    return edge != end && edge->byte == wanted ? edge->target : 0;
  }
  int32_t value(uint32_t node) const { return nodes_[node].value; }  // -1: no key ends here

  // Calls found(length, value) for every key at text[at], the shortest first.
  template <class Found>
  void for_each_prefix(std::string_view text, size_t at, Found&& found) const {
    uint32_t node = root(text[at]);
    for (size_t i = at + 1; node != 0; ++i) {
      if (value(node) >= 0) found(i - at, value(node));
      if (i == text.size()) return;
      node = step(node, text[i]);
    }
  }

 private:
  struct Node {
    int32_t value = -1;
    uint32_t first_edge = 0;  // into edges_, sorted by byte
    uint32_t edge_count = 0;
  };
  struct Edge {
    uint8_t byte;
    uint32_t target;
  };
  uint32_t roots_[256] = {};
  std::vector<Node> nodes_;
  std::vector<Edge> edges_;
};

}  // namespace cria::text
