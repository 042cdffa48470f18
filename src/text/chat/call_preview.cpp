#include "text/chat/call_preview.h"

#include "base/error.h"

#include <algorithm>
#include <array>
#include <random>
#include <utility>

namespace cria::text {

namespace {

constexpr std::string_view kSpaces = " \t\r\n";
constexpr size_t kMaxHead = 4096;  // what stands before the arguments is read anew with each piece

enum class Match { kYes, kNotYet, kNo };

// Reads words with white space between them.
class Reader {
 public:
  explicit Reader(std::string_view text) : text_(text) {}

  // `at` moves behind the word when it is there.
  Match word(std::string_view expected) {
    at_ = std::min(text_.find_first_not_of(kSpaces, at_), text_.size());
    const std::string_view rest = text_.substr(at_);
    if (rest.starts_with(expected)) {
      at_ += expected.size();
      return Match::kYes;
    }
    return expected.starts_with(rest) ? Match::kNotYet : Match::kNo;
  }
  // Any of `words`; `found` is the one that is there.
  template <class Words>
  Match any_word(const Words& words, std::string& found) {
    Match best = Match::kNo;
    for (const auto& one : words) {
      const Match match = word(one);
      if (match == Match::kYes) {
        found = one;
        return match;
      }
      if (match == Match::kNotYet) best = match;
    }
    return best;
  }
  size_t at() const { return at_; }

 private:
  std::string_view text_;
  size_t at_ = 0;
};

// Up to the brace that opens the arguments, at which `at` then is.
Match read_head(std::string_view text, const std::vector<std::string>& names, std::string& name,
                size_t& at) {
  Reader reader(text);
  for (const std::string_view expected : {"{", "\"name\"", ":"})
    if (const Match match = reader.word(expected); match != Match::kYes) return match;
  std::vector<std::string> quoted;
  quoted.reserve(names.size());
  for (const std::string& one : names) quoted.push_back(dump_json(one));
  if (const Match match = reader.any_word(quoted, name); match != Match::kYes) return match;
  if (const Match match = reader.word(","); match != Match::kYes) return match;
  std::string key;
  constexpr std::array kKeys = {"\"arguments\"", "\"parameters\""};
  if (const Match match = reader.any_word(kKeys, key); match != Match::kYes) return match;
  for (const std::string_view expected : {":", "{"})
    if (const Match match = reader.word(expected); match != Match::kYes) return match;
  at = reader.at() - 1;
  name = parse_json(name).get<std::string>();
  return Match::kYes;
}

bool spells(const std::string& text, const Json& value) {
  try {
    return parse_json(text) == value;
  } catch (const Error&) {
    return false;
  }
}

}  // namespace

std::string new_call_id() {
  static constexpr std::string_view kLetters = "abcdefghijklmnopqrstuvwxyz0123456789";
  thread_local std::mt19937_64 random{std::random_device{}()};
  std::string id = "call_";
  for (int i = 0; i < 8; ++i) id += kLetters[random() % kLetters.size()];
  return id;
}

void CallPreview::look(std::string_view text, const std::vector<std::string>& names, Json& pieces) {
  const bool begins = state_ == State::kHead;
  if (begins) {
    seen_ = std::min(text.find('{', seen_), text.size());
    size_t arguments = 0;
    const Match match = read_head(text.substr(seen_, kMaxHead), names, name_, arguments);
    if (match == Match::kNo || text.size() - seen_ > kMaxHead) state_ = State::kUnknown;
    if (match == Match::kYes) state_ = State::kArguments;
    seen_ += arguments;
  }
  if (state_ != State::kArguments) return;
  std::string piece = take(text);
  if (!begins && piece.empty()) return;
  Json out = Json::object();
  if (begins) out = {{"id", new_call_id()}, {"name", name_}};
  told_ += piece;
  out["arguments"] = std::move(piece);
  pieces.push_back(std::move(out));
}

// What is new of the arguments, up to the brace that closes them.
std::string CallPreview::take(std::string_view text) {
  std::string out;
  for (; seen_ < text.size(); ++seen_) {
    const char c = text[seen_];
    if (in_string_) {
      if (!escaped_ && c == '"') in_string_ = false;
      escaped_ = !escaped_ && c == '\\';
    } else if (kSpaces.find(c) != std::string_view::npos) {
      continue;
    } else if (c == '"') {
      in_string_ = true;
    } else if (c == '{' || c == '[') {
      ++open_brackets_;
    } else if ((c == '}' || c == ']') && --open_brackets_ == 0) {
      state_ = State::kHeld;
      return out;
    }
    out += c;
  }
  return out;
}

void CallPreview::end(const std::string& name, const Json& arguments, Json& pieces) {
  if (state_ == State::kHeld && name == name_ && spells(told_ + "}", arguments))
    pieces.push_back({{"arguments", "}"}, {"last", true}});
  else
    pieces.push_back({{"id", new_call_id()},
                      {"name", name},
                      {"arguments", dump_json(arguments)},
                      {"last", true}});
  reset();
}

}  // namespace cria::text
