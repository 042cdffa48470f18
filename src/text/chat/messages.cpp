#include "text/chat/messages.h"

#include "base/error.h"

#include <algorithm>

namespace cria::text {

namespace {

Value text_of(const Json& object, std::string_view key) {
  const Json* j = json_find(object, key);
  return Value::string(j && j->is_string() ? j->get<std::string>() : "");
}

Value any_of(const Json& object, std::string_view key) {
  const Json* j = json_find(object, key);
  return j ? Value::from_json(*j) : Value::nil();
}

Value strings_of(const Json* j, TextForm form = TextForm::kGo) {
  ValueList items;
  if (j && j->is_string()) items.push_back(Value::from_json(*j));
  if (j && j->is_array()) {
    for (const Json& item : *j) {
      if (item.is_string()) items.push_back(Value::from_json(item));
    }
  }
  return Value::list(std::move(items), form);
}

Value properties_value(const Json* properties);

// A tool's parameter. Other keywords of its schema never reach a template.
Value property_value(const Json& p) {
  ValueList alternatives;
  if (const Json* list = json_find(p, "anyOf"); list && list->is_array()) {
    for (const Json& item : *list) alternatives.push_back(property_value(item));
  }
  const Json* nested = json_find(p, "properties");
  return Value::structure(
      {.type = "api.ToolProperty",
       .fields = {
           {"AnyOf", "anyOf", true, Value::list(std::move(alternatives))},
           {"Type", "type", true, strings_of(json_find(p, "type"), TextForm::kPropertyType)},
           {"Items", "items", true, any_of(p, "items")},
           {"Description", "description", true, text_of(p, "description")},
           {"Enum", "enum", true, any_of(p, "enum")},
           {"Properties", "properties", true, nested ? properties_value(nested) : Value::nil()},
           {"Required", "required", true, strings_of(json_find(p, "required"))}}});
}

Value properties_value(const Json* properties) {
  ValueMap items;
  if (properties && properties->is_object()) {
    for (const auto& [name, p] : properties->items()) items.emplace_back(name, property_value(p));
  }
  return Value::map(std::move(items), TextForm::kJson);
}

Value function_value(const Json& function) {
  const Json* given = json_find(function, "parameters");
  const Json parameters = given ? *given : Json::object();
  Value schema = Value::structure(
      {.type = "api.ToolFunctionParameters",
       .fields = {{"Type", "type", false, text_of(parameters, "type")},
                  {"Defs", "$defs", true, any_of(parameters, "$defs")},
                  {"Items", "items", true, any_of(parameters, "items")},
                  {"Required", "required", true, strings_of(json_find(parameters, "required"))},
                  {"Properties", "properties", false,
                   properties_value(json_find(parameters, "properties"))}}});
  return Value::structure(
      {.type = "api.ToolFunction",
       .fields = {{"Name", "name", false, text_of(function, "name")},
                  {"Description", "description", false, text_of(function, "description")},
                  {"Parameters", "parameters", false, std::move(schema)}}});
}

Value tool_value(const Json& tool) {
  const Json* function = json_find(tool, "function");
  return Value::structure({.type = "api.Tool",
                           .fields = {{"Type", "type", false, text_of(tool, "type")},
                                      {"Items", "items", true, any_of(tool, "items")},
                                      {"Function", "function", false,
                                       function_value(function ? *function : Json::object())}},
                           .form = TextForm::kJson});
}

// Arguments arrive as an object or, in the OpenAI way, as its JSON text.
Value arguments_value(const Json* arguments) {
  Json object = arguments ? *arguments : Json::object();
  if (object.is_string()) {
    try {
      object = parse_json(object.get<std::string>());
    } catch (const Error&) {
      object = Json::object();
    }
  }
  ValueMap items;
  if (object.is_object()) {
    for (const auto& [name, value] : object.items())
      items.emplace_back(name, Value::from_json(value));
  }
  return Value::map(std::move(items), TextForm::kJson);
}

Value tool_call_value(const Json& call) {
  const Json* given = json_find(call, "function");
  const Json function = given ? *given : Json::object();
  const Json* index = json_find(function, "index");
  const int64_t number = index && index->is_number_integer() ? index->get<int64_t>() : 0;
  Value f = Value::structure({.type = "api.ToolCallFunction",
                              .fields = {{"Index", "index", false, Value::integer(number)},
                                         {"Name", "name", false, text_of(function, "name")},
                                         {"Arguments", "arguments", false,
                                          arguments_value(json_find(function, "arguments"))}}});
  return Value::structure({.type = "api.ToolCall",
                           .fields = {{"ID", "id", true, text_of(call, "id")},
                                      {"Function", "function", false, std::move(f)}}});
}

}  // namespace

std::vector<ChatMessage> chat_messages(const Json& messages) {
  std::vector<ChatMessage> result;
  if (messages.is_null()) return result;
  if (!messages.is_array()) fail(ErrorKind::kInvalidInput, "messages must be a list");
  for (const Json& m : messages) {
    in_context(fmt::format("messages[{}]", result.size()), [&] {
      if (!m.is_object()) fail(ErrorKind::kInvalidInput, "not an object");
      ChatMessage c{.role = json_string(m, "role").value_or(""),
                    .content = json_string(m, "content").value_or(""),
                    .thinking = json_string(m, "thinking").value_or(""),
                    .tool_name = json_string(m, "tool_name").value_or(""),
                    .tool_call_id = json_string(m, "tool_call_id").value_or("")};
      for (char& letter : c.role) {
        if (letter >= 'A' && letter <= 'Z') letter = static_cast<char>(letter - 'A' + 'a');
      }
      if (const Json* images = json_find(m, "images"))
        c.images = static_cast<int64_t>(images->size());
      if (const Json* calls = json_find(m, "tool_calls")) {
        if (!calls->is_array()) fail(ErrorKind::kInvalidInput, "tool_calls must be a list");
        c.tool_calls = *calls;
      }
      result.push_back(std::move(c));
    });
  }
  return result;
}

Value message_value(const ChatMessage& m) {
  ValueList calls, images;
  for (const Json& call : m.tool_calls) calls.push_back(tool_call_value(call));
  for (int64_t i = 0; i < m.images; ++i) images.push_back(Value::integer(i));
  return Value::structure(
      {.type = "api.Message",
       .fields = {{"Role", "role", false, Value::string(m.role)},
                  {"Content", "content", false, Value::string(m.content)},
                  {"Thinking", "thinking", true, Value::string(m.thinking)},
                  {"Images", "images", true, Value::list(std::move(images))},
                  {"ToolCalls", "tool_calls", true, Value::list(std::move(calls))},
                  {"ToolName", "tool_name", true, Value::string(m.tool_name)},
                  {"ToolCallID", "tool_call_id", true, Value::string(m.tool_call_id)}}});
}

Value tools_value(const Json& tools) {
  ValueList items;
  if (tools.is_array()) {
    for (const Json& tool : tools) items.push_back(tool_value(tool));
  }
  return Value::list(std::move(items), TextForm::kJson);
}

}  // namespace cria::text
