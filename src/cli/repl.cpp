#include "cli/repl.h"

#include "api/modelfile.h"
#include "base/error.h"
#include "base/settings.h"
#include "cli/attachments.h"
#include "cli/command.h"
#include "cli/repl_help.h"
#include "cli/terminal/line_editor.h"
#include "cli/terminal/progress.h"

#include <fmt/format.h>

#include <array>
#include <csignal>
#include <cstdio>
#include <filesystem>
#include <sstream>

namespace cria::cli {

std::vector<std::string> split_words(const std::string& line) {
  std::istringstream in(line);
  std::vector<std::string> words;
  for (std::string word; in >> word;) words.push_back(word);
  return words;
}

bool has_capability(const Json& info, std::string_view name) {
  const Json* list = json_find(info, "capabilities");
  if (list == nullptr || !list->is_array()) return false;
  for (const Json& one : *list)
    if (one.is_string() && one.get_ref<const std::string&>() == name) return true;
  return false;
}

bool takes_files(const Json& info) {
  return has_capability(info, "vision") || has_capability(info, "audio");
}

namespace {

constexpr std::string_view kBlock = "\"\"\"";
using Words = std::vector<std::string>;

void print(FILE* out, std::string_view text) {
  const std::string shown = shown_on(fileno(out), std::string(text));
  std::fwrite(shown.data(), 1, shown.size(), out);
}
void say(std::string_view text) {
  print(stdout, text);
  print(stdout, "\n");
}

// What follows the first `count` words of a line.
std::string rest_of(const std::string& line, int count) {
  size_t at = line.find_first_not_of(" \t");
  for (; count > 0 && at != std::string::npos; --count)
    at = line.find_first_not_of(" \t", std::min(line.find_first_of(" \t", at), line.size()));
  return at == std::string::npos ? std::string() : line.substr(at);
}

class Repl {
 public:
  Repl(const ApiClient& client, Session session)
      : client_(client),
        session_(std::move(session)),
        history_(std::filesystem::path(setting("HOME")) / ".ollama" / "history") {
    history_.enable(!setting_flag("OLLAMA_NOHISTORY"));
  }

  int run() {
    LineEditor editor(history_);  // before the model loads: what is typed meanwhile counts
    load(session_.model);
    while (!done_) {
      const bool open = in_block_;
      const Input input = open ? editor.read("... ", "Press Enter to send")
                               : editor.read(">>> ", "Send a message (/? for help)");
      if (input.end == InputEnd::kEndOfFile) break;
      if (input.end == InputEnd::kInterrupt) {
        if (input.text.empty() && !open) say("\nUse Ctrl + d or /bye to exit.");
        in_block_ = false;
        continue;
      }
      history_.add(input.text);
      try {
        take(input);
      } catch (const Error& e) {  // one failed request does not end the conversation
        say(fmt::format("error: {}", e.what()));
      }
    }
    return 0;
  }

 private:
  void load(const std::string& model) {
    {
      const Interrupt interrupt;
      const Progress progress("");
      Json request = {{"model", model}};
      if (!session_.keep_alive.is_null()) request["keep_alive"] = session_.keep_alive;
      client_.stream("/api/generate", request, interrupt.token(), [](const Json&) {});
    }
    sees_ = takes_files(session_.info);
    session_.stored = Json::array();
    if (const Json* stored = json_find(session_.info, "messages");
        stored != nullptr && stored->is_array())
      session_.stored = *stored;
    for (const Json& message : session_.stored) {
      const std::string text = json_string(message, "content").value_or("");
      const std::string role = json_string(message, "role").value_or("");
      if (role == "user") say(">>> " + text);
      if (role == "assistant") say(text + "\n");
    }
  }

  void take(const Input& input) {
    if (in_block_) return add_to_block("\n" + input.text);
    const size_t first = input.text.find_first_not_of(" \t");
    if (first == std::string::npos) return;
    const std::string line = input.text.substr(first);
    const bool sets_system = line.starts_with("/set system " + std::string(kBlock));
    if (line.starts_with(kBlock) || sets_system) {
      in_block_ = true;
      block_ = {};
      block_is_system_ = sets_system;
      return add_to_block(line.substr(line.find(kBlock) + kBlock.size()));
    }
    if (line[0] == '/' && !input.pasted) return command(line);
    ask(input.text);
  }

  void add_to_block(const std::string& text) {
    block_ += text;
    const size_t end = block_.rfind(kBlock);
    if (end == std::string::npos ||
        block_.find_first_not_of(" \t\r\n", end + kBlock.size()) != std::string::npos)
      return;
    in_block_ = false;
    block_.resize(end);
    if (block_is_system_)
      set_system(block_);
    else
      ask(block_);
  }

