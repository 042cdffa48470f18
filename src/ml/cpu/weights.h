// weights.h - the weights of a graph in memory, in the layout that each use wants.
#pragma once

#include "ml/backend.h"
#include "ml/cpu/arena.h"
#include "ml/cpu/panels.h"
#include "ml/cpu/pool.h"

#include <map>
#include <memory>
#include <vector>

namespace cria::ml::cpu {

enum class WeightForm : uint8_t {
  kVector,  // floats: norms, biases
  kPanels,  // used by a matmul
  kPlanes,  // a vocabulary head of 8 bits: high panels, then rows of low bits (planes.h)
  kNative,  // whole rows as in the file: a table only looked up, or a format without panels
};

struct Weight {
  WeightForm form = WeightForm::kVector;
  PanelKind kind = PanelKind::kF32;
  DType dtype = DType::kF32;
  int64_t k = 0, rows = 0;
  int64_t stride = 0;  // bytes of a panel or of a native row
  const uint8_t* data = nullptr;
  const uint8_t* low = nullptr;  // kPlanes: rows of k / 2 bytes, whole panels

  const float* floats() const { return reinterpret_cast<const float*>(data); }
  bool in_panels() const { return form == WeightForm::kPanels || form == WeightForm::kPlanes; }
  int64_t panels() const { return (rows + kPanelRows - 1) / kPanelRows; }
  // Row `row` as floats; not for vectors.
  void read_row(int64_t row, float* out) const noexcept;
};

class WeightSet {
 public:
  // Reads every weight that `graph` uses, in order of use, on all threads of the pool.
  WeightSet(const Graph& graph, Pool& pool, const CompileOptions& options);

  const Weight& operator[](const WeightSource* source) const { return weights_.at(source); }
  int64_t bytes() const { return arena_->bytes(); }

 private:
  struct Entry {
    const WeightSource* source;
    Weight weight;
    int64_t offset;
  };
  struct Job {  // some panels or rows of a weight
    size_t entry;
    int64_t first, last;
  };
  void choose_forms(const Graph& graph, bool float_weights);
  void load(Pool& pool, const CompileOptions& options);
  void run_job(const Job& job, std::vector<std::byte>& staging, std::vector<float>& floats) const;

  std::vector<Entry> entries_;
  std::map<const WeightSource*, Weight> weights_;
  std::unique_ptr<Arena> arena_;
};

}  // namespace cria::ml::cpu
