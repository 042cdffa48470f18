#include "server/call_pieces.h"

#include "server/openai.h"

#include <utility>

namespace cria::server {
namespace {

CallPiece piece_of(const Json& json) {
  CallPiece out = {.begins = json.contains("name"),
                   .id = json_string(json, "id").value_or(""),
                   .name = json_string(json, "name").value_or(""),
                   .arguments = json_string(json, "arguments").value_or(""),
                   .last = json_bool(json, "last").value_or(false)};
  return out;
}

CallPiece piece_of_whole(const Json& call) {
  const Json known = openai_call(call);
  return {.begins = true,
          .id = known["id"],
          .name = known["function"]["name"],
          .arguments = known["function"]["arguments"],
          .last = true};
}

}  // namespace

std::vector<CallPiece> CallPieces::add(const protocol::Text& text) {
  std::vector<CallPiece> out;
  const auto take = [&](CallPiece piece) {
    if (single_ && called_) return;
    if (piece.begins) ++begun_;
    if (begun_ == 0) return;  // a runner that begins in the middle
    piece.number = begun_ - 1;
    called_ = called_ || piece.last;
    out.push_back(std::move(piece));
  };
  for (const Json& call : text.tool_calls) take(piece_of_whole(call));
  for (const Json& piece : text.call_pieces) take(piece_of(piece));
  return out;
}

}  // namespace cria::server
