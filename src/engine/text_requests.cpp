#include "engine/text_requests.h"

#include "base/error.h"
#include "base/log.h"
#include "base/utf8.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

namespace cria::engine {
namespace {

constexpr size_t kTokensOfEvent = size_t{1} << 16;  // far below what a frame holds

bool is_utf8(std::string_view text) {
  for (size_t at = 0; at < text.size();) {
    const CodePoint c = decode_utf8(text, at);
    if (c.value == kInvalidCodePoint) return false;
    at += c.length;
  }
  return true;
}

// A token may be a part of a character, which JSON has no strings for.
Json piece_of(const text::Tokenizer& tokenizer, text::TokenId token) {
  std::string piece = tokenizer.piece(token, true);
  if (is_utf8(piece)) return piece;
  Json bytes = Json::array();
  for (const char c : piece) bytes.push_back(static_cast<unsigned char>(c));
  return bytes;
}

}  // namespace

void answer(const protocol::Tokenize& request, const text::Tokenizer& tokenizer, const Emit& emit) {
  const std::vector<text::TokenId> ids = tokenizer.encode(
      request.text, {.add_special = request.add_special, .parse_special = request.parse_special});
  for (size_t start = 0; start < ids.size(); start += kTokensOfEvent) {
    const auto part = std::span(ids).subspan(start, std::min(kTokensOfEvent, ids.size() - start));
    protocol::Tokens event = {.id = request.id, .tokens = {part.begin(), part.end()}};
    if (request.pieces)
      for (const text::TokenId id : part) event.pieces.push_back(piece_of(tokenizer, id));
    emit(event);
  }
  log::debug("request {}: {} bytes are {} tokens", request.id, request.text.size(), ids.size());
  emit(protocol::Done{.id = request.id, .reason = "stop", .prompt_tokens = std::ssize(ids)});
}

void answer(const protocol::Detokenize& request, const text::Tokenizer& tokenizer,
            const Emit& emit) {
  for (const text::TokenId id : request.tokens)
    if (id < 0 || id >= tokenizer.size())
      fail(ErrorKind::kInvalidInput, "tokens holds {}, but this model has tokens 0 to {}", id,
           tokenizer.size() - 1);
  std::string content = tokenizer.decode(request.tokens, true);
  log::debug("request {}: {} tokens are {} bytes", request.id, request.tokens.size(),
             content.size());
  emit(protocol::Text{.id = request.id, .content = std::move(content)});
  emit(protocol::Done{
      .id = request.id, .reason = "stop", .prompt_tokens = std::ssize(request.tokens)});
}

}  // namespace cria::engine
