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

std::span<const std::byte> WeightReader::native_rows(const Weight& w, int64_t first, int64_t last) {
  const int64_t bytes = native_row_bytes(w);
  native_.resize(std::max(native_.size(), static_cast<size_t>((last - first) * bytes)));
  const auto rows = std::span(native_).first(static_cast<size_t>((last - first) * bytes));
  w.source->file->read_at(w.source->offset + first * bytes, rows);
  return rows;
}

// Native rows into panels of kind w.kind.
void WeightReader::pack(const Weight& w, std::span<const std::byte> native, int64_t panels,
                        uint8_t* out) {
  const bool convert = w.kind == PanelKind::kF32 && w.dtype != DType::kF32;
  const auto panel_rows = static_cast<size_t>(kPanelRows * native_row_bytes(w));
  const int64_t stride = panel_bytes(w.kind, w.k);
  for (int64_t panel = 0; panel < panels; ++panel) {
    std::span<const std::byte> rows = native.subspan(static_cast<size_t>(panel) * panel_rows);
    rows = rows.first(std::min(rows.size(), panel_rows));
    if (convert) {
      const int64_t values = std::ssize(rows) / native_row_bytes(w) * w.k;
      floats_.resize(static_cast<size_t>(kPanelRows * w.k));
      quant::info(w.dtype).dequantize(rows.data(), floats_.data(), values);
      rows = std::as_bytes(std::span(floats_).first(static_cast<size_t>(values)));
    }
    pack_panel(w.kind, convert ? DType::kF32 : w.dtype, rows, w.k, out + panel * stride);
  }
}

const uint8_t* WeightReader::read(const Weight& w, int64_t first, int64_t last) {
  const auto native = native_rows(w, first * kPanelRows, std::min(last * kPanelRows, w.rows));
  if (!w.in_panels()) return reinterpret_cast<const uint8_t*>(native.data());
  // Kernels may read a vector past the end.
  const auto bytes = static_cast<size_t>((last - first) * panel_bytes(w.kind, w.k)) + 64;
  panels_.resize(std::max(panels_.size(), bytes / sizeof(Line) + 1));
  pack(w, native, last - first, panels_.front().bytes.data());
  return panels_.front().bytes.data();
}

void WeightReader::load(const Weight& w, int64_t first, int64_t last) {
  const int64_t unit = w.in_panels() ? kPanelRows : 1;
  const auto native = native_rows(w, first * unit, std::min(last * unit, w.rows));
  uint8_t* const out = w.data + first * w.stride;
  switch (w.form) {
    case WeightForm::kNative:
      std::memcpy(out, native.data(), native.size());
      return;
    case WeightForm::kVector:
      quant::info(w.dtype).dequantize(native.data(), reinterpret_cast<float*>(out),
                                      (last - first) * w.k);
      return;
    case WeightForm::kPanels:
      return pack(w, native, last - first, out);
    case WeightForm::kPlanes:
      break;
  }
  const auto panel_rows = static_cast<size_t>(kPanelRows * native_row_bytes(w));
  for (int64_t panel = first; panel < last; ++panel) {
    const auto rows = native.subspan(static_cast<size_t>(panel - first) * panel_rows);
    pack_planes(rows.first(std::min(rows.size(), panel_rows)), w.k, w.data + panel * w.stride,
                w.low + panel * kPanelRows * w.k / 2);
  }
}

void WeightReader::read_row(const Weight& w, int64_t row, float* out) {
  const int64_t panel = row / kPanelRows, lane = row % kPanelRows;
  if (w.loaded <= (w.in_panels() ? panel : row))
    quant::info(w.dtype).dequantize(native_rows(w, row, row + 1).data(), out, w.k);
  else if (w.form == WeightForm::kPlanes)
    unpack_planes_row(w.data + panel * w.stride, w.low + panel * kPanelRows * w.k / 2, lane, w.k,
                      out);
  else if (w.form == WeightForm::kPanels)
    unpack_row(w.kind, w.data + panel * w.stride, lane, w.k, out);
  else
    quant::info(w.dtype).dequantize(reinterpret_cast<const std::byte*>(w.data + row * w.stride),
                                    out, w.k);
}

