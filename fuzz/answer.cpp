// A model's answer, in pieces: however it is cut, thinking, content and tool calls are the same.
#include "base/error.h"
#include "text/chat/parse.h"

#include <cstdint>
#include <cstdlib>

namespace {

using namespace cria;

// Pieces of `step` bytes; 0: all at once.
text::Parsed parse(const text::AnswerMarks& marks, std::string_view prompt, std::string_view answer,
                   size_t step) {
  static const Json tools = parse_json(
      R"([{"type":"function","function":{"name":"f","parameters":{"type":"object"}}},
          {"type":"function","function":{"name":"weather","parameters":{"type":"object"}}}])");
  text::OutputParser parser(marks, prompt, tools, true);
  text::Parsed out;
  if (step == 0) step = answer.size() + 1;
  for (size_t at = 0; at < answer.size(); at += step) out += parser.add(answer.substr(at, step));
  return out += parser.finish();
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
    if (whole.content != cut.content || whole.thinking != cut.thinking ||
        whole.tool_calls.size() != cut.tool_calls.size())
      std::abort();
  } catch (const Error&) {
  }
  return 0;
}
