#include "api/tokenize.h"

#include "api/fields.h"
#include "base/error.h"

#include <limits>

namespace cria::api {
namespace {

// What one answer, which is built in memory, is allowed to grow to.
constexpr size_t kMaxText = size_t{4} << 20, kMaxPiecedText = size_t{1} << 20;
constexpr size_t kMaxTokens = size_t{4} << 20;

std::string content_of(const Fields& fields) {
  for (const char* const key : {"content", "prompt", "text"})
    if (fields.find(key) != nullptr) return fields.text(key);
  fail(ErrorKind::kInvalidInput, "content is required: the text whose tokens are asked for");
}

}  // namespace

TokenizeRequest parse_tokenize(const Json& body) {
  const Fields fields("TokenizeRequest", body);
  TokenizeRequest out = {.model = fields.required("model"),
                         .content = content_of(fields),
                         .add_special = fields.flag("add_special").value_or(false),
                         .parse_special = fields.flag("parse_special").value_or(true),
                         .with_pieces = fields.flag("with_pieces").value_or(false),
                         .keep_alive = parse_keep_alive(fields.find("keep_alive"))};
  const size_t most = out.with_pieces ? kMaxPiecedText : kMaxText;
  if (out.content.size() > most)
    fail(ErrorKind::kInvalidInput,
         "content is {} bytes long, at most {} are tokenized at a time{}; send it in parts",
         out.content.size(), most, out.with_pieces ? " with pieces" : "");
  return out;
}

DetokenizeRequest parse_detokenize(const Json& body) {
  const Fields fields("DetokenizeRequest", body);
  DetokenizeRequest out = {.model = fields.required("model"),
                           .keep_alive = parse_keep_alive(fields.find("keep_alive"))};
  if (fields.find("tokens") == nullptr)
    fail(ErrorKind::kInvalidInput, "tokens is required: a list of token ids");
  const Json tokens = fields.list("tokens");
  if (tokens.size() > kMaxTokens)
    fail(ErrorKind::kInvalidInput, "tokens holds {} ids, at most {} are allowed at a time",
         tokens.size(), kMaxTokens);
  out.tokens.reserve(tokens.size());
  for (const Json& item : tokens) {
    if (!item.is_number_integer() || item < 0 || item > std::numeric_limits<int32_t>::max())
      fail(ErrorKind::kInvalidInput, "tokens[{}] is {:.40}, which is no token id",
           out.tokens.size(), dump_json(item));
    out.tokens.push_back(item.get<int32_t>());
  }
  return out;
}

}  // namespace cria::api
