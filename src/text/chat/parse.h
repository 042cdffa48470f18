// parse.h - a model's answer, as it streams, split into thinking, content and tool calls.
//
// What is looked for comes from the model's template. Text that may yet turn out to be a mark is
// held back; everything else is passed on at once.
#pragma once

#include "base/json.h"
#include "text/chat/call_blocks.h"
#include "text/chat/call_preview.h"
#include "text/chat/call_search.h"
#include "text/chat/tags.h"
#include "text/grammar/grammar.h"

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace cria::text {

struct Parsed {
  std::string content, thinking;
  Json tool_calls = Json::array();   // {id, function {index, name, arguments}}
  Json call_pieces = Json::array();  // instead of them, where asked for: see call_preview.h
  Parsed& operator+=(Parsed more);
};

class ThinkingParser {
 public:
  // `inside`: the prompt already ends with the opening tag.
  ThinkingParser(ThinkingTags tags, bool inside);
  // Whether nothing but a thought can come first; the marks around it.
  bool inside() const { return state_ == State::kEatSpaceInside || state_ == State::kInside; }
  const ThinkingTags& tags() const { return tags_; }
  Parsed add(std::string_view text);
  Parsed finish();

 private:
  enum class State { kBefore, kEatSpaceInside, kInside, kEatSpaceAfter, kAfter };
  bool step(Parsed& out);
  ThinkingTags tags_;
  State state_;
  std::string buffer_;
};

class ToolCallParser {
 public:
  // `bare_calls`: an answer whose first character is { is looked at as a call, too. `in_pieces`:
  // calls are told as call_pieces. The content is the same: what turns out to be no call is text,
  // though a piece of it may have been told.
  ToolCallParser(std::string tag, const Json& tools, bool bare_calls = false,
                 bool in_pieces = false);
  Parsed add(std::string_view text);
  Parsed finish();
  const std::vector<std::string>& names() const { return search_.names(); }  // of offered tools

 private:
  enum class State { kLooking, kInside, kBetween, kDone };
  bool bare() const { return tag_ == "{" || tag_ == "["; }
  bool step(Parsed& out);
  bool look(Parsed& out);
  bool take_object(Parsed& out);
  // The next call in the text, which it is then taken out of. `last`: nothing follows, so a name at
  // the end is no beginning of a longer one.
  bool take_call(Parsed& out, bool last = false);
  void tell(const std::string& name, Json arguments, Parsed& out);
  bool balanced();
  std::string tag_;
  State state_ = State::kLooking;
  bool bare_calls_;  // until the first character has come
  CallSearch search_;
  std::string buffer_;
  int64_t calls_ = 0;
  std::optional<CallPreview> preview_;  // where calls are told in pieces
  bool called_ = false;                 // the bare object that is read now was one, or held one
  // Bracket counting goes on where the last text ended.
  size_t counted_ = 0;
  int64_t open_brackets_ = 0;
  bool in_string_ = false, escaped_ = false;
};

// Both in a row, as a request needs them.
class OutputParser {
 public:
  // `prompt` is the rendered prompt; `think` as resolved for the request.
  OutputParser(const AnswerMarks& marks, std::string_view prompt, const Json& tools,
               const Json& think, bool call_pieces = false);
  // Of the thought that the answer may begin with, for who constrains what follows.
  std::optional<grammar::ThinkingMarks> thinking_marks() const;
  Parsed add(std::string_view text);
  Parsed finish();

 private:
  void pass_on(Parsed& out, Parsed part);
  std::optional<ThinkingParser> thinking_;
  std::optional<CallBlocks> blocks_;  // whose text goes on to tools_
  std::optional<ToolCallParser> tools_;
};

// Length of the longest end of `text` that a mark may start with.
size_t overlap(std::string_view text, std::string_view mark);

}  // namespace cria::text