WeightSet::WeightSet(const Graph& graph, bool float_weights) {
  choose_forms(graph, float_weights);
  reserve();
  WeightReader reader;
  for (Weight& w : weights_)
    if (w.form == WeightForm::kVector) {
      reader.load(w, 0, w.rows);
      w.loaded = w.rows;
    }
  for (const Weight& w : weights_) all_ += w.units() * w.unit_bytes();
  for (const Weight& w : weights_) unread_ += (w.units() - w.loaded) * w.unit_bytes();
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
    Weight w = {.dtype = source->dtype,
                .k = use.node->shape[0],
                .rows = use.node->shape[1],
                .source = source};
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
    index_[source] = weights_.size();
    weights_.push_back(w);
  }
}

void WeightSet::reserve() {
  const auto bytes = [](const Weight& w) {
    return align_up(w.units() * w.stride, 64) +
           align_up(w.units() * (w.unit_bytes() - w.stride), 64);
  };
  int64_t total = 0;
  for (const Weight& w : weights_) total += bytes(w);
  arena_ = std::make_unique<Arena>(total + 64);  // kernels may read a vector past the end
  // Vectors, which are read first, share pages with each other.
  uint8_t* next = arena_->data();
  for (const bool vectors : {true, false})
    for (Weight& w : weights_) {
      if ((w.form == WeightForm::kVector) != vectors) continue;
      w.data = next;
      if (w.form == WeightForm::kPlanes) w.low = w.data + align_up(w.panels() * w.stride, 64);
      next += bytes(w);
    }
}

bool WeightSet::packs_quickly() const {
  return std::ranges::none_of(weights_, [](const Weight& w) {
    return w.in_panels() && (w.kind >= PanelKind::kIQ2_XXS || w.dtype == DType::kTQ1_0);
  });
}

std::vector<WeightSet::Job> WeightSet::jobs_for(int64_t bytes) {
  std::vector<Job> jobs;
  for (Weight& w : weights_) {
    const int64_t each = std::max<int64_t>(1, w.unit_bytes());
    const int64_t step = std::max<int64_t>(1, kJobBytes / each);
    for (int64_t first = w.loaded; first < w.units() && bytes > 0; first += step) {
      jobs.push_back({.weight = &w, .first = first, .last = std::min(w.units(), first + step)});
      bytes -= step * each;
    }
  }
  return jobs;
}

void WeightSet::load(Pool& pool, std::span<WeightReader> readers, int64_t most,
                     const std::function<void(double)>& tick) {
  const std::vector<Job> jobs = jobs_for(most);
  const auto before = static_cast<double>(all_ - unread_), all = static_cast<double>(all_);
  std::atomic<size_t> next = 0;
  std::atomic<int64_t> done = 0;
  std::exception_ptr failure;
  std::mutex failure_mutex;
  const auto work = [&](int thread) {
    for (size_t i = next++; i < jobs.size(); i = next++) {
      const Job& job = jobs[i];
      try {
        readers[static_cast<size_t>(thread)].load(*job.weight, job.first, job.last);
        done += (job.last - job.first) * job.weight->unit_bytes();
        if (thread == 0) tick((before + static_cast<double>(done.load())) / all);
      } catch (...) {
        const std::scoped_lock lock(failure_mutex);
        if (!failure) failure = std::current_exception();
        next = jobs.size();
      }
    }
  };
  pool.run(work, Pool::Kind::kReads);
  if (failure) std::rethrow_exception(failure);
  for (const Job& job : jobs) job.weight->loaded = job.last;
  unread_ -= done;
}

}  // namespace cria::ml::cpu
