#include "api/openai_responses.h"

#include "base/error.h"
#include "base/text.h"

#include <map>
#include <utility>

namespace cria::api {
namespace {

constexpr std::string_view kType = "ResponsesRequest";

// The items of `input` as messages: calls and thinking belong to the assistant's message beside
// them.
class ItemReader {
 public:
  explicit ItemReader(Json& messages) : messages_(messages) {}

  void read(const Json& item) {
    const Fields fields(kType, item, "input.");
    const std::string type = fields.text("type", fields.find("role") == nullptr ? "" : "message");
    if (type.empty())
      fail(ErrorKind::kInvalidInput, "input[{}]: input item missing required 'type' field", index_);
    if (type == "message")
      add_message(fields);
    else if (type == "function_call")
      add_call(fields);
    else if (type == "function_call_output")
      add_output(fields);
    else if (type == "reasoning")
      add_reasoning(fields);
    else if (type != "web_search_call")
      fail(ErrorKind::kInvalidInput, "input[{}]: unknown input item type: {}", index_,
           dump_json(one_line(type, 100)));
    ++index_;
  }

 private:
  static void add_part(const Json& item, std::string& text, Json& message) {
    const Fields part(kType, item, "input.content.");
    const std::string type = part.text("type");
    if (type == "input_text" || type == "output_text" || type == "text" || type == "summary_text" ||
        type == "reasoning_text")
      return append_part(text, part.text("text"));
    if (type == "refusal") return append_part(text, part.text("refusal"));
    if (type == "input_file")
      fail(ErrorKind::kInvalidInput, "file inputs are not currently supported");
    if (type != "input_image")
      fail(ErrorKind::kInvalidInput, "invalid message format: a part of type \"{}\"",
           one_line(type, 100));
    message["images"].push_back(image_of_url(part.text("image_url")));
  }

  // A string or a list of parts; images go to `message`.
  static std::string content_of(const Fields& fields, std::string_view key, Json& message) {
    const Json* const value = fields.find(key);
    if (value == nullptr) return {};
    if (value->is_string()) return value->get<std::string>();
    if (!value->is_array()) fields.wrong_type(key, *value, "string");
    std::string text;
    for (const Json& part : *value) add_part(part, text, message);
    return text;
  }

  bool after_assistant() const {
    return !messages_.empty() && messages_.back()["role"] == "assistant";
  }

  // The assistant's message that is spoken now.
  Json& assistant(bool continued) {
    if (!continued) messages_.push_back({{"role", "assistant"}, {"content", ""}});
    Json& message = messages_.back();
    if (!thinking_.empty()) message["thinking"] = std::exchange(thinking_, {});
    return message;
  }

  void add_message(const Fields& fields) {
    const std::string role = fields.text("role");
    if (role.empty()) fail(ErrorKind::kInvalidInput, "input[{}]: a message has no role", index_);
    if (role == "assistant") {
      // Between a call and its output the text belongs to the message that calls.
      const bool calls = after_assistant() && messages_.back().contains("tool_calls");
      Json& message = assistant(calls);
      auto text = message["content"].get<std::string>();
      append_part(text, content_of(fields, "content", message));
      message["content"] = text;
      return;
    }
    Json message = {{"role", role}, {"content", ""}};
    message["content"] = content_of(fields, "content", message);
    messages_.push_back(std::move(message));
  }

  void add_call(const Fields& fields) {
    const std::string id = fields.text("call_id"), name = fields.required("name");
    names_[id] = name;
    Json& message = assistant(after_assistant());
    const size_t index = message.contains("tool_calls") ? message["tool_calls"].size() : 0;
    Json call = Json::object();
    if (!id.empty()) call["id"] = id;
    call["function"] = {{"index", index},
                        {"name", name},
                        {"arguments", arguments_of_text(fields.text("arguments"))}};
    message["tool_calls"].push_back(std::move(call));
  }

  void add_output(const Fields& fields) {
    const std::string id = fields.text("call_id");
    Json message = {{"role", "tool"}, {"content", ""}};
    message["content"] = content_of(fields, "output", message);
    if (const auto it = names_.find(id); it != names_.end()) message["tool_name"] = it->second;
    if (!id.empty()) message["tool_call_id"] = id;
    messages_.push_back(std::move(message));
  }

  // What is called encrypted is the text that this server once gave out.
  void add_reasoning(const Fields& fields) {
    thinking_ = fields.text("encrypted_content");
    Json no_images;
    if (thinking_.empty()) thinking_ = content_of(fields, "content", no_images);
    if (thinking_.empty()) thinking_ = content_of(fields, "summary", no_images);
  }

