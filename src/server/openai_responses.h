// openai_responses.h - OpenAI's responses: runner events as the events of a stream, which add up to
// the one object of the whole form (spec api-and-cli.md 2.6). Pure but for ids and the time.
#pragma once

#include "base/json.h"
#include "protocol/protocol.h"
#include "server/call_pieces.h"
#include "server/truncation.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace cria::server {

struct ResponseHead {
  std::string model;           // as asked
  bool single_call = false;    // calls after the first are dropped
  Json echo = Json::object();  // what the request said
};

// Each event is named by its "type". Items come one after the other; a new one begins where the
// kind of text changes, and with each call.
class ResponseEvents {
 public:
  explicit ResponseEvents(ResponseHead head);
  std::vector<Json> on_text(const protocol::Text& text);
  std::vector<Json> on_done(const protocol::Done& done);
  std::vector<Json> on_failure(std::string_view message);  // instead of on_done
  Json object() const;                                     // as it stands now

 private:
  enum class Item { kNone, kReasoning, kMessage, kCall };
  void emit(std::vector<Json>& out, std::string_view type, const Json& rest);
  // An event of the open item.
  void emit_here(std::vector<Json>& out, std::string_view type, const Json& rest);
  void begin(std::vector<Json>& out);
  void end(std::vector<Json>& out, std::string_view status);
  void open(Item item, std::string_view prefix, std::vector<Json>& out);
  void close(std::vector<Json>& out, const char* status = "completed");
  void add_reasoning(const std::string& piece, std::vector<Json>& out);
  void add_text(const std::string& piece, std::vector<Json>& out);
  void add_call(const CallPiece& piece, std::vector<Json>& out);
  // The open item as it stands.
  Json item(const char* status) const;

  ResponseHead head_;
  std::string id_, status_ = "in_progress";
  int64_t created_ = 0, sequence_ = 0;
  CallPieces calls_;
  bool begun_ = false, call_whole_ = false;
  Item item_ = Item::kNone;
  std::string item_id_, text_;   // of the open item
  std::string call_id_, name_;   // of an open call
  Json output_ = Json::array();  // closed items
  Losses losses_;
  Json usage_, error_, incomplete_, completed_at_;
};

}  // namespace cria::server
