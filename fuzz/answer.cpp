// A model's answer, in pieces: however it is cut, thinking, content and tool calls are the same;
// and calls that are told while they are written add up to those that are told whole.
#include "base/error.h"
#include "text/chat/parse.h"

#include <cstdint>
#include <cstdlib>

namespace {

using namespace cria;

// Pieces of `step` bytes; 0: all at once.
text::Parsed parse(const text::AnswerMarks& marks, std::string_view prompt, std::string_view answer,
                   size_t step, bool call_pieces = false) {
  static const Json tools = parse_json(
      R"([{"type":"function","function":{"name":"f","parameters":{"type":"object"}}},
          {"type":"function","function":{"name":"weather","parameters":{"type":"object"}}}])");
  text::OutputParser parser(marks, prompt, tools, true, call_pieces);
  text::Parsed out;
  if (step == 0) step = answer.size() + 1;
  for (size_t at = 0; at < answer.size(); at += step) out += parser.add(answer.substr(at, step));
  return out += parser.finish();
}

void require(bool holds) {
  if (!holds) std::abort();
}

// Only the pieces of a call that is one may spell arguments.
void check_pieces(const text::Parsed& whole, const text::Parsed& told) {
  require(told.tool_calls.empty() && whole.content == told.content &&
          whole.thinking == told.thinking);
  size_t calls = 0;
  std::string name, arguments;
  const auto broke_off = [&] {
    if (arguments.empty()) return;
    bool parses = true;
    try {
      parse_json(arguments);
    } catch (const Error&) {
      parses = false;
    }
    require(!parses);
  };
  for (const Json& piece : told.call_pieces) {
    if (piece.contains("name")) {
      broke_off();
      name = piece["name"];
      arguments.clear();
    }
    arguments += piece["arguments"].get_ref<const std::string&>();
    if (!piece.value("last", false)) continue;
    require(calls < whole.tool_calls.size());
    const Json& function = whole.tool_calls[calls++]["function"];
    require(function["name"] == name && function["arguments"] == parse_json(arguments));
    arguments.clear();
  }
  broke_off();
  require(calls == whole.tool_calls.size());
}

}  // namespace

// The first byte chooses the marks and how the answer is cut.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const unsigned choice = data[0];
  const std::string_view answer(reinterpret_cast<const char*>(data) + 1, size - 1);
  constexpr const char* kToolTags[] = {"{", "[", "<tool_call>", "[TOOL_CALLS]"};
  text::AnswerMarks marks{.tool_tag = kToolTags[choice & 3], .bare_calls = (choice & 4) != 0};
  if ((choice & 8) != 0) marks.thinking = text::ThinkingTags{"<think>", "</think>"};
  const std::string_view prompt = (choice & 16) != 0 ? "Say it.<think>" : "Say it.";
  try {
    const text::Parsed whole = parse(marks, prompt, answer, 0);
    const text::Parsed cut = parse(marks, prompt, answer, 1 + (choice >> 5));
    // Identifiers of calls are random, so only their number is compared.
    require(whole.content == cut.content && whole.thinking == cut.thinking &&
            whole.tool_calls.size() == cut.tool_calls.size());
    check_pieces(whole, parse(marks, prompt, answer, 0, true));
    check_pieces(whole, parse(marks, prompt, answer, 1 + (choice >> 5), true));
  } catch (const Error&) {
  }
  return 0;
}
