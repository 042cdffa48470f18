#include "ml/reference/buffers.h"

#include "base/error.h"

#include <map>

namespace cria::ml::reference {

int64_t row_elements(const Graph& graph, const Node& node) {
  const int64_t all = node.shape[0] * node.shape[1] * node.shape[2] * node.shape[3];
  CRIA_CHECK(node.axis != Axis::kNone, "activations count tokens or outputs");
  return all / graph.capacity();
}

Buffers::Buffers(const Graph& graph) : slot_(graph.nodes().size(), -1) {
  std::vector<int64_t> last_use(graph.nodes().size(), -1);
  for (const Node& node : graph.nodes())
    for (const Node* in : node.in)
      if (in != nullptr && in->op != Op::kWeight) last_use[index(*in)] = node.id;

  std::multimap<int64_t, int64_t> free;  // elements -> slot
  for (const Node& node : graph.nodes()) {
    if (node.op != Op::kInput && &node != graph.result()) {
      const int64_t elements = row_elements(graph, node) * graph.capacity();
      if (const auto found = free.find(elements); found != free.end()) {
        slot_[index(node)] = found->second;
        free.erase(found);
      } else {
        slot_[index(node)] = static_cast<int64_t>(memory_.size());
        memory_.emplace_back(static_cast<size_t>(elements));
      }
    }
    // Only now: a result may not overwrite what it is computed from.
    for (size_t i = 0; i < node.in.size(); ++i) {
      const Node* in = node.in[i];
      if (in == nullptr || in->op == Op::kWeight || last_use[index(*in)] != node.id) continue;
      last_use[index(*in)] = -1;  // a node may read the same input twice
      if (slot_[index(*in)] >= 0)
        free.emplace(row_elements(graph, *in) * graph.capacity(), slot_[index(*in)]);
    }
  }
}

int64_t Buffers::bytes() const {
  size_t elements = 0;
  for (const std::vector<float>& memory : memory_) elements += memory.size();
  return static_cast<int64_t>(elements * sizeof(float));
}

}  // namespace cria::ml::reference
