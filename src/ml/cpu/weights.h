// weights.h - the weights of a graph in memory, in the layout that each use wants.
#pragma once

#include "ml/backend.h"
#include "ml/cpu/arena.h"
#include "ml/cpu/panels.h"
#include "ml/cpu/pool.h"

#include <array>
#include <functional>
#include <map>
#include <memory>
#include <span>
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
  uint8_t* data = nullptr;
  uint8_t* low = nullptr;  // kPlanes: rows of k / 2 bytes, whole panels
  const WeightSource* source = nullptr;
  // Panels or rows, from the first on, that are in memory; the others are in the file alone.
  int64_t loaded = 0;

  const float* floats() const { return reinterpret_cast<const float*>(data); }
  bool in_panels() const { return form == WeightForm::kPanels || form == WeightForm::kPlanes; }
  int64_t panels() const { return (rows + kPanelRows - 1) / kPanelRows; }
  int64_t units() const { return in_panels() ? panels() : rows; }  // that `loaded` counts
  int64_t unit_bytes() const {
    return stride + (form == WeightForm::kPlanes ? kPanelRows * k / 2 : 0);
  }
};

// What one thread reads weights with.
class WeightReader {
 public:
  // Panels [first, last) of `w` from its file: of kind w.kind, also where it is kept in planes, or
  // whole native rows where it has no panels. Valid until the next call. Throws Error.
  const uint8_t* read(const Weight& w, int64_t first, int64_t last);
  // The same units of it to where they belong in memory.
  void load(const Weight& w, int64_t first, int64_t last);
  // Row `row` as floats, from memory or from the file; not for vectors.
  void read_row(const Weight& w, int64_t row, float* out);

 private:
  struct alignas(64) Line {
    std::array<uint8_t, 64> bytes;
  };
  std::span<const std::byte> native_rows(const Weight& w, int64_t first, int64_t last);
  void pack(const Weight& w, std::span<const std::byte> native, int64_t panels, uint8_t* out);

  std::vector<std::byte> native_;
  std::vector<float> floats_;
  std::vector<Line> panels_;
};

class WeightSet {
 public:
  // Finds out which weights `graph` uses, and how, and reads those of kVector.
  WeightSet(const Graph& graph, bool float_weights);

  const Weight& operator[](const WeightSource* source) const { return weights_[index_.at(source)]; }
  int64_t bytes() const { return arena_->bytes(); }
  int64_t unread_bytes() const { return unread_; }
  // Whether all are packed in less time than a short prompt takes: not what is spelled out from
  // codebooks or base 3.
  bool packs_quickly() const;

  // Reads about `most` bytes of what is not in memory yet, in order of use, with one thread for
  // each reader. `tick` is told, by the caller's thread, which fraction of the weights is. Throws
  // Error, and then nothing of it counts as loaded.
  void load(Pool& pool, std::span<WeightReader> readers, int64_t most,
            const std::function<void(double)>& tick);

 private:
  struct Job {  // some panels or rows of a weight
    Weight* weight;
    int64_t first, last;
  };
  void choose_forms(const Graph& graph, bool float_weights);
  void reserve();
  std::vector<Job> jobs_for(int64_t bytes);

  std::vector<Weight> weights_;  // in order of use
  std::map<const WeightSource*, size_t> index_;
  std::unique_ptr<Arena> arena_;
  int64_t all_ = 0, unread_ = 0;  // bytes
};

}  // namespace cria::ml::cpu
