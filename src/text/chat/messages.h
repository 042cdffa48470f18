// messages.h - chat messages and tools as a template sees them: structs with Go's field names.
#pragma once

#include "base/json.h"
#include "text/template/value.h"

#include <string>
#include <vector>

namespace cria::text {

// One message of a conversation; the wire form is Ollama's.
struct ChatMessage {
  std::string role, content, thinking, tool_name, tool_call_id;
  int64_t images = 0;  // how many
  Json tool_calls = Json::array();
};

// Throws Error{kInvalidInput} naming the message and the field.
std::vector<ChatMessage> chat_messages(const Json& messages);

Value message_value(const ChatMessage& message);
Value tools_value(const Json& tools);

}  // namespace cria::text
