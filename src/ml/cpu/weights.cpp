#include "ml/cpu/weights.h"

#include "base/error.h"
#include "ml/cpu/planes.h"

#include <algorithm>
#include <cstring>
#include <exception>
#include <mutex>

namespace cria::ml::cpu {
namespace {

constexpr int64_t kJobBytes = 4 << 20;

struct Uses {
  const Node* node = nullptr;
  bool matmul = false, table = false;
};

// Below this many rows the second look at the best of them costs more than the low bits.
constexpr int64_t kPlanesRows = 32768;

// Whether the graph's result is this weight's product with nothing behind it, and in a format and
// size for two planes.
bool is_head(const Graph& graph, const Node* weight) {
  const Node* result = graph.result();
  return result->op == Op::kMatmul && result->in[0] == weight &&
         weight->weight->dtype == DType::kQ8_0 && weight->shape[0] % 128 == 0 &&
         weight->shape[1] >= kPlanesRows;
}

int64_t native_row_bytes(const Weight& weight) {
  return quant::row_bytes(weight.dtype, weight.k).value_or(0);
}

}  // namespace

void Weight::read_row(int64_t row, float* out) const noexcept {
  if (form == WeightForm::kPlanes)
    unpack_planes_row(data + row / kPanelRows * stride, low + row / kPanelRows * kPanelRows * k / 2,
                      row % kPanelRows, k, out);
  else if (form == WeightForm::kPanels)
    unpack_row(kind, data + row / kPanelRows * stride, row % kPanelRows, k, out);
  else
    quant::info(dtype).dequantize(reinterpret_cast<const std::byte*>(data + row * stride), out, k);
}

WeightSet::WeightSet(const Graph& graph, Pool& pool, const CompileOptions& options) {
  choose_forms(graph, options.float_weights);
  load(pool, options);
  for (Entry& entry : entries_) weights_[entry.source] = entry.weight;
}

void WeightSet::choose_forms(const Graph& graph, bool float_weights) {
  std::vector<Uses> uses;
  std::map<const WeightSource*, size_t> seen;
  for (const Node& node : graph.nodes()) {
    for (size_t i = 0; i < node.in.size(); ++i) {
      const Node* input = node.in[i];
      if (input == nullptr || input->weight == nullptr) continue;
      const auto [at, fresh] = seen.try_emplace(input->weight, uses.size());
      if (fresh) uses.push_back({.node = input});
      uses[at->second].matmul |= node.op == Op::kMatmul && i == 0;
      uses[at->second].table |= node.op == Op::kRows && i == 0;
    }
  }
  for (const Uses& use : uses) {
    const WeightSource* source = use.node->weight;
    if (quant::info(source->dtype).dequantize == nullptr)
      fail(ErrorKind::kUnsupported, "tensor {}: cannot compute with type {}", source->name,
           quant::info(source->dtype).name);
    Weight w = {.dtype = source->dtype, .k = use.node->shape[0], .rows = use.node->shape[1]};
    const auto kind = float_weights ? PanelKind::kF32 : panel_kind(source->dtype);
    if (use.matmul && !float_weights && is_head(graph, use.node)) {
      w.form = WeightForm::kPlanes;
      w.kind = PanelKind::kQ8_0;  // what a panel becomes to be multiplied
      w.stride = high_panel_bytes(w.k);
    } else if (use.matmul && kind) {
      w.form = WeightForm::kPanels;
      w.kind = *kind;
      w.stride = panel_bytes(*kind, w.k);
    } else if (use.matmul || use.table) {
      w.form = WeightForm::kNative;
      w.stride = native_row_bytes(w);
    } else {
      w.stride = w.k * 4;
    }
    entries_.push_back({.source = source, .weight = w, .offset = 0});
  }
}

void WeightSet::load(Pool& pool, const CompileOptions& options) {
  int64_t total = 0;
  std::vector<Job> jobs;
  for (size_t i = 0; i < entries_.size(); ++i) {
    Entry& entry = entries_[i];
    const Weight& w = entry.weight;
    const int64_t units = w.in_panels() ? w.panels() : w.rows;
    entry.offset = total;
    total += align_up(units * w.stride, 64);
    if (w.form == WeightForm::kPlanes) total += align_up(units * kPanelRows * w.k / 2, 64);
    const int64_t step = std::max<int64_t>(1, kJobBytes / std::max<int64_t>(1, w.stride));
    for (int64_t first = 0; first < units; first += step)
      jobs.push_back({.entry = i, .first = first, .last = std::min(units, first + step)});
  }
  arena_ = std::make_unique<Arena>(total + 64);  // kernels may read a vector past the end
  for (Entry& entry : entries_) {
    Weight& w = entry.weight;
    w.data = arena_->data() + entry.offset;
    if (w.form == WeightForm::kPlanes) w.low = w.data + align_up(w.panels() * w.stride, 64);
  }

  std::atomic<size_t> next = 0;
  std::exception_ptr failure;
  std::mutex failure_mutex;
  pool.run([&](int thread) {
    std::vector<std::byte> staging;
    std::vector<float> floats;
    for (size_t i = next++; i < jobs.size(); i = next++) {
      try {
        run_job(jobs[i], staging, floats);
        if (thread == 0 && options.progress)
          options.progress(static_cast<double>(i + 1) / static_cast<double>(jobs.size()));
      } catch (...) {
        const std::scoped_lock lock(failure_mutex);
        if (!failure) failure = std::current_exception();
        next = jobs.size();
      }
    }
  });
  if (failure) std::rethrow_exception(failure);
}

void WeightSet::run_job(const Job& job, std::vector<std::byte>& staging,
                        std::vector<float>& floats) const {
  const Entry& entry = entries_[job.entry];
  const Weight& w = entry.weight;
  uint8_t* out = arena_->data() + entry.offset;
  const int64_t row_bytes = native_row_bytes(w);
  const int64_t unit = w.in_panels() ? kPanelRows : 1;
  const int64_t first_row = job.first * unit, last_row = std::min(w.rows, job.last * unit);
  staging.resize(static_cast<size_t>((last_row - first_row) * row_bytes));
  entry.source->file->read_at(entry.source->offset + first_row * row_bytes, staging);
  const quant::DTypeInfo& type = quant::info(w.dtype);
  if (w.form == WeightForm::kNative) {
    std::memcpy(out + first_row * row_bytes, staging.data(), staging.size());
    return;
  }
  if (w.form == WeightForm::kVector) {
    type.dequantize(staging.data(), reinterpret_cast<float*>(out + job.first * w.stride),
                    (last_row - first_row) * w.k);
    return;
  }
  const bool convert = w.kind == PanelKind::kF32 && w.dtype != DType::kF32;
  for (int64_t panel = job.first; panel < job.last; ++panel) {
    const int64_t rows = std::min(kPanelRows, w.rows - panel * kPanelRows);
    std::span<const std::byte> native(staging.data() + (panel - job.first) * kPanelRows * row_bytes,
                                      static_cast<size_t>(rows * row_bytes));
    if (w.form == WeightForm::kPlanes) {
      uint8_t* low = out + (w.low - w.data) + panel * kPanelRows * w.k / 2;
      pack_planes(native, w.k, out + panel * w.stride, low);
      continue;
    }
    if (convert) {
      floats.resize(static_cast<size_t>(rows * w.k));
      type.dequantize(native.data(), floats.data(), rows * w.k);
      native = std::as_bytes(std::span(floats));
    }
    pack_panel(w.kind, convert ? DType::kF32 : w.dtype, native, w.k, out + panel * w.stride);
  }
}

}  // namespace cria::ml::cpu
