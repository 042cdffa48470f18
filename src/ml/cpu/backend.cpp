#include "ml/cpu/backend.h"

#include "ml/cpu/plan.h"

namespace cria::ml::cpu {
namespace {

class CpuBackend final : public Backend {
 public:
  CpuBackend() : kernels_(kernels()) {}

  std::string_view name() const override { return kernels_.name; }
  bool supports(const Node&) const override { return true; }  // every op of graph.h

  std::unique_ptr<Plan> compile(const Graph& graph, const CompileOptions& options) override {
    return std::make_unique<CpuPlan>(graph, options, kernels_);
  }
  std::unique_ptr<KvStore> allocate_kv(const KvLayout& layout, int64_t pages) override {
    return std::make_unique<CpuKvStore>(layout, pages, kernels_);
  }

 private:
  const Kernels& kernels_;
};

}  // namespace

std::unique_ptr<Backend> make_cpu_backend() {
  return std::make_unique<CpuBackend>();
}

}  // namespace cria::ml::cpu
