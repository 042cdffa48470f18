// templates.cpp - microseconds to write the prompt of a conversation of 100 messages.
//
//   bench_templates FILE.jinja...
// Prints one line per chat template of the files and per built-in Go template: kind, name, median
// microseconds, bytes. What refuses the conversation is left out.
#include "base/error.h"
#include "base/file.h"
#include "text/chat/detect.h"
#include "text/chat/jinja_prompt.h"
#include "text/chat/prompt.h"

#include <algorithm>
#include <chrono>
#include <cstdio>

namespace {

using namespace cria;
using Clock = std::chrono::steady_clock;

constexpr int kMessages = 100, kRounds = 51;

text::ChatInput conversation() {
  text::ChatInput input;
  std::string sentence;
  for (int i = 0; i < 40; ++i) sentence += "words ";
  for (int i = 0; i < kMessages - 1; ++i)
    input.messages.push_back({{"role", i % 2 == 0 ? "user" : "assistant"},
                              {"content", fmt::format("{} {}", i, sentence)}});
  return input;
}

template <class Render>
void measure(const char* kind, const std::string& name, const Render& render) {
  try {
    size_t bytes = render().size();
    std::vector<double> times;
    for (int i = 0; i < kRounds; ++i) {
      const auto start = Clock::now();
      bytes = render().size();
      times.push_back(std::chrono::duration<double, std::micro>(Clock::now() - start).count());
    }
    std::ranges::sort(times);
    std::printf("%s %s %.1f %zu\n", kind, name.c_str(), times[times.size() / 2], bytes);
  } catch (const Error& e) {
    std::fprintf(stderr, "%s: %s\n", name.c_str(), e.what());
  }
}

}  // namespace

int main(int argc, char** argv) {
  const text::ChatInput input = conversation();
  for (int i = 1; i < argc; ++i) {
    const fs::path path = argv[i];
    try {
      const auto prompt = text::JinjaPrompt::parse(
          {.text = read_text_file(path, 1 << 20), .bos = "<s>", .eos = "</s>"});
      measure("jinja", path.stem(), [&] { return prompt.render(input); });
    } catch (const Error& e) {
      std::fprintf(stderr, "%s: %s\n", path.c_str(), e.what());
    }
  }
  for (const std::string& name : text::builtin_template_names()) {
    const auto prompt = text::PromptTemplate::parse(text::builtin_template(name)->text);
    measure("go", name, [&] { return prompt.render_chat(input); });
  }
  return 0;
}
