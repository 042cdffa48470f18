// model.h - what an architecture is to the rest of the program.
#pragma once

#include "formats/model_file.h"
#include "ml/backend.h"
#include "nn/nn.h"

#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace cria::models {

// GGUF key/values with the "<arch>." prefix applied. Absent keys without fallback throw
// Error{kInvalidInput} naming the key. Counts and sizes are checked against [1, 2^31).
class Metadata {
 public:
  explicit Metadata(const formats::ModelFile& file);
  const std::string& architecture() const { return architecture_; }
  int64_t size(std::string_view key) const;
  int64_t size(std::string_view key, int64_t fallback) const;
  // Like size, but 0 is allowed and stands for "off".
  int64_t count(std::string_view key, int64_t fallback) const;
  bool has(std::string_view key) const;
  float number(std::string_view key) const;  // finite
  float number(std::string_view key, float fallback) const;
  std::string text(std::string_view key, std::string_view fallback) const;
  bool flag(std::string_view key, bool fallback) const;
  // A value that is one flag for all layers, or an array with one per layer; nullopt when absent.
  std::optional<bool> flag_of_layer(std::string_view key, int64_t layer) const;
  const formats::ModelFile& file() const { return file_; }

 private:
  const formats::Value* find(std::string_view key) const;
  std::string full(std::string_view key) const;

  const formats::ModelFile& file_;  // outlives the constructor calls of a model
  std::string architecture_;
};

// One forward pass: some tokens of some sequences.
struct Step {
  ml::Tensor tokens;     // {n} token ids
  ml::Tensor positions;  // {n}
  ml::Tensor segments;   // {n} 0, and 1 for the second text of a pair
  ml::Tensor outputs;    // {m} rows whose results are wanted
  nn::KvCache& cache;
};

class Model {
 public:
  virtual ~Model() = default;
  // {width, m}: the last hidden states, normalised as the head takes them.
  virtual ml::Tensor hidden(const Step& step) const = 0;
  // {vocab, m} logits of hidden states, or {1, m} scores of a model that ranks; an empty Tensor for
  // a model that only embeds.
  virtual ml::Tensor head(ml::Tensor hidden) const = 0;
  virtual int64_t vocabulary() const = 0;  // token ids that it reads
  // Otherwise every row sees the whole text, and a step has to hold all of it.
  virtual bool causal() const { return true; }
  virtual int64_t segments() const { return 1; }  // that it tells apart
};

using MakeModel = std::unique_ptr<Model> (*)(const Metadata&, const nn::Weights&);

// How the hidden states of a text become one vector; the values of "<arch>.pooling_type".
enum class Pooling : uint8_t { kNone, kMean, kFirst, kLast, kRank };

// What the graph's result is for each output row: logits, the hidden state (embeddings), or one
// score (a model that ranks pairs of texts).
enum class Result : uint8_t { kLogits, kHidden, kScore };

// A model ready to be compiled by any backend.
struct LoadedModel {
  std::shared_ptr<const formats::ModelFile> file;
  std::shared_ptr<nn::TensorIndex> tensors;  // the graph's weights point into it
  std::unique_ptr<Model> model;
  std::unique_ptr<ml::Graph> graph;
  ml::KvLayout kv;
  std::string architecture;
  int64_t context_length = 0, embedding_length = 0, layers = 0, vocabulary = 0;
  Result result = Result::kLogits;
  bool causal = true;  // otherwise a step has to hold a whole sequence
  int64_t segments = 1;
  Pooling pooling = Pooling::kLast;
  int64_t result_width() const { return graph->result()->shape[0]; }
  // Of an embedding, or of a score.
  int64_t vector_width() const {
    return result == Result::kLogits ? graph->hidden()->shape[0] : result_width();
  }
};

// Builds the graph for steps of at most `capacity` tokens. Throws Error{kUnsupported} for an
// unknown architecture (named, with the known ones), kInvalidInput for missing tensors or wrong
// shapes (named). A model that only embeds gives hidden states, one whose pooling is kRank scores;
// all others logits, or their hidden states to steps that want these.
LoadedModel load_model(std::shared_ptr<const formats::ModelFile> file, int64_t capacity);

}  // namespace cria::models
