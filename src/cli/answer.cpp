#include "cli/answer.h"

#include "base/error.h"
#include "cli/format.h"
#include "cli/terminal/progress.h"
#include "cli/terminal/wrap.h"

#include <unistd.h>

#include <cstdio>
#include <optional>

namespace cria::cli {
namespace {

constexpr const char* kGrey = "\x1b[90m";
constexpr const char* kPlain = "\x1b[0m";

class Printer {
 public:
  Printer(const AnswerStyle& style, bool terminal)
      : style_(style),
        terminal_(terminal),
        wrap_(style.word_wrap && terminal ? terminal_columns() : 0),
        waiting_(std::in_place, "") {}

  void show(const Json& event) {
    const Json* message = json_find(event, "message");
    const Json& part = message != nullptr ? *message : event;
    think(json_string(part, "thinking").value_or(""));
    say(json_string(part, message != nullptr ? "content" : "response").value_or(""));
    if (const Json* calls = json_find(part, "tool_calls"); calls != nullptr && calls->is_array())
      for (const Json& call : *calls) show_call(call);
    if (json_bool(event, "done").value_or(false)) done_ = event;
  }

  Answer finish(bool cancelled) {
    waiting_.reset();
    end_thinking();
    answer_.cancelled = cancelled;
    write("\n\n");
    if (style_.verbose && !done_.is_null()) {
      std::fputs(format_statistics(done_).c_str(), stderr);
      std::fflush(stderr);
    }
    return std::move(answer_);
  }
  // Before an error is told: what came so far keeps its own line.
  void drop() {
    waiting_.reset();
    end_thinking();
    if (!answer_.content.empty() && !answer_.content.ends_with('\n')) write("\n");
  }

 private:
  void write(const std::string& text) {
    std::fwrite(text.data(), 1, text.size(), stdout);
    std::fflush(stdout);
  }
  void think(const std::string& text) {
    if (text.empty()) return;
    answer_.thinking += text;
    if (style_.hide_thinking) return;
    waiting_.reset();
    if (!thinking_) write(std::string(terminal_ ? kGrey : "") + "Thinking...\n");
    thinking_ = true;
    write(wrap_.add(shown_on(STDOUT_FILENO, text)));
  }
  void end_thinking() {
    if (!thinking_) return;
    thinking_ = false;
    write((answer_.thinking.ends_with('\n') ? "" : "\n") + std::string("...done thinking.\n\n") +
          (terminal_ ? kPlain : ""));
    wrap_ = Wrap(style_.word_wrap && terminal_ ? terminal_columns() : 0);
  }
  void say(const std::string& text) {
    if (text.empty()) return;
    waiting_.reset();
    end_thinking();
    answer_.content += text;
    write(wrap_.add(shown_on(STDOUT_FILENO, text)));
  }
  void show_call(const Json& call) {
    waiting_.reset();
    end_thinking();
    const Json* function = json_find(call, "function");
    if (function == nullptr) return;
    const Json* arguments = json_find(*function, "arguments");
    write("Model called a function: " +
          shown_on(STDOUT_FILENO, json_string(*function, "name").value_or("")) + "(" +
          (arguments != nullptr ? dump_json(*arguments) : "") + ")\n");
  }

  const AnswerStyle& style_;
  bool terminal_;
  Wrap wrap_;
  std::optional<Progress> waiting_;  // the spinner until the first text
  bool thinking_ = false;
  Answer answer_;
  Json done_;
};

}  // namespace

Answer print_answer(const ApiClient& client, const std::string& path, const Json& request,
                    const AnswerStyle& style) {
  const Interrupt interrupt;
  Printer printer(style, is_terminal(STDOUT_FILENO));
  try {
    client.stream(path, request, interrupt.token(),
                  [&](const Json& event) { printer.show(event); });
  } catch (const Error& e) {
    if (e.kind() != ErrorKind::kCancelled || !interrupt.happened()) {
      printer.drop();
      throw;
    }
  }
  return printer.finish(interrupt.happened());
}

}  // namespace cria::cli
