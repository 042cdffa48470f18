#include "engine/loader.h"

#include "base/error.h"
#include "base/log.h"
#include "base/resources.h"
#include "base/text.h"
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

constexpr int64_t kMostPages = std::numeric_limits<int32_t>::max() - kMostTextsOfStep;

int64_t pages_for(int64_t tokens) {
  return std::min(tokens, kMostPages * ml::kPageTokens - 1) / ml::kPageTokens +
         (tokens % ml::kPageTokens == 0 ? 0 : 1);
}

struct KvPlan {
  int64_t context, longest, parallel, pages;
};

// How the memory is shared out between weights and KV cache.
class MemoryPlan {
 public:
  MemoryPlan(const models::LoadedModel& model, const LoadSettings& settings)
      : settings_(settings),
        trained_(model.context_length > 0 ? model.context_length : kUsualContext),
        page_bytes_(std::max<int64_t>(kv_bytes(model.kv, ml::kPageTokens), 1)),
        text_pages_(model.result == models::Result::kLogits ? 0 : kMostTextsOfStep),
        // A text of an encoder is one step.
        parallel_(model.causal ? settings.parallel : 1) {
    for (const formats::TensorInfo& tensor : model.file->tensors) weights_ += tensor.bytes;
    // Scratch is small beside both; a tenth of the weights covers repacking and buffers.
    room_ = settings.available_memory - weights_ - weights_ / 10;
  }

  // Throws Error{kOutOfMemory} when what has to be there is not.
  KvPlan kv() const {
    const bool fixed = settings_.num_ctx > 0;
    int64_t least = fixed ? std::min(std::max(settings_.num_ctx, kLeastContext), trained_)
                          : std::min(kUsualContext, trained_);
    // Places that were asked for are promised the context; others share what there is.
    const int64_t places = std::clamp<int64_t>(parallel_, 1, kMostPlaces);
    int64_t promised = checked_product({pages_for(least), places});
    if (settings_.kv_memory > 0) {  // who wants less gets less
      promised = std::clamp<int64_t>(pages_in(settings_.kv_memory), 1, promised);
      least = std::min(least, promised * ml::kPageTokens);
    }
    if (promised > pages_in(room_)) refuse(least, places, promised);
    // Half of the room is left to other models and programs, where nobody says otherwise.
    const int64_t usual =
        settings_.kv_memory > 0 ? std::min(room_, settings_.kv_memory) : room_ / 2;
    const int64_t fitting = std::max(promised, pages_in(usual));
    const int64_t longest = std::min(trained_, fitting * ml::kPageTokens);
    const int64_t all =
        checked_product({pages_for(longest), parallel_ > 0 ? places : kUsualPlaces});
    const int64_t pages = std::min(all, fitting);
    return {.context = fixed ? least : longest,
            .longest = longest,
            .parallel = parallel_ > 0
                            ? places
                            : std::clamp<int64_t>(pages * ml::kPageTokens / kTokensOfPlace, 1,
                                                  kUsualPlaces),
            .pages = pages + text_pages_};
  }

 private:
  // A place costs the pages that its request uses: so many tokens should do for most.
  static constexpr int64_t kUsualPlaces = 16, kTokensOfPlace = 2048, kMostPlaces = 256;

  int64_t pages_in(int64_t bytes) const {
    return std::clamp<int64_t>(bytes / page_bytes_ - text_pages_, 0, kMostPages);
  }

  [[noreturn]] void refuse(int64_t context, int64_t places, int64_t pages) const {
    const int64_t tokens = checked_product({context, places});
    const int64_t cache = checked_product({page_bytes_, pages + text_pages_});
    int64_t needed = weights_ + weights_ / 10;
    if (__builtin_add_overflow(needed, cache, &needed))
      needed = std::numeric_limits<int64_t>::max();
    const std::string text = fmt::format(
        "model requires more system memory ({}) than is available ({}): {} of weights, and a KV "
        "cache of {} for {} tokens{}; try {}",
        human_bytes(needed), human_bytes(settings_.available_memory), human_bytes(weights_),
        human_bytes(cache), tokens,
        places > 1 ? fmt::format(" ({} for each of {} places)", context, places) : "",
        suggestion(context, places));
    throw Error(ErrorKind::kOutOfMemory, text,
                Shortage{.needed = needed, .available = settings_.available_memory});
  }

