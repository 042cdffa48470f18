// call_preview.h - a tool call told while the model still writes it: who is called, then the
// arguments' text in pieces.
//
// Only {"name": ..., "arguments": {...}} (or "parameters") of a known tool can be told early; other
// forms are told once they are whole. What becomes a call decides who reads the whole, so the last
// brace of the arguments is held back until then: arguments of what is no call never parse.
#pragma once

#include "base/json.h"

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace cria::text {

class CallPreview {
 public:
  // `text` begins behind the last call and has grown. Appends what is new to `pieces`: {id, name}
  // at the beginning, arguments: the next of the text, without white space between its parts.
  void look(std::string_view text, const std::vector<std::string>& names, Json& pieces);
  // The text was this call. Appends the rest of it, marked as the last, or all of it where nothing
  // of it, or something else, has been told.
  void end(const std::string& name, const Json& arguments, Json& pieces);
  // Where a new call may begin.
  void reset() { *this = {}; }

 private:
  enum class State { kHead, kArguments, kHeld, kUnknown };
  std::string take(std::string_view text);

  State state_ = State::kHead;
  std::string name_, told_;  // of the arguments
  size_t seen_ = 0;          // bytes of the text; at first, those before the object
  size_t open_brackets_ = 0;
  bool in_string_ = false, escaped_ = false;
};

// As clients know it: "call_" and eight letters or digits.
std::string new_call_id();

}  // namespace cria::text
