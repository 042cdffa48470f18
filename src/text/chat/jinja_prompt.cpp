#include "text/chat/jinja_prompt.h"

#include "base/error.h"
#include "text/chat/chat_template.h"
#include "text/chat/messages.h"

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

namespace cria::text {
namespace {

Json arguments_of(const Json& function, bool as_text) {
  const Json* given = json_find(function, "arguments");
  if (given == nullptr) return as_text ? Json("{}") : Json::object();
  if (as_text) return given->is_string() ? *given : Json(dump_json(*given));
  if (!given->is_string()) return *given;
  try {
    return parse_json(given->get_ref<const std::string&>());
  } catch (const Error&) {
    return *given;  // no JSON: the template may still write it
  }
}

Json calls_of(const Json& calls, bool arguments_as_text) {
  Json out = Json::array();
  for (const Json& call : calls) {
    const Json* function = json_find(call, "function");
    if (function == nullptr) continue;
    Json one = Json::object();
    if (const Json* id = json_find(call, "id")) one["id"] = *id;
    one["type"] = "function";
    one["function"] = {{"name", json_string(*function, "name").value_or("")},
                       {"arguments", arguments_of(*function, arguments_as_text)}};
    out.push_back(std::move(one));
  }
  return out;
}

// As transformers' templates expect a message.
Json message_of(const ChatMessage& message, bool arguments_as_text) {
  Json out = {{"role", message.role}, {"content", message.content}};
  if (!message.thinking.empty()) out["reasoning_content"] = message.thinking;
  if (!message.tool_calls.empty())
    out["tool_calls"] = calls_of(message.tool_calls, arguments_as_text);
  if (!message.tool_call_id.empty()) out["tool_call_id"] = message.tool_call_id;
  if (!message.tool_name.empty()) out["name"] = message.tool_name;
  return out;
}

// For templates without a system role: its text stands before the first question.
std::vector<ChatMessage> with_folded_system(std::vector<ChatMessage> messages) {
  std::string system;
  std::erase_if(messages, [&](const ChatMessage& m) {
    if (m.role != "system") return false;
    system += m.content + "\n\n";
    return true;
  });
  if (system.empty()) return messages;
  const auto user = std::ranges::find(messages, "user", &ChatMessage::role);
  if (user != messages.end())
    user->content.insert(0, system);
  else
    messages.insert(messages.begin(),
                    {.role = "user", .content = system.substr(0, system.size() - 2)});
  return messages;
}

}  // namespace

JinjaPrompt JinjaPrompt::parse(const JinjaSource& source) {
  JinjaPrompt prompt(source, jinja::Template::parse(source.text));
  prompt.probe();
  return prompt;
}

JinjaPrompt::JinjaPrompt(const JinjaSource& source, jinja::Template parsed)
    : template_(std::move(parsed)),
      bos_(source.bos),
      variables_(Json::object()),
      marks_(jinja_marks(source.text)),
      adds_bos_(source.adds_bos) {
  variables_["bos_token"] = source.bos;
  variables_["eos_token"] = source.eos;
  variables_["documents"] = nullptr;
  variables_["add_generation_prompt"] = true;
}

std::string JinjaPrompt::render_list(Json messages, const Json& tools, const Json& think,
                                     const jinja::Settings& settings) const {
  Json variables = variables_;
  variables["messages"] = std::move(messages);
  variables["tools"] = tools.is_array() && !tools.empty() ? tools : Json();
  if (!think.is_null()) {
    const bool on = think.is_string() || think == true;
    variables["enable_thinking"] = on;
    variables["thinking"] = on;  // DeepSeek's name for it
    if (think.is_string()) variables["reasoning_effort"] = think;
  }
  std::string text = template_.render(variables, settings);
  if (adds_bos_ && !bos_.empty() && text.starts_with(bos_)) text.erase(0, bos_.size());
  return text;
}

void JinjaPrompt::probe() {
  const auto rendered = [&](Json messages, const Json& tools) -> std::optional<std::string> {
    try {
      return render_list(std::move(messages), tools, {}, {.limits = kProbeLimits});
    } catch (const Error&) {
      return std::nullopt;
    }
  };
  const auto has = [](const std::optional<std::string>& text, std::string_view part) {
    return text && text->find(part) != std::string::npos;
  };
  const Json user = {{"role", "user"}, {"content", "probe of a question"}};
  const Json system = {{"role", "system"}, {"content", "probe of a system"}};
  if (rendered(Json::array({user}), {}))
    takes_system_ = has(rendered(Json::array({system, user}), {}), "probe of a system");
  const auto with_call = [&](Json arguments) {
    const Json call = {{"id", "call00000"},
                       {"type", "function"},
                       {"function", {{"name", "probe_tool"}, {"arguments", std::move(arguments)}}}};
    const Json asked = {
        {"role", "assistant"}, {"content", ""}, {"tool_calls", Json::array({call})}};
    const Json result = {
        {"role", "tool"}, {"content", "1"}, {"name", "probe_tool"}, {"tool_call_id", "call00000"}};
    const Json tool = {{"type", "function"},
                       {"function",
                        {{"name", "probe_tool"},
                         {"description", "d"},
                         {"parameters", {{"type", "object"}, {"properties", Json::object()}}}}}};
    return rendered(Json::array({user, asked, result}), Json::array({tool}));
  };
  // Python writes a dict's keys in single quotes where a template means it to be text.
  const auto as_object = with_call({{"probe_key", "v"}});
  if (!as_object || has(as_object, "'probe_key'"))
    arguments_as_text_ = has(with_call(R"({"probe_key": "v"})"), R"("probe_key")");
}

std::string JinjaPrompt::render(const ChatInput& input) const {
  std::vector<ChatMessage> messages = chat_messages(input.messages);
  std::string begun;
  if (messages.size() > 1 && messages.back().role == "assistant" &&
      messages.back().tool_calls.empty()) {
    begun = std::move(messages.back().content);
    messages.pop_back();
  }
  if (!takes_system_) messages = with_folded_system(std::move(messages));
  Json list = Json::array();
  for (const ChatMessage& message : messages)
    list.push_back(message_of(message, arguments_as_text_));
  return in_context("the model's chat template", [&] {
    return render_list(std::move(list), input.tools, input.think, {.now = input.now}) + begun;
  });
}

}  // namespace cria::text
