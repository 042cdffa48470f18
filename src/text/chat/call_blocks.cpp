#include "text/chat/call_blocks.h"

#include "text/chat/parse.h"

#include <algorithm>
#include <iterator>
#include <utility>

namespace cria::text {

namespace {

constexpr std::string_view kSpaces = " \t\r\n", kBlanks = " \t";
constexpr std::string_view kFence = "```";
constexpr std::string_view kClosing = "\n```";  // inside a string of JSON a new line is escaped
constexpr size_t kMaxOpening = 4096;            // a longer one is text

// The language that a block names, as in ```json.
void skip_language(std::string_view& text) {
  const auto* const end =
      std::ranges::find_if_not(text, [](char c) { return (c >= 'a' && c <= 'z') || c == '_'; });
  text.remove_prefix(static_cast<size_t>(end - text.begin()));
}

}  // namespace

CallBlocks::CallBlocks(std::string_view tag, const std::vector<std::string>& names)
    : tag_(tag == "{" ? "" : tag), state_(tag == "[" ? State::kTextOnly : State::kOutside) {
  std::vector<std::string> quoted;
  std::ranges::transform(names, std::back_inserter(quoted),
                         [](const std::string& name) { return dump_json(name); });
  steps_ = {{std::string(kFence)},
            {"{"},
            {"\"name\""},
            {":"},
            std::move(quoted),
            {","},
            {"\"arguments\"", "\"parameters\""},
            {":"},
            {"{"}};
}

std::string CallBlocks::add(std::string_view text) {
  buffer_ += text;
  std::string out;
  while (step(out)) {
  }
  return out;
}

std::string CallBlocks::finish() {
  state_ = State::kTextOnly;
  return std::exchange(buffer_, {});
}

// Whether a line that begins with `text` opens a call.
CallBlocks::Found CallBlocks::opening(std::string_view text) const {
  const bool cut = text.size() > kMaxOpening;
  text = text.substr(0, kMaxOpening);
  const size_t size = text.size();
  size_t object = 0;
  for (size_t i = 0; i < steps_.size(); ++i) {
    if (i == 1) skip_language(text);
    const std::string_view spaces = i == 0 ? kBlanks : kSpaces;  // the next line is one of its own
    text.remove_prefix(std::min(text.find_first_not_of(spaces), text.size()));
    if (i == 1) object = size - text.size();
    const auto word = std::ranges::find_if(
        steps_[i], [&](const std::string& one) { return text.starts_with(one); });
    if (word == steps_[i].end()) {
      const bool begun = std::ranges::any_of(
          steps_[i], [&](const std::string& one) { return one.starts_with(text); });
      return {begun && !cut ? Opening::kUndecided : Opening::kNo, 0};
    }
    text.remove_prefix(word->size());
  }
  return {Opening::kYes, object};
}

void CallBlocks::pass(size_t size, std::string& out) {
  const std::string_view text = std::string_view(buffer_).substr(0, size);
  said_ = said_ || text.find_first_not_of(kSpaces) != std::string_view::npos;
  out += text;
  buffer_.erase(0, size);
}

// Passes text on up to a line that opens a call, or may yet do so.
bool CallBlocks::look(std::string& out) {
  const auto next_line = [&](size_t from) {
    const size_t end = buffer_.find('\n', from);
    return end == std::string::npos ? end : end + 1;
  };
  for (size_t line = line_begins_ ? 0 : next_line(0); line != std::string::npos;
       line = next_line(line)) {
    const Found found = opening(std::string_view(buffer_).substr(line));
    if (found.opening == Opening::kNo) continue;
    pass(line, out);
    line_begins_ = true;
    if (tag_.empty() && said_) {
      state_ = State::kTextOnly;
      return true;
    }
    if (found.opening == Opening::kUndecided) return false;
    buffer_.erase(0, found.object);
    out += tag_;
    state_ = State::kInside;
    return true;
  }
  pass(buffer_.size(), out);
  line_begins_ = false;
  return false;
}

// True when there is more to do with what is in the buffer.
bool CallBlocks::step(std::string& out) {
  switch (state_) {
    case State::kOutside:
      return look(out);
    case State::kInside: {
      const size_t end = buffer_.find(kClosing);
      const bool closed = end != std::string::npos;
      const size_t until = closed ? end : buffer_.size() - overlap(buffer_, kClosing);
      out.append(buffer_, 0, until);
      buffer_.erase(0, closed ? end + kClosing.size() : until);
      line_begins_ = false;
      if (closed) state_ = State::kOutside;
      return closed;
    }
    case State::kTextOnly:
      out += std::exchange(buffer_, {});
      return false;
  }
  return false;
}

}  // namespace cria::text
