#include "engine/loader.h"

#include "base/error.h"
#include "base/log.h"
#include "base/text.h"
#include "engine/resources.h"
#include "engine/vocabulary.h"

#include <algorithm>
#include <chrono>
#include <limits>
#include <utility>

namespace cria::engine {
namespace {

int64_t checked_product(std::initializer_list<int64_t> factors) {
  int64_t out = 1;
  for (const int64_t factor : factors)
    if (__builtin_mul_overflow(out, factor, &out)) return std::numeric_limits<int64_t>::max();
  return out;
}

int64_t context_of(int64_t asked, int64_t trained) {
  const int64_t wanted = std::max(asked > 0 ? asked : kDefaultContext, kLeastContext);
  if (trained > 0 && wanted > trained) {
    if (asked > 0)
      log::warn("num_ctx {} is beyond the {} tokens that the model was trained on; using {}", asked,
                trained, trained);
    return trained;
  }
  return wanted;
}

int64_t kv_bytes(const ml::KvLayout& layout, int64_t tokens) {
  const quant::DTypeInfo& type = quant::info(layout.dtype);
  const auto bytes = [&](int64_t dim) {
    return (dim + type.block_elements - 1) / type.block_elements * type.block_bytes;
  };
  int64_t each = 0;
  for (const ml::KvLayerLayout& layer : layout.layers) {
    const int64_t width =
        checked_product({layer.kv_heads, bytes(layer.key_dim) + bytes(layer.value_dim)});
    if (__builtin_add_overflow(each, width, &each)) return std::numeric_limits<int64_t>::max();
  }
  return checked_product({each, tokens});
}

void check_memory(const models::LoadedModel& model, int64_t tokens, const LoadSettings& settings) {
  int64_t weights = 0;
  for (const formats::TensorInfo& tensor : model.file->tensors) weights += tensor.bytes;
  const int64_t cache = kv_bytes(model.kv, tokens);
  // Scratch is small beside both; a tenth of the weights covers repacking and buffers.
  int64_t needed = weights + weights / 10;
  if (__builtin_add_overflow(needed, cache, &needed)) needed = std::numeric_limits<int64_t>::max();
  if (needed <= settings.available_memory) return;
  fail(ErrorKind::kOutOfMemory,
       "model requires more system memory ({}) than is available ({}): {} of weights, and a KV "
       "cache "
       "of {} for {} tokens; try a smaller num_ctx or a smaller model",
       human_bytes(needed), human_bytes(settings.available_memory), human_bytes(weights),
       human_bytes(cache), tokens);
}

ml::DType kv_dtype(const std::string& name) {
  const std::string lower = lower_case(name);
  if (lower == "f16" || lower.empty()) return ml::DType::kF16;
  if (lower == "q8_0") return ml::DType::kQ8_0;
  if (lower == "f32") return ml::DType::kF32;
  fail(ErrorKind::kUnsupported,
       "OLLAMA_KV_CACHE_TYPE={}: the KV cache can be f16, q8_0 (half the memory of f16) or f32",
       name);
}

text::JinjaSource chat_template_of(const formats::ModelFile& file,
                                   const text::Tokenizer& tokenizer) {
  const formats::Value* value = file.find("tokenizer.chat_template");
  const auto* text = value == nullptr ? nullptr : std::get_if<std::string>(&value->data);
  return {.text = text == nullptr ? std::string() : *text,
          .bos = tokenizer.piece(tokenizer.bos(), true),
          .eos = tokenizer.piece(tokenizer.eos(), true),
          .adds_bos = tokenizer.adds_bos()};
}

// As Ollama's engine gives its vectors: those of bert with another tokenizer, or where the file
// says so, keep their length (spec api-and-cli.md 1.14).
bool normalizes(const formats::ModelFile& file) {
  const models::Metadata metadata(file);
  const std::string& name = metadata.architecture();
  const bool usual = !name.starts_with("nomic-bert");
  if (!metadata.flag("normalize_embeddings", usual)) return false;
  const formats::Value* value = file.find("tokenizer.ggml.model");
  const auto* tokenizer = value == nullptr ? nullptr : std::get_if<std::string>(&value->data);
  return name != "bert" || (tokenizer != nullptr && *tokenizer == "bert");
}

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

}  // namespace

LoadedEngine load_engine(const std::shared_ptr<const formats::ModelFile>& file,
                         const LoadSettings& settings) {
  const auto start = std::chrono::steady_clock::now();
  LoadedEngine out;
  out.parallel = std::clamp<int64_t>(settings.parallel, 1, 256);
  out.capacity = std::max(std::clamp<int64_t>(settings.num_batch, 1, kMostRows), out.parallel);
  out.threads = std::max(1, settings.threads);
  out.speculation = settings.speculation;
  out.model = models::load_model(file, out.capacity);
  out.model.kv.dtype = kv_dtype(settings.kv_type);
  out.context = context_of(settings.num_ctx, out.model.context_length);
  if (!out.model.causal) {
    // A text is computed in one step, so the cache is memory for that step and may be exact.
    out.capacity = std::max(out.capacity, out.context);
    out.model = models::load_model(file, out.capacity);
    out.model.kv.dtype = ml::DType::kF32;
    out.parallel = 1;
  }
  out.pages_each = (out.context + ml::kPageTokens - 1) / ml::kPageTokens;
  const int64_t shared = checked_product({out.pages_each, out.parallel});
  if (shared > std::numeric_limits<int32_t>::max() - kMostTextsOfStep)
    fail(ErrorKind::kOutOfMemory, "num_ctx {} for {} sequences is beyond the KV cache's limit",
         out.context, out.parallel);
  const int64_t pages =
      shared + (out.model.result == models::Result::kLogits ? 0 : kMostTextsOfStep);
  check_memory(out.model, checked_product({pages, ml::kPageTokens}), settings);
  out.tokenizer = text::make_tokenizer(vocabulary_of(*file));
  out.normalizes = normalizes(*file);
  out.chat_template = chat_template_of(*file, *out.tokenizer);
  const double parsed = seconds_since(start);
  out.backend = ml::make_backend(settings.backend);
  out.plan = out.backend->compile(*out.model.graph,
                                  {.threads = out.threads, .progress = settings.progress});
  out.memory = std::make_unique<KvMemory>(out.backend->allocate_kv(out.model.kv, pages));
  log::debug(
      "loaded {} ({} layers, vocabulary {}) in {:.2f} s, {:.2f} s of it before the weights: {} "
      "of weights, {} of scratch, KV cache {} of {} in {} pages for {} x {} tokens, {} threads",
      out.model.architecture, out.model.layers, out.model.vocabulary, seconds_since(start), parsed,
      human_bytes(out.plan->weight_bytes()), human_bytes(out.plan->scratch_bytes()),
      human_bytes(out.memory->store().bytes()), quant::info(out.model.kv.dtype).name, pages,
      out.parallel, out.context, out.threads);
  return out;
}

}  // namespace cria::engine