  void ask(const std::string& text) {
    if (text.find_first_not_of(" \t\r\n") == std::string::npos) return;
    send(sees_ ? attach_files(text) : Attached{.text = text});
  }

  void send(Attached attached) {
    Json question = {{"role", "user"}, {"content", std::move(attached.text)}};
    if (!attached.files.empty()) question["images"] = std::move(attached.files);
    session_.messages.push_back(std::move(question));
    Json request = {{"model", session_.model}, {"messages", session_.messages}};
    if (!session_.options.empty()) request["options"] = session_.options;
    if (!session_.format.is_null()) request["format"] = session_.format;
    if (!session_.think.is_null()) request["think"] = session_.think;
    if (!session_.keep_alive.is_null()) request["keep_alive"] = session_.keep_alive;
    try {
      const Answer answer = print_answer(client_, "/api/chat", request, session_.style);
      if (answer.cancelled) return;
      Json message = {{"role", "assistant"}, {"content", answer.content}};
      if (!answer.thinking.empty()) message["thinking"] = answer.thinking;
      session_.messages.push_back(std::move(message));
    } catch (const Error&) {
      session_.messages.erase(session_.messages.size() - 1);
      throw;
    }
  }

  void command(const std::string& line) {
    using Handler = void (Repl::*)(const Words&, const std::string&);
    constexpr std::array<std::pair<std::string_view, Handler>, 10> kTable = {
        {{"/bye", &Repl::leave},
         {"/exit", &Repl::leave},
         {"/set", &Repl::set},
         {"/show", &Repl::show},
         {"/load", &Repl::load_model},
         {"/save", &Repl::save},
         {"/clear", &Repl::clear},
         {"/list", &Repl::list},
         {"/help", &Repl::help},
         {"/?", &Repl::help}}};
    const Words words = split_words(line);
    for (const auto& [name, handler] : kTable)
      if (line.starts_with(name)) return (this->*handler)(words, line);
    if (sees_)  // "/tmp/a.png what is it?"
      if (Attached attached = attach_files(line); !attached.files.empty())
        return send(std::move(attached));
    say(fmt::format("Unknown command '{}'. Type /? for help", words[0]));
  }

  void leave(const Words&, const std::string&) { done_ = true; }
  void list(const Words& words, const std::string&) {
    print(stdout, list_table(client_, words.size() > 1 ? words[1] : ""));
  }
  void clear(const Words&, const std::string&) {
    session_.messages = Json::array();
    if (!session_.system.empty())
      session_.messages.push_back({{"role", "system"}, {"content", session_.system}});
    say("Cleared session context");
  }
  void help(const Words& words, const std::string&) {
    const std::string topic = words.size() > 1 ? words[1] : "";
    print(stderr, topic == "set" || topic == "/set"     ? kHelpSet
                  : topic == "show" || topic == "/show" ? kHelpShow
                  : topic == "shortcuts"                ? kHelpKeys
                                                        : kHelp);
  }

  void set_system(const std::string& text) {
    session_.system = text;
    Json message = {{"role", "system"}, {"content", text}};
    Json& messages = session_.messages;
    if (!messages.empty() && json_string(messages.back(), "role") == "system")
      messages.back() = std::move(message);
    else
      messages.push_back(std::move(message));
    say("Set system message.");
  }

  void set(const Words& words, const std::string& line) {
    const std::string what = words.size() > 1 ? words[1] : "";
    AnswerStyle& style = session_.style;
    if (what.empty()) return print(stderr, kHelpSet);
    if (what == "parameter") return set_parameter(words);
    if (what == "system") {
      if (words.size() < 3) return print(stderr, kHelpSet);
      return set_system(rest_of(line, 2));
    }
    if (what == "format") {
      if (words.size() != 3 || words[2] != "json")
        return say("Invalid or missing format. For 'json' mode use '/set format json'");
      session_.format = "json";
      return say("Set format to 'json' mode.");
    }
    if (what == "think" || what == "nothink") return set_think(words);
    if (what == "history" || what == "nohistory") return history_.enable(what == "history");
    if (what == "wordwrap")
      style.word_wrap = true, say("Set 'wordwrap' mode.");
    else if (what == "nowordwrap")
      style.word_wrap = false, say("Set 'nowordwrap' mode.");
    else if (what == "noformat")
      session_.format = Json(), say("Disabled format.");
    else if (what == "verbose")
      style.verbose = true, say("Set 'verbose' mode.");
    else if (what == "quiet")
      style.verbose = false, say("Set 'quiet' mode.");
    else
      say(fmt::format("Unknown command '/set {}'. Type /? for help", what));
  }