  Json& messages_;
  std::map<std::string, std::string> names_;  // of the functions called so far, by call_id
  std::string thinking_;                      // of the assistant's next message
  size_t index_ = 0;
};

void add_function(const Json& item, const std::string& space, Json& out) {
  const Fields tool(kType, item, "tools.");
  if (const std::string type = tool.text("type"); type != "function")
    fail(ErrorKind::kInvalidInput, "tools of type \"{}\" are not supported, only functions",
         one_line(type, 100));
  const std::string name = tool.text("name");
  out.push_back({{"type", "function"},
                 {"function",
                  {{"name", space.empty() || name.empty() ? name : space + "." + name},
                   {"description", tool.text("description")},
                   {"parameters", tool.object("parameters")}}}});
}

// Flat functions, and those of namespaces under "namespace.name".
Json tools_of(const Fields& fields) {
  Json out = Json::array();
  for (const Json& item : fields.list("tools")) {
    const Fields tool(kType, item, "tools.");
    if (tool.text("type") != "namespace") {
      add_function(item, "", out);
      continue;
    }
    for (const Json& member : tool.list("tools")) add_function(member, tool.text("name"), out);
  }
  return out;
}

ToolChoice choice_of(const Fields& fields) {
  const Json* const value = fields.find("tool_choice");
  if (const auto plain = plain_choice(value)) return *plain;
  if (value->is_object()) {
    const Fields choice(kType, *value, "tool_choice.");
    if (choice.text("type") == "allowed_tools")
      return allowed_choice(kType, choice, [](const Fields& tool) { return tool.text("name"); });
    const std::string name = choice.text("name");
    if (choice.text("type") == "function" && !name.empty())
      return {.kind = ToolChoice::Kind::kNamed, .name = name};
  }
  fail(ErrorKind::kInvalidInput,
       "tool_choice must be \"none\", \"auto\", \"required\", {{\"type\":\"function\","
       "\"name\":...}} or {{\"type\":\"allowed_tools\",\"mode\":...,\"tools\":[...]}}");
}

Json format_of(const Fields& fields) {
  const Json text = fields.object("text");
  const Json given = Fields(kType, text, "text.").object("format");
  if (given.empty()) return {};
  const Fields format(kType, given, "text.format.");
  const std::string type = format.text("type");
  if (type == "text") return {};
  if (type == "json_object") return "json";
  if (type != "json_schema")
    fail(ErrorKind::kInvalidInput,
         "text.format.type is \"{}\", but must be text, json_object or json_schema",
         one_line(type, 100));
  if (format.find("schema") == nullptr) fail(ErrorKind::kInvalidInput, "text.format has no schema");
  return format.object("schema");
}

void refuse_all(const Fields& fields) {
  refuse(fields, "previous_response_id", "responses are not kept: send the whole input");
  refuse(fields, "conversation", "conversations are not kept: send the whole input");
  refuse(fields, "prompt", "prompts are not kept: send instructions and input");
  refuse(fields, "background", "ask for a stream instead");
  refuse(fields, "top_logprobs", "leave it out");
}

void parse_options(const Fields& fields, OpenAiResponses& out) {
  out.options = {{"temperature", 1.0}};
  const Json given = check_options(fields.object("options"));
  for (const auto& [name, value] : given.items()) out.options[name] = value;
  for (const char* const key : {"temperature", "top_p"}) copy_number(fields, key, out.options);
  copy_length(fields, "max_output_tokens", out.options);
  copy_context(fields, out.options);
  const std::string truncation = fields.text("truncation", "auto");
  if (truncation != "auto" && truncation != "disabled")
    fail(ErrorKind::kInvalidInput, "truncation is \"{}\", but must be auto or disabled",
         one_line(truncation, 100));
  if (truncation == "disabled") out.truncate = false;
}

Json given_or(const Fields& fields, std::string_view key, const Json& fallback) {
  const Json* const value = fields.find(key);
  return value == nullptr ? fallback : *value;
}

Json echo_of(const Fields& fields, const OpenAiResponses& request) {
  const Json* const top_p = json_find(request.options, "top_p");
  return {{"instructions", given_or(fields, "instructions", nullptr)},
          {"tools", fields.list("tools")},
          {"tool_choice", given_or(fields, "tool_choice", "auto")},
          {"truncation", request.truncate ? "auto" : "disabled"},
          {"parallel_tool_calls", !request.single_call},
          {"text", given_or(fields, "text", {{"format", {{"type", "text"}}}})},
          {"top_p", top_p == nullptr ? Json(1.0) : *top_p},
          {"temperature", request.options["temperature"]},
          {"reasoning", given_or(fields, "reasoning", nullptr)},
          {"max_output_tokens", given_or(fields, "max_output_tokens", nullptr)},
          {"metadata", fields.object("metadata")}};
}

}  // namespace

OpenAiResponses parse_openai_responses(const Json& body) {
  const Fields fields(kType, body);
  OpenAiResponses out;
  parse_head(fields, out);
  refuse_all(fields);
  parse_options(fields, out);
  if (const std::string text = fields.text("instructions"); !text.empty())
    out.messages.push_back({{"role", "system"}, {"content", text}});
  const Json* const input = fields.find("input");
  if (input == nullptr || *input == "" || *input == Json::array())
    fail(ErrorKind::kInvalidInput, "input is required");
  if (input->is_string()) {
    out.messages.push_back({{"role", "user"}, {"content", *input}});
  } else {
    if (!input->is_array()) fields.wrong_type("input", *input, "string");
    ItemReader reader(out.messages);
    for (const Json& item : *input) reader.read(item);
    if (out.messages.empty()) fail(ErrorKind::kInvalidInput, "input holds no message");
  }
  const Json reasoning = fields.object("reasoning");
  out.think = think_of_effort(Fields(kType, reasoning, "reasoning.").text("effort"));
  out.format = format_of(fields);
  out.single_call = !fields.flag("parallel_tool_calls").value_or(true);
  apply_tools(kType, tools_of(fields), choice_of(fields), out);
  out.echo = echo_of(fields, out);
  return out;
}

}  // namespace cria::api
