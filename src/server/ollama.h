// ollama.h - the native dialect's answers: runner events as JSON lines. Pure functions.
#pragma once

#include "api/duration.h"
#include "base/json.h"
#include "protocol/protocol.h"

#include <string>

namespace cria::server {

enum class Shape { kGenerate, kChat };  // which endpoint's object is written

// What an answer, or a part of one, says.
struct Answer {
  Shape shape = Shape::kChat;
  std::string model;  // as asked
  api::WallTime created_at;
  std::string content, thinking;
  Json tool_calls = Json::array();
  Json logprobs = Json::array();
  std::string done_reason;  // of the last part
  bool done = false;

  void append(const protocol::Text& text);
};

struct Timing {
  api::Nanoseconds total{0}, load{0};
};

Json render(const Answer& answer);
// The last part: with the counts and times of `done`.
Json render(const Answer& answer, const protocol::Done& done, const Timing& timing);
// The answer to _debug_render_only.
Json render_debug(const Answer& answer, const protocol::Done& done, size_t image_count);

}  // namespace cria::server