  void set_think(const Words& words) {
    const bool on = words[1] == "think";
    session_.think = on && words.size() > 2 ? Json(words[2]) : Json(on);
    if (!has_capability(session_.info, "thinking"))
      print(stderr, fmt::format("warning: model \"{}\" does not support thinking output\n",
                                session_.model));
    say(on && words.size() > 2 ? fmt::format("Set 'think' mode to '{}'.", words[2])
                               : fmt::format("Set '{}' mode.", words[1]));
  }

  void set_parameter(const Words& words) {
    if (words.size() < 4) return print(stderr, kHelpParameters);
    const Words values(words.begin() + 3, words.end());
    try {
      session_.options[words[2]] =
          words[2] == "stop" ? Json(values) : api::parameter_value(words[2], values.front());
      say(fmt::format("Set parameter '{}' to '{}'", words[2], fmt::join(values, ", ")));
    } catch (const Error& e) {
      say(fmt::format("Couldn't set parameter: \"{}\"", e.what()));
    }
  }

  void show(const Words& words, const std::string&) {
    const std::string what = words.size() > 1 ? words[1] : "";
    if (what.empty()) return print(stderr, kHelpShow);
    const auto text = [&](const char* key) { return json_string(session_.info, key).value_or(""); };
    if (what == "info") return print(stderr, show_sections(session_.info, false));
    if (what == "parameters") return show_parameters(text("parameters"));
    if (what == "modelfile") return say(text("modelfile"));
    if (what == "license")
      return say(text("license").empty() ? "No license was specified for this model."
                                         : text("license"));
    if (what == "template")
      return say(text("template").empty() ? "No prompt template was specified for this model."
                                          : text("template"));
    if (what == "system") {
      const std::string system = session_.system.empty() ? text("system") : session_.system;
      return say(system.empty() ? "No system message was specified for this model." : system);
    }
    say(fmt::format("Unknown command '/show {}'. Type /? for help", what));
  }

  void show_parameters(const std::string& defined) {
    say("Model defined parameters:");
    if (defined.empty()) say("  No additional parameters were specified for this model.");
    std::istringstream lines(defined);
    for (std::string line; std::getline(lines, line);) say("  " + line);
    if (session_.options.empty()) return;
    say("\nUser defined parameters:");
    for (const auto& [name, value] : session_.options.items())
      say(fmt::format("  {:<30} {}", name, dump_json(value)));
  }

  void load_model(const Words& words, const std::string&) {
    if (words.size() != 2) return say("Usage:\n  /load <modelname>");
    Json info;
    try {
      info = client_.call("POST", "/api/show", {{"model", words[1]}});
    } catch (const Error& e) {
      if (e.kind() != ErrorKind::kNotFound) throw;
      return say(fmt::format("Couldn't find model '{}'", words[1]));
    }
    say(fmt::format("Loading model '{}'", words[1]));
    session_.model = words[1];
    session_.info = std::move(info);
    session_.messages = Json::array();
    if (!session_.system.empty())
      session_.messages.push_back({{"role", "system"}, {"content", session_.system}});
    session_.think = has_capability(session_.info, "thinking") ? Json(true) : Json();
    load(session_.model);
  }

  void save(const Words& words, const std::string&) {
    if (words.size() != 2) return say("Usage:\n  /save <modelname>");
    // A model that was made from a file has no parent; Ollama's stores name the file there.
    const bool has_parent = !session_.parent.empty() && session_.parent[0] != '/';
    Json request = {{"model", words[1]}, {"from", has_parent ? session_.parent : session_.model}};
    if (!session_.system.empty()) request["system"] = session_.system;
    if (!session_.options.empty()) request["parameters"] = session_.options;
    Json messages = session_.stored;
    for (const Json& message : session_.messages)
      if (json_string(message, "role") != "system") messages.push_back(message);
    if (!messages.empty()) request["messages"] = messages;
    const Interrupt interrupt;
    try {
      client_.stream("/api/create", request, interrupt.token(), [](const Json&) {});
      say(fmt::format("Created new model '{}'", words[1]));
    } catch (const Error& e) {
      say(fmt::format("error: {}", e.what()));
    }
  }

  const ApiClient& client_;
  Session session_;
  History history_;
  bool sees_ = false;  // the model takes images or sounds
  bool done_ = false, in_block_ = false, block_is_system_ = false;
  std::string block_;
};

}  // namespace

int run_repl(const ApiClient& client, Session session) {
  std::signal(SIGINT, [](int) {});  // a Ctrl-C between two requests stops nothing
  return Repl(client, std::move(session)).run();
}

}  // namespace cria::cli
