// buffers.h - which activations share memory: a buffer is free again after the last node that reads
// it.
#pragma once

#include "ml/graph.h"

#include <cstdint>
#include <vector>

namespace cria::ml::reference {

// Elements of one live row of an activation: its shape without the axis that counts rows.
int64_t row_elements(const Graph& graph, const Node& node);

class Buffers {
 public:
  explicit Buffers(const Graph& graph);
  // Memory for the node's result at full capacity; null for inputs and for the graph's result,
  // which have memory of the caller.
  float* of(const Node& node) {
    return slot_[index(node)] < 0 ? nullptr : memory_[slot(node)].data();
  }
  int64_t bytes() const;

 private:
  static size_t index(const Node& node) { return static_cast<size_t>(node.id); }
  size_t slot(const Node& node) const { return static_cast<size_t>(slot_[index(node)]); }

  std::vector<int64_t> slot_;  // by node id, -1: none
  std::vector<std::vector<float>> memory_;
};

}  // namespace cria::ml::reference
