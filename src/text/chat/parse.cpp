#include "text/chat/parse.h"

#include <algorithm>
#include <utility>

namespace cria::text {

namespace {

constexpr std::string_view kSpaces = " \t\r\n";
constexpr size_t kMaxBuffer = 1 << 20;  // a longer tool call is none
constexpr size_t kMaxSpaces = 4096;     // more of them before a tag are text

std::string_view trim_right(std::string_view s) {
  const size_t last = s.find_last_not_of(kSpaces);
  return last == std::string_view::npos ? std::string_view{} : s.substr(0, last + 1);
}

bool drop_leading_space(std::string& s) {
  s.erase(0, std::min(s.find_first_not_of(kSpaces), s.size()));
  return !s.empty();
}

std::vector<std::string> names_of(const Json& tools) {
  std::vector<std::string> names;
  if (!tools.is_array()) return names;
  for (const Json& tool : tools) {
    const Json* function = json_find(tool, "function");
    const Json* name = function ? json_find(*function, "name") : nullptr;
    if (name && name->is_string() && !name->get_ref<const std::string&>().empty())
      names.push_back(name->get<std::string>());
  }
  return names;
}

}  // namespace

Parsed& Parsed::operator+=(Parsed more) {
  content += more.content;
  thinking += more.thinking;
  for (Json& call : more.tool_calls) tool_calls.push_back(std::move(call));
  for (Json& piece : more.call_pieces) call_pieces.push_back(std::move(piece));
  return *this;
}

size_t overlap(std::string_view text, std::string_view mark) {
  if (mark.empty()) return 0;
  text.remove_prefix(text.size() - std::min(text.size(), mark.size()));
  while (!mark.starts_with(text)) {
    text.remove_prefix(1);
    text.remove_prefix(std::min(text.find(mark.front()), text.size()));
  }
  return text.size();
}

ThinkingParser::ThinkingParser(ThinkingTags tags, bool inside)
    : tags_(std::move(tags)), state_(inside ? State::kEatSpaceInside : State::kBefore) {}

Parsed ThinkingParser::add(std::string_view text) {
  buffer_ += text;
  Parsed out;
  while (step(out)) {
  }
  return out;
}

// True when there is more to do with what is in the buffer.
bool ThinkingParser::step(Parsed& out) {
  if (buffer_.empty()) return false;
  switch (state_) {
    case State::kBefore: {
      const size_t start = buffer_.find_first_not_of(kSpaces);
      if (start == std::string::npos) return false;
      const std::string_view text = std::string_view(buffer_).substr(start);
      if (text.starts_with(tags_.open)) {
        buffer_.erase(0, start + tags_.open.size());
        state_ = State::kEatSpaceInside;
        return true;
      }
      if (std::string_view(tags_.open).starts_with(text)) return false;
      state_ = State::kAfter;  // no thinking: the white space belongs to the answer
      return true;
    }
    case State::kEatSpaceInside:
    case State::kEatSpaceAfter:
      if (!drop_leading_space(buffer_)) return false;
      state_ = state_ == State::kEatSpaceInside ? State::kInside : State::kAfter;
      return true;
    case State::kInside: {
      const size_t close = buffer_.find(tags_.close);
      if (close != std::string::npos) {
        out.thinking += buffer_.substr(0, close);
        buffer_.erase(0, close + tags_.close.size());
        state_ = State::kEatSpaceAfter;
        return true;
      }
      const size_t held = overlap(buffer_, tags_.close);
      out.thinking += buffer_.substr(0, buffer_.size() - held);
      buffer_.erase(0, buffer_.size() - held);
      return false;
    }
    case State::kAfter:
      out.content += std::exchange(buffer_, {});
      return false;
  }
  return false;
}

Parsed ThinkingParser::finish() {
  Parsed out;
  if (state_ == State::kInside)
    out.thinking = std::exchange(buffer_, {});
  else
    out.content = std::exchange(buffer_, {});
  return out;
}

ToolCallParser::ToolCallParser(std::string tag, const Json& tools, bool bare_calls, bool in_pieces)
    : tag_(std::move(tag)), bare_calls_(bare_calls), search_(names_of(tools)) {
  if (in_pieces) preview_.emplace();
}

Parsed ToolCallParser::add(std::string_view text) {
  Parsed out;
  buffer_ += text;
  while (step(out)) {
  }
  return out;
}

// True when there is more to do with what is in the buffer.
bool ToolCallParser::step(Parsed& out) {
  switch (state_) {
    case State::kLooking:
      return look(out);
    case State::kInside:
      if (bare()) return take_object(out);
      while (take_call(out)) {
      }
      if (buffer_.size() > kMaxBuffer) state_ = State::kDone;
      return buffer_.size() > kMaxBuffer;
    case State::kBetween: {
      buffer_.erase(0, std::min(buffer_.find_first_not_of("]},; \t\r\n"), buffer_.size()));
      if (buffer_.empty()) return false;
      state_ = buffer_.starts_with(tag_) ? State::kInside : State::kDone;
      return true;
    }
    case State::kDone:
      out.content += std::exchange(buffer_, {});
      return false;
  }
  return false;
}

bool ToolCallParser::look(Parsed& out) {
  if (bare_calls_) {
    const size_t first = buffer_.find_first_not_of(kSpaces);
    if (first == std::string::npos) return false;
    if (buffer_[first] == '{') tag_ = "{";
    bare_calls_ = false;
  }
  const size_t at = buffer_.find(tag_);
  const size_t until = at != std::string::npos ? at : buffer_.size() - overlap(buffer_, tag_);
  // White space before the tag is no part of the answer, so it waits for what follows.
  std::string_view free = trim_right(std::string_view(buffer_).substr(0, until));
  if (bare() && !free.empty()) {  // a bare call is one only where the answer begins
    state_ = State::kDone;
    return true;
  }
  if (at == std::string::npos && until - free.size() > kMaxSpaces)
    free = std::string_view(buffer_).substr(0, until);
  out.content += free;
  if (at == std::string::npos) {
    buffer_.erase(0, free.size());
    return false;
  }
  buffer_.erase(0, bare() ? at : at + tag_.size());
  state_ = State::kInside;
  return true;
}

// A bare call ends with its brackets; another one may follow. True when it has ended.
bool ToolCallParser::take_object(Parsed& out) {
  const bool complete = balanced();
  std::string rest;
  if (complete) {
    rest = buffer_.substr(counted_ + 1);
    buffer_.resize(counted_ + 1);
  }
  while (take_call(out)) called_ = true;
  if (!complete && buffer_.size() <= kMaxBuffer) return false;
  if (called_) buffer_.clear();  // brackets around the calls
  state_ = called_ ? State::kBetween : State::kDone;
  buffer_ += rest;
  if (preview_) preview_->reset();
  search_.reset();
  counted_ = 0;
  open_brackets_ = 0;
  in_string_ = escaped_ = called_ = false;
  return true;
}

bool ToolCallParser::balanced() {
  for (; counted_ < buffer_.size(); ++counted_) {
    const char c = buffer_[counted_];
    if (in_string_) {
      if (escaped_)
        escaped_ = false;
      else if (c == '\\')
        escaped_ = true;
      else if (c == '"')
        in_string_ = false;
    } else if (c == '"') {
      in_string_ = true;
    } else if (c == '{' || c == '[') {
      ++open_brackets_;
    } else if ((c == '}' || c == ']') && --open_brackets_ <= 0) {
      return true;
    }
  }
  return false;
}

bool ToolCallParser::take_call(Parsed& out, bool last) {
  if (preview_) preview_->look(buffer_, names(), out.call_pieces);
  auto found = search_.next(buffer_, last);
  if (!found) return false;
  tell(found->name, std::move(found->arguments), out);
  buffer_.erase(0, found->end);
  counted_ -= std::min(counted_, found->end);
  return true;
}

void ToolCallParser::tell(const std::string& name, Json arguments, Parsed& out) {
  const int64_t index = calls_++;
  if (preview_) return preview_->end(name, arguments, out.call_pieces);
  Json function = Json::object();
  function["index"] = index;
  function["name"] = name;
  function["arguments"] = std::move(arguments);
  Json call = Json::object();
  call["id"] = new_call_id();
  call["function"] = std::move(function);
  out.tool_calls.push_back(std::move(call));
}

// Upstream drops text after a tag that never became a call; here it is the answer.
Parsed ToolCallParser::finish() {
  Parsed out;
  while (state_ == State::kInside && take_call(out, true)) called_ = true;
  const bool unfinished = state_ == State::kInside && (bare() ? !called_ : calls_ == 0);
  if (unfinished && !bare()) out.content = tag_;
  if (unfinished || state_ == State::kLooking) out.content += buffer_;
  buffer_.clear();
  state_ = State::kDone;
  return out;
}

OutputParser::OutputParser(const AnswerMarks& marks, std::string_view prompt, const Json& tools,
                           const Json& think, bool call_pieces) {
  const auto& tags = marks.thinking;
  const bool thinks = think.is_string() || (think.is_boolean() && think.get<bool>());
  if (tags && thinks) thinking_.emplace(*tags, trim_right(prompt).ends_with(tags->open));
  if (tools.is_array() && !tools.empty()) {
    tools_.emplace(marks.tool_tag, tools, marks.bare_calls, call_pieces);
    blocks_.emplace(marks.tool_tag, tools_->names());
  }
}

std::optional<grammar::ThinkingMarks> OutputParser::thinking_marks() const {
  if (!thinking_) return std::nullopt;
  return grammar::ThinkingMarks{.open = thinking_->tags().open,
                                .close = thinking_->tags().close,
                                .inside = thinking_->inside()};
}

void OutputParser::pass_on(Parsed& out, Parsed part) {
  if (tools_ && !part.content.empty()) {
    out += tools_->add(blocks_->add(std::exchange(part.content, {})));
  }
  out += std::move(part);
}

Parsed OutputParser::add(std::string_view text) {
  Parsed out;
  Parsed part;
  if (thinking_)
    part = thinking_->add(text);
  else
    part.content = text;
  pass_on(out, std::move(part));
  return out;
}

Parsed OutputParser::finish() {
  Parsed out;
  if (thinking_) pass_on(out, thinking_->finish());
  if (tools_) {
    out += tools_->add(blocks_->finish());
    out += tools_->finish();
  }
  return out;
}

}  // namespace cria::text