  // What was asked for by name, and would have to be less.
  std::string suggestion(int64_t context, int64_t places) const {
    const bool fits_once = pages_for(context) <= pages_in(room_);
    if (places > 1 && fits_once)
      return fmt::format("a smaller OLLAMA_NUM_PARALLEL (it is {}), or none", places);
    if (settings_.num_ctx > 0 && pages_in(room_) > 0)
      return fmt::format("a smaller OLLAMA_CONTEXT_LENGTH (it is {}), or a smaller model", context);
    return "a smaller model";
  }

  const LoadSettings& settings_;
  const int64_t trained_, page_bytes_, text_pages_, parallel_;
  int64_t weights_ = 0, room_ = 0;
};

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

// Whether the weights are in the system's cache, as far as each tensor's beginning and middle tell,
// and the memory has room for both.
bool stays_cached(const formats::ModelFile& file, int64_t available) {
  int64_t bytes = 0;
  for (const formats::TensorInfo& tensor : file.tensors) {
    bytes += tensor.bytes;
    for (const int64_t at : {int64_t{0}, tensor.bytes / 2})
      if (tensor.bytes > 0 && !tensor.file->is_cached(tensor.offset + at)) return false;
  }
  return bytes < available / 3;
}

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

}  // namespace

int64_t LoadedEngine::context_for(int64_t num_ctx) const {
  if (num_ctx <= 0) return context;
  int64_t wanted = std::max(num_ctx, kLeastContext);
  if (model.context_length > 0) wanted = std::min(wanted, model.context_length);
  if (wanted > longest)
    fail(ErrorKind::kInvalidInput,
         "num_ctx is {}, but this model's KV cache has room for {} tokens ({}); a larger "
         "OLLAMA_CONTEXT_LENGTH or CRIA_KV_MEMORY makes room where the memory has it",
         num_ctx, longest, human_bytes(memory->store().bytes()));
  return wanted;
}

LoadedEngine load_engine(const std::shared_ptr<const formats::ModelFile>& file,
                         const LoadSettings& settings) {
  const auto start = std::chrono::steady_clock::now();
  LoadedEngine out;
  out.capacity = std::clamp<int64_t>(settings.num_batch, 1, kMostRows);
  out.threads = std::max(1, settings.threads);
  out.speculation = settings.speculation;
  out.model = models::load_model(file, out.capacity);
  // A text of an encoder is computed in one step, so the cache is memory for that step and may be
  // exact.
  out.model.kv.dtype = out.model.causal ? kv_dtype(settings.kv_type) : ml::DType::kF32;
  const KvPlan kv = MemoryPlan(out.model, settings).kv();
  out.context = kv.context;
  out.longest = kv.longest;
  out.parallel = kv.parallel;
  const int64_t rows = std::max(out.capacity, out.model.causal ? out.parallel : out.longest);
  if (rows > out.capacity) {
    out.capacity = rows;
    const ml::DType dtype = out.model.kv.dtype;
    out.model = models::load_model(file, rows);
    out.model.kv.dtype = dtype;
  }
  out.tokenizer = text::make_tokenizer(vocabulary_of(*file));
  out.normalizes = normalizes(*file);
  out.chat_template = chat_template_of(*file, *out.tokenizer);
  const double parsed = seconds_since(start);
  out.backend = ml::make_backend(settings.backend);
  const bool late = settings.late_weights && stays_cached(*file, settings.available_memory);
  out.plan = out.backend->compile(
      *out.model.graph,
      {.threads = out.threads, .late_weights = late, .progress = settings.progress});
  out.memory = std::make_unique<KvMemory>(out.backend->allocate_kv(out.model.kv, kv.pages),
                                          std::max(out.pages_each(), kv.pages / 4));
  log::debug(
      "loaded {} ({} layers, vocabulary {}) in {:.2f} s, {:.2f} s of it before the weights: {} "
      "of weights, {} of scratch, KV cache up to {} of {} in {} pages, {} x {} tokens or at most "
      "{}, {} threads",
      out.model.architecture, out.model.layers, out.model.vocabulary, seconds_since(start), parsed,
      human_bytes(out.plan->weight_bytes()), human_bytes(out.plan->scratch_bytes()),
      human_bytes(out.memory->store().bytes()), quant::info(out.model.kv.dtype).name, kv.pages,
      out.parallel, out.context, out.longest, out.threads);
  return out;
}

}  // namespace cria::engine
