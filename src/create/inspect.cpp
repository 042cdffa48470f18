#include "create/inspect.h"

#include "base/error.h"
#include "base/log.h"
#include "text/chat/convert.h"
#include "text/chat/detect.h"
#include "text/tokenizer/pretokenizer.h"

#include <array>
#include <cmath>

namespace cria::create {
namespace {

using formats::ModelFile;
using formats::Value;

constexpr const char* kParameterCount = "general.parameter_count";

struct FileType {
  int64_t id;
  std::string_view name;
};

// general.file_type: what most of the tensors are (spec store section 11).
constexpr std::array kFileTypes = {
    FileType{0, "F32"},      FileType{1, "F16"},        FileType{2, "Q4_0"},
    FileType{3, "Q4_1"},     FileType{4, "MXFP4"},  // as Ollama's own gpt-oss files say
    FileType{7, "Q8_0"},     FileType{8, "Q5_0"},       FileType{9, "Q5_1"},
    FileType{10, "Q2_K"},    FileType{11, "Q3_K_S"},    FileType{12, "Q3_K_M"},
    FileType{13, "Q3_K_L"},  FileType{14, "Q4_K_S"},    FileType{15, "Q4_K_M"},
    FileType{16, "Q5_K_S"},  FileType{17, "Q5_K_M"},    FileType{18, "Q6_K"},
    FileType{19, "IQ2_XXS"}, FileType{20, "IQ2_XS"},    FileType{21, "Q2_K_S"},
    FileType{22, "IQ3_XS"},  FileType{23, "IQ3_XXS"},   FileType{24, "IQ1_S"},
    FileType{25, "IQ4_NL"},  FileType{26, "IQ3_S"},     FileType{27, "IQ3_M"},
    FileType{28, "IQ2_S"},   FileType{29, "IQ2_M"},     FileType{30, "IQ4_XS"},
    FileType{31, "IQ1_M"},   FileType{32, "BF16"},      FileType{36, "TQ1_0"},
    FileType{37, "TQ2_0"},   FileType{38, "MXFP4_MOE"}, FileType{39, "NVFP4"},
    FileType{40, "Q1_0"},
};

std::string text_of(const ModelFile& file, std::string_view key) {
  const Value* value = file.find(key);
  const auto* text = value == nullptr ? nullptr : std::get_if<std::string>(&value->data);
  return text == nullptr ? std::string() : *text;
}

int64_t integer_of(const ModelFile& file, const std::string& key, int64_t fallback) {
  const Value* value = file.find(key);
  const auto* number = value == nullptr ? nullptr : std::get_if<int64_t>(&value->data);
  return number == nullptr ? fallback : *number;
}

Json to_json(const Value& value, bool verbose) {
  return std::visit(
      [&](const auto& data) -> Json {
        using T = std::decay_t<decltype(data)>;
        if constexpr (std::is_same_v<T, formats::Array>) {
          if (!verbose) return nullptr;
          Json list = Json::array();
          for (const Value& element : data) list.push_back(to_json(element, verbose));
          return list;
        } else if constexpr (std::is_same_v<T, double>) {
          return std::isfinite(data) ? Json(data) : Json(nullptr);
        } else if constexpr (std::is_same_v<T, bool> || std::is_same_v<T, int64_t> ||
                             std::is_same_v<T, uint64_t> || std::is_same_v<T, std::string>) {
          return data;
        } else {
          return verbose ? Json(data) : Json(nullptr);
        }
      },
      value.data);
}

std::string quantization(const ModelFile& file) {
  const int64_t type = integer_of(file, "general.file_type", -1);
  for (const FileType& row : kFileTypes)
    if (row.id == type) return std::string(row.name);
  return "unknown";
}

int64_t count_parameters(const ModelFile& file) {
  int64_t total = 0;
  for (const formats::TensorInfo& tensor : file.tensors) {
    int64_t elements = 1;  // their product fits: the reader has checked it
    for (const int64_t n : tensor.shape) elements *= n;
    if (__builtin_add_overflow(total, elements, &total))
      fail(ErrorKind::kInvalidInput, "the number of parameters overflows");
  }
  return total;
}

Json model_info(const ModelFile& file, int64_t parameters, bool verbose) {
  Json info = Json::object();
  for (const auto& [key, value] : file.metadata)
    if (key != "general.name" && key != "tokenizer.chat_template" && key != kParameterCount)
      json_append(info, key, to_json(value, verbose));  // keys are unique
  json_append(info, kParameterCount, parameters);
  return info;
}

Json tensor_list(const ModelFile& file) {
  Json list = Json::array();
  for (const formats::TensorInfo& tensor : file.tensors) {
    Json shape = Json::array();
    for (int i = 0; i < tensor.rank; ++i) shape.push_back(tensor.shape[static_cast<size_t>(i)]);
    Json row = Json::object();
    row["name"] = tensor.name;
    row["type"] = quant::info(tensor.dtype).name;
    row["shape"] = std::move(shape);
    list.push_back(std::move(row));
  }
  return list;
}

Json capabilities(const ModelFile& file, const std::string& family) {
  Json list = Json::array();
  constexpr int64_t kRank = 4;
  const std::string key = family + ".pooling_type";
  const bool ranks = integer_of(file, key, 0) == kRank;
  list.push_back(file.find(key) == nullptr ? "completion" : ranks ? "rerank" : "embedding");
  if (file.find(family + ".vision.block_count") != nullptr) list.push_back("vision");
  if (file.find(family + ".audio.block_count") != nullptr) list.push_back("audio");
  return list;
}

// "model", "adapter" or "projector" (spec store 9.3, step 2).
std::string general_type(const ModelFile& file, const std::string& family) {
  const std::string type = text_of(file, "general.type");
  if (type == "adapter") return "adapter";
  if (type == "projector" || type == "mmproj") return "projector";
  const bool blocks = integer_of(file, family + ".block_count", 0) > 0;
  const bool vision = integer_of(file, family + ".vision.block_count", 0) > 0;
  const bool clip = family == "clip" && (file.find("clip.has_vision_encoder") != nullptr ||
                                         file.find("clip.has_audio_encoder") != nullptr);
  return !blocks && (vision || clip) ? "projector" : "model";
}

bool adds_bos(const ModelFile& file) {
  const Value* value = file.find("tokenizer.ggml.add_bos_token");
  const auto* given = value == nullptr ? nullptr : std::get_if<bool>(&value->data);
  if (given != nullptr) return *given;
  const std::string kind = text_of(file, "tokenizer.ggml.model");
  if (kind != "gpt2") return kind == "llama" || kind == "gemma4";
  try {
    return text::PreTokenizer(text_of(file, "tokenizer.ggml.pre")).flags().add_bos;
  } catch (const Error&) {
    return false;  // unknown here: no prompt will be tokenized either
  }
}

std::string token_text(const ModelFile& file, const std::string& key) {
  const int64_t id = integer_of(file, key, -1);
  const Value* value = file.find("tokenizer.ggml.tokens");
  const auto* tokens =
      value == nullptr ? nullptr : std::get_if<std::vector<std::string>>(&value->data);
  if (tokens == nullptr || id < 0 || id >= std::ssize(*tokens)) return {};
  return (*tokens)[static_cast<size_t>(id)];
}

// A Go form of a chat template that is none of the known ones, if it can be proved.
void add_conversion(const ModelFile& file, const std::string& chat_template, Json& facts) {
  const text::Conversion conversion =
      text::convert_chat_template({.text = chat_template,
                                   .bos = token_text(file, "tokenizer.ggml.bos_token_id"),
                                   .eos = token_text(file, "tokenizer.ggml.eos_token_id"),
                                   .adds_bos = adds_bos(file)});
  if (conversion.text.empty())
    return log::info("the file's chat template has no Go form ({}): it is run as it is",
                     conversion.why_none);
  facts["template"] = conversion.text;
  facts["template_name"] = "";
  facts["parameters"] = Json::object();
  if (!conversion.stop.empty()) facts["parameters"]["stop"] = conversion.stop;
}

}  // namespace

std::string human_count(int64_t count) {
  const auto scaled = [&](int64_t unit, int decimals, char letter) {
    if (count % unit == 0) return fmt::format("{}{}", count / unit, letter);
    return fmt::format("{:.{}f}{}", static_cast<double>(count) / static_cast<double>(unit),
                       decimals, letter);
  };
  if (count >= 1'000'000'000) return scaled(1'000'000'000, 1, 'B');
  if (count >= 1'000'000) return scaled(1'000'000, 2, 'M');
  if (count >= 1'000) return scaled(1'000, 0, 'K');
  return std::to_string(count);
}

Json inspect(const ModelFile& file, bool verbose) {
  const std::string family = text_of(file, "general.architecture");
  if (family.empty())
    fail(ErrorKind::kInvalidInput, "metadata \"general.architecture\" is missing or empty");
  const int64_t parameters = count_parameters(file);
  Json facts = Json::object();
  facts["format"] = "gguf";
  facts["general_type"] = general_type(file, family);
  facts["family"] = family;
  facts["families"] = Json::array({family});
  facts["parameter_count"] = parameters;
  facts["parameter_size"] = human_count(parameters);
  facts["quantization_level"] = quantization(file);
  facts["context_length"] = integer_of(file, family + ".context_length", 0);
  facts["embedding_length"] = integer_of(file, family + ".embedding_length", 0);
  facts["capabilities"] = capabilities(file, family);
  const std::string chat_template = text_of(file, "tokenizer.chat_template");
  facts["chat_template"] = chat_template;
  if (const auto known = text::detect_template(chat_template); !chat_template.empty() && known) {
    facts["template"] = known->text;
    facts["template_name"] = known->name;
    facts["parameters"] = known->parameters;
  } else if (!chat_template.empty()) {
    add_conversion(file, chat_template, facts);
  }
  facts["model_info"] = model_info(file, parameters, verbose);
  facts["tensors"] = tensor_list(file);
  return facts;
}

}  // namespace cria::create
