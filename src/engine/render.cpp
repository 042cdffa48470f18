#include "engine/render.h"

#include "base/error.h"
#include "base/log.h"
#include "text/chat/detect.h"

#include <algorithm>
#include <cctype>
#include <utility>

namespace cria::engine {
namespace {

constexpr std::string_view kPlainTemplate = "{{ .Prompt }}";

ChatTurn turn_of(const Json& message) {
  ChatTurn out{.role = json_string(message, "role").value_or("user"),
               .content = json_string(message, "content").value_or("")};
  std::ranges::transform(out.role, out.role.begin(),
                         [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return out;
}

Json message(std::string_view role, const std::string& content) {
  Json out = Json::object();
  out["role"] = role;
  out["content"] = content;
  return out;
}

// The Go template that a model's prompts are written with; nullopt when it has only a Jinja
// template that is none of the known ones.
std::optional<text::PromptTemplate> own_template(const protocol::Load& load,
                                                 const std::string& chat_template) {
  if (!load.template_text.empty()) return text::PromptTemplate::parse(load.template_text);
  if (chat_template.empty()) {
    log::warn("the model has no prompt template: prompts go to it as they are");
    return text::PromptTemplate::parse(kPlainTemplate);
  }
  const auto known = text::detect_template(chat_template);
  if (!known) return std::nullopt;
  log::debug("the model's chat template is {}", known->name);
  return text::PromptTemplate::parse(known->text);
}

std::string render_by_markers(const std::string& chat_template, const Json& messages) {
  const ChatFormat* format = find_chat_format(chat_template);
  if (format == nullptr)
    fail(ErrorKind::kUnsupported,
         "the model's Jinja template is none of the formats that this version knows ({}); give the "
         "model a TEMPLATE, or use raw mode",
         known_chat_formats());
  std::vector<ChatTurn> turns;
  for (const Json& row : messages) turns.push_back(turn_of(row));
  return render_chat(*format, turns);
}

// `messages` without the first `count` that are not of the system.
Json without_oldest(const Json& messages, size_t count) {
  Json out = Json::array();
  for (const Json& row : messages)
    if (count == 0 || turn_of(row).role == "system")
      out.push_back(row);
    else
      --count;
  return out;
}

// Whole messages go from the front until `render` fits; system messages and the last one stay. The
// fewest that must go are found by halving: a chat of thousands of messages is rendered a dozen
// times, not thousands of times.
RenderedPrompt render_fitting(const Json& messages, const Fits& fits,
                              const std::function<std::string(const Json&)>& render) {
  RenderedPrompt out{.text = render(messages)};
  if (messages.empty() || fits(out.text)) return out;
  size_t most = 0;  // that may go
  for (size_t i = 0; i + 1 < messages.size(); ++i) most += turn_of(messages[i]).role != "system";
  size_t too_few = 0, enough = most;  // with all of them gone it is as short as it can be
  while (enough - too_few > 1) {
    const size_t middle = too_few + (enough - too_few) / 2;
    (fits(render(without_oldest(messages, middle))) ? enough : too_few) = middle;
  }
  out.text = render(without_oldest(messages, enough));
  out.truncated_messages = enough;
  return out;
}

}  // namespace

Renderer::Renderer(const protocol::Load& load, std::string chat_template)
    : chat_template_(std::move(chat_template)),
      template_(own_template(load, chat_template_)),
      system_(load.system),
      first_messages_(load.messages) {}

Json Renderer::messages_of(const protocol::Generate& request) const {
  Json own = request.messages;
  if (!request.chat) own = Json::array({message("user", request.prompt)});
  if (!own.is_array()) fail(ErrorKind::kInvalidInput, "messages must be a list");
  for (const Json& row : own)
    if (!row.is_object()) fail(ErrorKind::kInvalidInput, "a message must be an object");
  if (!request.chat && request.has_system)
    own.insert(own.begin(), message("system", request.system));
  const Json& first = request.context.empty() ? first_messages_ : Json::array();
  Json all = text::with_model_messages(first, system_, own);
  return request.drop_old_thinking ? text::without_old_thinking(all) : all;
}

RenderedPrompt Renderer::operator()(const protocol::Generate& request, const Fits& fits) const {
  if (request.raw) return {.text = request.prompt};
  std::optional<text::PromptTemplate> given;
  if (request.has_template) given = text::PromptTemplate::parse(request.template_text);
  const text::PromptTemplate* with = given ? &*given : template_ ? &*template_ : nullptr;
  if (!request.suffix.empty()) {
    if (with == nullptr || !with->uses("suffix"))
      fail(ErrorKind::kInvalidInput,
           "the model's template has no .Suffix: it cannot fill in between");
    return {.text = with->render_insert(request.prompt, request.suffix, request.think)};
  }
  if (with == nullptr && !request.tools.empty())
    fail(
        ErrorKind::kUnsupported,
        "the model's Jinja template cannot show tools here; give the model a TEMPLATE with .Tools");
  RenderedPrompt out = render_fitting(messages_of(request), fits, [&](const Json& messages) {
    if (with == nullptr) return render_by_markers(chat_template_, messages);
    return with->render_chat(
        {.messages = messages, .tools = request.tools, .think = request.think});
  });
  if (with != nullptr) out.parser.emplace(*with, out.text, request.tools, request.think);
  return out;
}

}  // namespace cria::engine
