// anthropic.h - Anthropic's messages: runner events as the events of a stream or as one message
// (spec api-and-cli.md 3). Pure but for ids.
#pragma once

#include "base/json.h"
#include "protocol/protocol.h"
#include "server/call_pieces.h"
#include "server/truncation.h"

#include <cstdint>
#include <string>
#include <vector>

namespace cria::server {

struct AnthropicHead {
  std::string id;
  std::string model;                        // as asked
  bool single_call = false;                 // calls after the first are dropped
  std::vector<std::string> stop_sequences;  // of the request
};

// The events of a stream, each named by its "type". Blocks come one after the other; a new one
// begins where the kind of text changes, and with each call.
class MessageEvents {
 public:
  explicit MessageEvents(AnthropicHead head) : head_(std::move(head)), calls_(head_.single_call) {}
  std::vector<Json> on_text(const protocol::Text& text);
  std::vector<Json> on_done(const protocol::Done& done);

 private:
  enum class Block { kNone, kThinking, kText, kCall };
  void begin(int64_t prompt_tokens, const Losses& losses, std::vector<Json>& out);
  void open(Block kind, Json block, std::vector<Json>& out);
  void close(std::vector<Json>& out);
  void delta(Json delta, std::vector<Json>& out) const;
  void add_text(Block kind, const char* name, const std::string& piece, std::vector<Json>& out);
  void add_call(const CallPiece& piece, std::vector<Json>& out);

  AnthropicHead head_;
  CallPieces calls_;
  bool begun_ = false;
  Block block_ = Block::kNone;
  int64_t index_ = 0;  // of the open block, or of the next
};

class MessageObject {
 public:
  explicit MessageObject(AnthropicHead head) : head_(std::move(head)) {}
  void on_text(const protocol::Text& text);
  Json on_done(const protocol::Done& done);

 private:
  void add(const char* type, const std::string& text);

  AnthropicHead head_;
  Json content_ = Json::array();
  bool called_ = false;
};

}  // namespace cria::server
