#include "engine/vocabulary.h"

#include "base/error.h"

#include <array>
#include <limits>
#include <utility>

namespace cria::engine {
namespace {

using formats::Value;

[[noreturn]] void wrong_type(std::string_view key, const char* expected) {
  fail(ErrorKind::kInvalidInput, "metadata {} must be {}", key, expected);
}

class Reader {
 public:
  explicit Reader(const formats::ModelFile& file) : file_(file) {}

  std::string text(std::string_view key) const {
    const Value* value = find(key);
    if (value == nullptr) return {};
    if (const auto* text = std::get_if<std::string>(&value->data)) return *text;
    wrong_type(full(key), "a string");
  }

  std::vector<std::string> texts(std::string_view key) const {
    const Value* value = find(key);
    if (value == nullptr) return {};
    if (const auto* texts = std::get_if<std::vector<std::string>>(&value->data)) return *texts;
    wrong_type(full(key), "an array of strings");
  }

  std::vector<int32_t> integers(std::string_view key) const {
    const Value* value = find(key);
    if (value == nullptr) return {};
    const auto* numbers = std::get_if<std::vector<int64_t>>(&value->data);
    if (numbers == nullptr) wrong_type(full(key), "an array of integers");
    std::vector<int32_t> out;
    out.reserve(numbers->size());
    for (const int64_t number : *numbers) out.push_back(narrow(key, number));
    return out;
  }

  std::vector<float> numbers(std::string_view key) const {
    const Value* value = find(key);
    if (value == nullptr) return {};
    const auto convert = [](const auto& numbers) {
      std::vector<float> out;
      out.reserve(numbers.size());
      for (const auto number : numbers) out.push_back(static_cast<float>(number));
      return out;
    };
    if (const auto* doubles = std::get_if<std::vector<double>>(&value->data))
      return convert(*doubles);
    if (const auto* whole = std::get_if<std::vector<int64_t>>(&value->data)) return convert(*whole);
    wrong_type(full(key), "an array of numbers");
  }

  // Some files write "no such token" as 2^32 - 1; larger than any vocabulary is absent.
  int32_t id(std::string_view key) const {
    const Value* value = find(key);
    if (value == nullptr) return -1;
    if (const auto* number = std::get_if<int64_t>(&value->data))
      return *number >= 0 && *number < std::numeric_limits<int32_t>::max()
                 ? static_cast<int32_t>(*number)
                 : -1;
    if (std::holds_alternative<uint64_t>(value->data)) return -1;
    wrong_type(full(key), "an integer");
  }

  int flag(std::string_view key) const {
    const Value* value = find(key);
    if (value == nullptr) return -1;
    if (const auto* flag = std::get_if<bool>(&value->data)) return *flag ? 1 : 0;
    if (const auto* number = std::get_if<int64_t>(&value->data)) return *number != 0 ? 1 : 0;
    wrong_type(full(key), "a boolean");
  }

  std::string bytes(std::string_view key) const {
    std::string out;
    for (const int32_t byte : integers(key)) out.push_back(static_cast<char>(byte));
    return out;
  }

 private:
  static std::string full(std::string_view key) { return "tokenizer.ggml." + std::string(key); }
  const Value* find(std::string_view key) const { return file_.find(full(key)); }
  static int32_t narrow(std::string_view key, int64_t number) {
    if (number < std::numeric_limits<int32_t>::min() ||
        number > std::numeric_limits<int32_t>::max())
      fail(ErrorKind::kInvalidInput, "metadata {} holds {}, which is no 32-bit number", full(key),
           number);
    return static_cast<int32_t>(number);
  }

  const formats::ModelFile& file_;
};

}  // namespace

text::VocabularySpec vocabulary_of(const formats::ModelFile& file) {
  const Reader in(file);
  text::VocabularySpec spec;
  spec.model = in.text("model");
  if (spec.model.empty())
    fail(ErrorKind::kInvalidInput, "the file has no tokenizer: tokenizer.ggml.model is missing");
  spec.pre = in.text("pre");
  spec.tokens = in.texts("tokens");
  spec.merges = in.texts("merges");
  spec.scores = in.numbers("scores");
  spec.types = in.integers("token_type");
  spec.more_eos = in.integers("eos_token_ids");
  spec.precompiled_charsmap = in.bytes("precompiled_charsmap");
  const std::array<std::pair<int32_t*, const char*>, 9> ids = {{{&spec.bos, "bos_token_id"},
                                                                {&spec.eos, "eos_token_id"},
                                                                {&spec.eot, "eot_token_id"},
                                                                {&spec.eom, "eom_token_id"},
                                                                {&spec.unk, "unknown_token_id"},
                                                                {&spec.sep, "seperator_token_id"},
                                                                {&spec.pad, "padding_token_id"},
                                                                {&spec.cls, "cls_token_id"},
                                                                {&spec.mask, "mask_token_id"}}};
  for (const auto& [field, key] : ids) *field = in.id(key);
  const std::array<std::pair<int*, const char*>, 7> flags = {
      {{&spec.add_bos, "add_bos_token"},
       {&spec.add_eos, "add_eos_token"},
       {&spec.add_sep, "add_sep_token"},
       {&spec.add_space_prefix, "add_space_prefix"},
       {&spec.remove_extra_whitespaces, "remove_extra_whitespaces"},
       {&spec.lowercase, "normalizer.lowercase"},
       {&spec.strip_accents, "normalizer.strip_accents"}}};
  for (const auto& [field, key] : flags) *field = in.flag(key);
  return spec;
}

}  // namespace cria::engine
