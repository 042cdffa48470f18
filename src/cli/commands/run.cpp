// run.cpp - `run`: one prompt, or the interactive prompt.
#include "api/duration.h"
#include "base/error.h"
#include "base/file.h"
#include "cli/answer.h"
#include "cli/answer_format.h"
#include "cli/attachments.h"
#include "cli/command.h"
#include "cli/create_plan.h"
#include "cli/launch.h"
#include "cli/repl.h"
#include "cli/terminal/progress.h"
#include "cli/upload.h"

#include <unistd.h>

#include <charconv>
#include <cstdio>
#include <optional>

namespace cria::cli {
namespace {

constexpr int64_t kMaxPrompt = int64_t{64} << 20;

bool is_model_file(const std::string& text) {
  if (!means_file(text)) return false;
  if (fs::is_regular_file(text)) return true;
  if (!text.ends_with(".gguf") || text.find('/') != std::string::npos)
    fail(ErrorKind::kNotFound, "no such file: {}", text);
  return false;  // a model may be called so
}

Json parse_think(const std::string& text) {
  if (text == "true") return true;
  if (text == "false") return false;
  if (text == "high" || text == "medium" || text == "low" || text == "max") return text;
  fail(ErrorKind::kInvalidInput,
       "invalid value for --think: \"{}\" (must be true, false, high, medium, low, or max)", text);
}

int64_t parse_dimensions(const std::string& text) {
  int64_t value = -1;
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (code != std::errc() || end != text.data() + text.size() || value < 0)
    fail(ErrorKind::kInvalidInput,
         "invalid value for --dimensions: \"{}\" (must be a whole number, as in --dimensions 256; "
         "0: all that the model has)",
         text);
  return value;
}

// What the model is; pulled first when it is not here.
Json show_model(const ApiClient& client, const std::string& model, bool insecure) {
  const Json request = {{"model", model}};
  try {
    return client.call("POST", "/api/show", request);
  } catch (const Error& e) {
    if (e.kind() != ErrorKind::kNotFound) throw;
  }
  pull_model(client, model, insecure);
  return client.call("POST", "/api/show", request);
}

Session make_session(const ApiClient& client, const Arguments& arguments) {
  Session session;
  if (arguments.has("keepalive")) {
    api::parse_duration(arguments.text("keepalive"));  // only to say what is wrong with it
    session.keep_alive = arguments.text("keepalive");
  }
  if (arguments.has("think")) session.think = parse_think(arguments.text("think"));
  if (arguments.has("format")) session.format = answer_format(arguments.text("format"));
  session.style = {.word_wrap = !arguments.on("nowordwrap"),
                   .hide_thinking = arguments.on("hidethinking"),
                   .verbose = arguments.on("verbose")};
  const std::string& model = arguments.positional.front();
  session.model = is_model_file(model) ? import_file(client, model) : model;
  session.info = show_model(client, session.model, arguments.on("insecure"));
  if (const Json* details = json_find(session.info, "details"))
    session.parent = json_string(*details, "parent_model").value_or("");
  if (session.think.is_null() && has_capability(session.info, "thinking")) session.think = true;
  return session;
}

int embed(const ApiClient& client, const Session& session, const std::string& prompt,
          const Arguments& arguments) {
  if (prompt.empty())
    fail(ErrorKind::kInvalidInput,
         "embedding models require input text. Usage: ollama run {} \"your text here\"",
         session.model);
  Json request = {{"model", session.model}, {"input", prompt}};
  if (arguments.has("truncate")) request["truncate"] = arguments.on("truncate");
  if (arguments.has("dimensions"))
    request["dimensions"] = parse_dimensions(arguments.text("dimensions"));
  const Json answer = client.call("POST", "/api/embed", request);
  const Json* vectors = json_find(answer, "embeddings");
  if (vectors != nullptr && vectors->is_array() && !vectors->empty())
    std::printf("%s\n", dump_json(vectors->front()).c_str());
  return 0;
}

int one_shot(const ApiClient& client, const Session& session, const std::string& prompt) {
  Json request = {{"model", session.model}, {"prompt", prompt}};
  if (takes_files(session.info)) {
    Attached attached = attach_files(prompt);
    request["prompt"] = attached.text;
    if (!attached.files.empty()) request["images"] = std::move(attached.files);
  }
  if (!session.format.is_null()) request["format"] = session.format;
  if (!session.think.is_null()) request["think"] = session.think;
  if (!session.keep_alive.is_null()) request["keep_alive"] = session.keep_alive;
  if (prompt.empty()) {
    const Interrupt interrupt;
    const Progress progress("");
    client.stream("/api/generate", request, interrupt.token(), [](const Json&) {});
    return 0;
  }
  print_answer(client, "/api/generate", request, session.style);
  return 0;
}

}  // namespace

int run_run(const ApiClient& client, const Arguments& arguments) {
  ensure_server(client);
  Session session = make_session(client, arguments);
  std::string prompt;
  for (size_t i = 1; i < arguments.positional.size(); ++i)
    prompt += (i > 1 ? " " : "") + arguments.positional[i];
  bool interactive = arguments.positional.size() == 1 && is_terminal(STDOUT_FILENO);
  if (!is_terminal(STDIN_FILENO)) {
    interactive = false;
    const std::string piped = read_stdin(kMaxPrompt);
    if (!piped.empty()) prompt = prompt.empty() ? piped : piped + " " + prompt;
  }
  const bool embeds =
      has_capability(session.info, "embedding") && !has_capability(session.info, "completion");
  if (embeds) return embed(client, session, prompt, arguments);
  return interactive ? run_repl(client, std::move(session)) : one_shot(client, session, prompt);
}

}  // namespace cria::cli
