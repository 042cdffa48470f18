#include "engine/render.h"

#include "base/error.h"
#include "base/log.h"

#include <algorithm>
#include <cctype>
#include <utility>

namespace cria::engine {
namespace {

ChatTurn turn_of(const Json& message) {
  if (!message.is_object()) fail(ErrorKind::kInvalidInput, "a message must be an object");
  ChatTurn out{.role = json_string(message, "role").value_or("user"),
               .content = json_string(message, "content").value_or("")};
  std::ranges::transform(out.role, out.role.begin(),
                         [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return out;
}

std::vector<ChatTurn> turns_from(const Json& messages) {
  std::vector<ChatTurn> out;
  for (const Json& message : messages) out.push_back(turn_of(message));
  return out;
}

bool is_system(const ChatTurn& turn) {
  return turn.role == "system";
}

// "{{ .Prompt }}" and nothing else: the text goes to the model as it is.
bool passes_through(std::string_view text) {
  std::string packed;
  for (const char c : text)
    if (!std::isspace(static_cast<unsigned char>(c))) packed += c;
  return packed.empty() || packed == "{{.Prompt}}";
}

std::string plain(std::span<const ChatTurn> turns) {
  std::string out;
  for (const ChatTurn& turn : turns)
    if (!is_system(turn)) out += turn.content;
  return out;
}

std::string render(std::string_view template_text, std::span<const ChatTurn> turns) {
  if (passes_through(template_text)) return plain(turns);
  const ChatFormat* format = find_chat_format(template_text);
  if (format == nullptr)
    fail(ErrorKind::kUnsupported,
         "the model's prompt template is none of the formats that this build knows ({}); use raw "
         "mode",
         known_chat_formats());
  return render_chat(*format, turns);
}

}  // namespace

Renderer::Renderer(const protocol::Load& load, std::string chat_template)
    : template_(load.template_text.empty() ? std::move(chat_template) : load.template_text),
      system_(load.system),
      first_turns_(turns_from(load.messages)) {
  if (passes_through(template_))
    log::warn("the model has no prompt template: prompts go to it as they are");
}

std::vector<ChatTurn> Renderer::turns_of(const protocol::Generate& request) const {
  std::vector<ChatTurn> out;
  const std::string& system = request.has_system ? request.system : system_;
  std::vector<ChatTurn> own;
  if (request.chat)
    own = turns_from(request.messages);
  else
    own.push_back({.role = "user", .content = request.prompt});
  if (!system.empty() && (own.empty() || !is_system(own.front())))
    out.push_back({.role = "system", .content = system});
  if (request.context.empty()) out.insert(out.end(), first_turns_.begin(), first_turns_.end());
  out.insert(out.end(), own.begin(), own.end());
  return out;
}

RenderedPrompt Renderer::operator()(const protocol::Generate& request, const Fits& fits) const {
  if (request.raw) return {.text = request.prompt, .truncated_messages = 0};
  if (!request.suffix.empty())
    fail(ErrorKind::kUnsupported,
         "filling in between prompt and suffix is not supported in this build");
  if (!request.tools.empty())
    fail(ErrorKind::kUnsupported, "tools are not supported in this build");
  const std::string& text = request.has_template ? request.template_text : template_;
  std::vector<ChatTurn> turns = turns_of(request);
  RenderedPrompt out{.text = render(text, turns), .truncated_messages = 0};
  while (!fits(out.text)) {
    const auto oldest = std::ranges::find_if_not(turns, is_system);
    if (oldest == turns.end() || oldest + 1 == turns.end()) break;
    turns.erase(oldest);
    ++out.truncated_messages;
    out.text = render(text, turns);
  }
  return out;
}

}  // namespace cria::engine
