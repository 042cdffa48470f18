#include "api/embed.h"

#include "api/dialect.h"
#include "api/fields.h"
#include "api/ollama.h"
#include "base/error.h"
#include "base/text.h"

#include <algorithm>

namespace cria::api {
namespace {

// OpenAI's models may be given the ids of tokens, which mean nothing to a model of another
// tokenizer: LangChain sends those of OpenAI's unless it is told not to.
bool is_token_ids(const Json& input) {
  if (!input.is_array() || input.empty()) return false;
  const Json& first = input.front();
  return first.is_number_integer() ||
         (first.is_array() && !first.empty() && first.front().is_number_integer());
}

std::vector<std::string> checked_inputs(const Json& input) {
  if (input.is_string()) return {input.get<std::string>()};
  std::vector<std::string> out;
  if (!input.is_array()) fail(ErrorKind::kInvalidInput, "invalid input type");
  out.reserve(input.size());
  for (const Json& item : input) {
    if (!item.is_string()) fail(ErrorKind::kInvalidInput, "invalid input type");
    out.push_back(item.get<std::string>());
  }
  return out;
}

int64_t checked_dimensions(const Fields& fields) {
  const int64_t dimensions = fields.integer("dimensions").value_or(0);
  if (dimensions < 0)
    fail(ErrorKind::kInvalidInput, "dimensions is {}, expected 0 (all) or more", dimensions);
  return dimensions;
}

}  // namespace

EmbedRequest parse_embed(const Json& body) {
  const Fields fields("EmbedRequest", body);
  EmbedRequest out = {.model = fields.text("model"),
                      .truncate = fields.flag("truncate").value_or(true),
                      .dimensions = checked_dimensions(fields),
                      .options = check_options(fields.object("options")),
                      .keep_alive = parse_keep_alive(fields.find("keep_alive"))};
  const Json* const input = fields.find("input");
  if (input != nullptr && *input != "") out.inputs = checked_inputs(*input);
  return out;
}

EmbedRequest parse_embeddings(const Json& body) {
  const Fields fields("EmbeddingRequest", body);
  EmbedRequest out = {.model = fields.required("model"),
                      .truncate = false,
                      .options = check_options(fields.object("options")),
                      .keep_alive = parse_keep_alive(fields.find("keep_alive"))};
  if (std::string prompt = fields.text("prompt"); !prompt.empty())
    out.inputs.push_back(std::move(prompt));
  return out;
}

EmbedRequest parse_v1_embeddings(const Json& body) {
  const Fields fields("EmbedRequest", body);
  EmbedRequest out = {.model = fields.required("model"),
                      .truncate = fields.flag("truncate").value_or(true),
                      .dimensions = checked_dimensions(fields),
                      .options = check_options(fields.object("options")),
                      .keep_alive = parse_keep_alive(fields.find("keep_alive"))};
  copy_context(fields, out.options);
  const Json* const input = fields.find("input");
  if (input == nullptr || (input->is_array() && input->empty()))
    fail(ErrorKind::kInvalidInput, "invalid input");
  if (is_token_ids(*input))
    fail(ErrorKind::kInvalidInput,
         "invalid input type: token ids are not supported, send the texts "
         "(with langchain-openai: check_embedding_ctx_length=False)");
  out.inputs = checked_inputs(*input);
  const std::string format = fields.text("encoding_format");
  const std::string lower = lower_case(format);
  if (!lower.empty() && lower != "float" && lower != "base64")
    fail(ErrorKind::kInvalidInput,
         "Invalid value for 'encoding_format' = {}. Supported values: ['float', 'base64'].",
         format);
  out.base64 = lower == "base64";
  return out;
}

}  // namespace cria::api
