#include "text/chat/prompt.h"

#include "base/error.h"
#include "base/text.h"

#include <algorithm>

namespace cria::text {

namespace {

std::vector<std::string> lower_variables(const Template& t) {
  std::vector<std::string> names;
  for (const std::string& v : t.variables()) names.push_back(lower_case(v));
  std::sort(names.begin(), names.end());
  return names;
}

void add_think(ValueMap& data, const Json& think) {
  const bool on = think.is_boolean() ? think.get<bool>() : think.is_string();
  const std::string level = think.is_string() ? think.get<std::string>() : on ? "medium" : "";
  data.emplace_back("Think", Value::boolean(on));
  data.emplace_back("ThinkLevel", Value::string(level));
  data.emplace_back("IsThinkSet", Value::boolean(!think.is_null()));
}

struct Collated {
  std::vector<ChatMessage> messages;
  std::string system;
};

// Neighbours of one role become one message, but for tool results; only their contents are joined.
Collated collate(const std::vector<ChatMessage>& messages) {
  Collated c;
  for (const ChatMessage& m : messages) {
    if (m.role == "system") {
      if (!c.system.empty()) c.system += "\n\n";
      c.system += m.content;
    }
    if (!c.messages.empty() && c.messages.back().role == m.role && m.role != "tool") {
      c.messages.back().content += "\n\n" + m.content;
    } else {
      c.messages.push_back(m);
    }
  }
  return c;
}

}  // namespace

struct PromptRenderer {
  const PromptTemplate& t;
  const Value& tools;
  const Json& think;

  std::string render(const std::vector<ChatMessage>& messages) const {
    const Collated c = collate(messages);
    return t.uses("messages") ? with_messages(c) : legacy(c);
  }

  std::string with_messages(const Collated& c) const {
    ValueList list;
    for (const ChatMessage& m : c.messages) list.push_back(message_value(m));
    ValueMap data{{"System", Value::string(c.system)},
                  {"Messages", Value::list(std::move(list))},
                  {"Tools", tools},
                  {"Response", Value::string("")}};
    add_think(data, think);
    return t.whole_.execute(Value::map(std::move(data)));
  }

  std::string turn(const Template& part, std::string& system, std::string& prompt,
                   std::string& response) const {
    ValueMap data{{"System", Value::string(std::exchange(system, {}))},
                  {"Prompt", Value::string(std::exchange(prompt, {}))},
                  {"Response", Value::string(std::exchange(response, {}))}};
    add_think(data, think);
    return part.execute(Value::map(std::move(data)));
  }

  // One execution per exchange; the last ends where the answer goes on.
  std::string legacy(const Collated& c) const {
    std::string text, system, prompt, response;
    for (const ChatMessage& m : c.messages) {
      if (m.role == "system") {
        if (!prompt.empty() || !response.empty()) text += turn(t.whole_, system, prompt, response);
        system = m.content;
      } else if (m.role == "user") {
        if (!response.empty()) text += turn(t.whole_, system, prompt, response);
        prompt = m.content;
      } else if (m.role == "assistant") {
        response = m.content;
      }
    }
    return text + turn(t.open_, system, prompt, response);
  }

  std::string insert(std::string_view prompt, std::string_view suffix) const {
    ValueMap data{{"Prompt", Value::string(std::string(prompt))},
                  {"Suffix", Value::string(std::string(suffix))},
                  {"Response", Value::string("")}};
    add_think(data, think);
    return t.whole_.execute(Value::map(std::move(data)));
  }
};

PromptTemplate::PromptTemplate(Template whole, Template open)
    : whole_(std::move(whole)),
      open_(std::move(open)),
      variables_(lower_variables(whole_)),
      marks_{.thinking = find_thinking_tags(whole_), .tool_tag = find_tool_tag(whole_)} {
  open_.cut_after("Response");
  capabilities_ = {
      .tools = uses("tools"), .insert = uses("suffix"), .thinking = marks_.thinking.has_value()};
}

PromptTemplate PromptTemplate::parse(std::string_view source) {
  return in_context("template error", [&] {
    Template whole = Template::parse(source);
    if (whole.calls_without_argument())
      fail(ErrorKind::kInvalidInput, "undefined template specified");
    const auto names = whole.variables();
    const auto has = [&](std::string_view n) {
      return std::find(names.begin(), names.end(), n) != names.end();
    };
    std::string text(source);
    if (!has("Messages") && !has("Response")) {
      text += "{{ .Response }}";
      whole = Template::parse(text);
    }
    return PromptTemplate(std::move(whole), Template::parse(text));
  });
}

bool PromptTemplate::uses(std::string_view name) const {
  return std::binary_search(variables_.begin(), variables_.end(), lower_case(name));
}

std::string PromptTemplate::render_chat(const ChatInput& input) const {
  const Value tools = tools_value(input.tools);
  return PromptRenderer{*this, tools, input.think}.render(chat_messages(input.messages));
}

std::string PromptTemplate::render_insert(std::string_view prompt, std::string_view suffix,
                                          const Json& think) const {
  const Value none;
  return PromptRenderer{*this, none, think}.insert(prompt, suffix);
}

Json with_model_messages(const Json& model_messages, std::string_view model_system,
                         const Json& request_messages) {
  Json all = Json::array();
  const bool own_system =
      request_messages.is_array() && !request_messages.empty() &&
      lower_case(json_string(request_messages[0], "role").value_or("")) == "system";
  if (!own_system && !model_system.empty()) {
    Json m = Json::object();
    m["role"] = "system";
    m["content"] = std::string(model_system);
    all.push_back(std::move(m));
  }
  for (const Json* part : {&model_messages, &request_messages}) {
    if (!part->is_array()) continue;
    for (const Json& m : *part) all.push_back(m);
  }
  return all;
}

Json without_old_thinking(const Json& messages) {
  Json result = messages;
  if (!result.is_array()) return result;
  const auto role = [](const Json& m) {
    return m.is_object() ? json_string(m, "role").value_or("") : "";
  };
  size_t last_user = 0;
  for (size_t i = 0; i < result.size(); ++i) {
    if (role(result[i]) == "user") last_user = i;
  }
  for (size_t i = 0; i < last_user; ++i) {
    if (role(result[i]) != "assistant") continue;
    const std::string content = json_string(result[i], "content").value_or("");
    const size_t end = content.find("</think>");
    if (!content.starts_with("<think>") || end == std::string::npos) continue;
    const size_t answer = content.find_first_not_of(" \t\r\n", end + 8);
    result[i]["content"] = answer == std::string::npos ? "" : content.substr(answer);
  }
  return result;
}

}  // namespace cria::text
