// registry.cpp - the table of architectures, and how a file becomes a graph.

#include "base/error.h"
#include "models/decoder.h"
#include "models/model.h"

#include <array>

namespace cria::models {
namespace {

struct Row {
  std::string_view architecture;
  MakeModel make;
};

constexpr std::array kRows = {
    Row{"llama", make_llama}, Row{"mistral3", make_llama}, Row{"smollm3", make_llama},
    Row{"qwen2", make_qwen2}, Row{"qwen3", make_qwen3},    Row{"gemma3", make_gemma3},
    Row{"bert", make_bert},
};

MakeModel find_maker(const std::string& architecture) {
  std::string known;
  for (const Row& row : kRows) {
    if (row.architecture == architecture) return row.make;
    known += fmt::format("{}{}", known.empty() ? "" : ", ", row.architecture);
  }
  fail(ErrorKind::kUnsupported, "the architecture \"{}\" is not supported; known are: {}",
       architecture, known);
}

std::shared_ptr<nn::TensorIndex> index_tensors(const formats::ModelFile& file) {
  std::vector<nn::IndexedTensor> tensors;
  tensors.reserve(file.tensors.size());
  for (const formats::TensorInfo& t : file.tensors)
    tensors.push_back({.source = {.name = t.name,
                                  .dtype = t.dtype,
                                  .file = t.file,
                                  .offset = t.offset,
                                  .bytes = t.bytes},
                       .shape = t.shape});
  return nn::make_tensor_index(std::move(tensors));
}

Pooling pooling_of(const Metadata& metadata, bool causal) {
  const Pooling usual = causal ? Pooling::kLast : Pooling::kMean;
  const int64_t type = metadata.count("pooling_type", static_cast<int64_t>(usual));
  if (type > static_cast<int64_t>(Pooling::kRank))
    fail(ErrorKind::kUnsupported, "{}.pooling_type is {}, known are 0 to 4",
         metadata.architecture(), type);
  return static_cast<Pooling>(type);
}

void check_ranks(const LoadedModel& model, const ml::Tensor& head) {
  if (model.causal)
    fail(ErrorKind::kUnsupported,
         "{}.pooling_type is 4 (rank); models that rank pairs of texts are supported for bert",
         model.architecture);
  if (!head)
    fail(ErrorKind::kInvalidInput,
         "{}.pooling_type is 4 (rank), but the file has no tensor cls.output.weight",
         model.architecture);
}

}  // namespace

LoadedModel load_model(std::shared_ptr<const formats::ModelFile> file, int64_t capacity) {
  return in_context(file->path, [&] {
    const Metadata metadata(*file);
    const MakeModel make = find_maker(metadata.architecture());
    LoadedModel loaded{.file = file,
                       .tensors = index_tensors(*file),
                       .architecture = metadata.architecture(),
                       .context_length = metadata.size("context_length"),
                       .embedding_length = metadata.size("embedding_length"),
                       .layers = metadata.size("block_count")};
    loaded.model = make(metadata, nn::Weights(loaded.tensors));
    loaded.graph = std::make_unique<ml::Graph>(capacity);
    nn::KvCache cache;
    const ml::Tensor hidden = loaded.model->hidden({.tokens = loaded.graph->tokens(),
                                                    .positions = loaded.graph->positions(),
                                                    .segments = loaded.graph->segments(),
                                                    .outputs = loaded.graph->outputs(),
                                                    .cache = cache});
    loaded.causal = loaded.model->causal();
    loaded.segments = loaded.model->segments();
    loaded.pooling = pooling_of(metadata, loaded.causal);
    const bool ranks = loaded.pooling == Pooling::kRank;
    ml::Tensor head;
    if (ranks || loaded.causal) head = loaded.model->head(hidden);
    if (ranks) check_ranks(loaded, head);
    loaded.result = !head ? Result::kHidden : ranks ? Result::kScore : Result::kLogits;
    loaded.graph->set_result(head ? head : hidden);
    if (loaded.result == Result::kLogits) loaded.graph->set_hidden(hidden);
    loaded.kv = cache.layout();
    loaded.vocabulary = loaded.model->vocabulary();
    if (metadata.flag("attention.causal", loaded.causal) != loaded.causal)
      fail(ErrorKind::kUnsupported, "{}.attention.causal is {}, which this architecture cannot be",
           metadata.architecture(), !loaded.causal);
    return loaded;
  });
}

}  // namespace cria::models
