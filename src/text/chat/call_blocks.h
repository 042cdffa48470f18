// call_blocks.h - tool calls that a model writes into a block of code.
//
// Models that were trained on code often answer with
//     ```json
//     {"name": "get_weather", "arguments": {"city": "Paris"}}
//     ```
// where their template asks for tags (Qwen2.5-Coder does so even with its own template). Such a
// block is a call when it opens with the name of an offered tool and its arguments; any other block
// is text.
#pragma once

#include "base/json.h"

#include <string>
#include <string_view>
#include <vector>

namespace cria::text {

class CallBlocks {
 public:
  // `tag`: what the parser of calls waits for, see AnswerMarks; `names` of the offered tools.
  CallBlocks(std::string_view tag, const std::vector<std::string>& names);
  // What the parser of calls is to read: a call as if it had been written in its own form, all else
  // as it came. Only what may yet open or close a block is held back.
  std::string add(std::string_view text);
  std::string finish();

 private:
  enum class State { kOutside, kInside, kTextOnly };
  enum class Opening { kYes, kNo, kUndecided };
  struct Found {
    Opening opening;
    size_t object;  // with kYes: where the call begins, behind the language
  };
  bool step(std::string& out);
  bool look(std::string& out);
  void pass(size_t size, std::string& out);
  Found opening(std::string_view text) const;
  std::string tag_;  // empty: calls are bare objects, and nothing may stand before them
  std::vector<std::vector<std::string>> steps_;  // the words of an opening: one of each
  State state_ = State::kOutside;
  bool line_begins_ = true;  // with the buffer
  bool said_ = false;        // something other than calls
  std::string buffer_;
};

}  // namespace cria::text
