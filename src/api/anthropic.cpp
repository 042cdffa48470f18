#include "api/anthropic.h"

#include "base/base64.h"
#include "base/error.h"
#include "base/text.h"

#include <map>
#include <utility>

namespace cria::api {
namespace {

constexpr std::string_view kType = "MessagesRequest";

[[noreturn]] void refuse_block(const std::string& type, std::string_view where) {
  fail(ErrorKind::kInvalidInput, "{}: content blocks of type \"{}\" are not supported", where,
       one_line(type, 100));
}

std::string image_of(const Fields& block) {
  const Json given = block.object("source");
  if (given.empty()) fail(ErrorKind::kInvalidInput, "invalid image source");
  const Fields source(kType, given, "messages.content.source.");
  if (const std::string type = source.text("type"); type != "base64")
    fail(ErrorKind::kInvalidInput,
         "invalid image source type: {}. Only base64 images are supported.", one_line(type, 100));
  std::string data = source.text("data");
  try {
    base64_check(data);
  } catch (const Error& e) {
    fail(ErrorKind::kInvalidInput, "invalid base64 image data: {}", e.what());
  }
  return data;
}

// A string, or blocks of text without anything between them.
std::string text_of(const Json* value, std::string_view path) {
  if (value == nullptr) return {};
  if (value->is_string()) return value->get<std::string>();
  if (!value->is_array())
    fail(ErrorKind::kInvalidInput, "{} must be a string or a list of text blocks", path);
  std::string out;
  for (const Json& item : *value) {
    const Fields block(kType, item, fmt::format("{}.", path));
    if (const std::string type = block.text("type"); type != "text") refuse_block(type, path);
    out += block.text("text");
  }
  return out;
}

// Turns of the conversation. One may be several native messages: the results of tools come before
// what else a user says.
class TurnReader {
 public:
  void read(const Json& item, Json& messages) {
    const Fields turn(kType, item, "messages.");
    const std::string role = turn.text("role");
    if (role != "user" && role != "assistant" && role != "system")
      fail(ErrorKind::kInvalidInput, "messages: role is \"{}\", but must be user or assistant",
           one_line(role, 100));
    message_ = {{"role", role}, {"content", ""}};
    text_.clear();
    says_something_ = false;
    const Json* const content = turn.find("content");
    if (content == nullptr) fail(ErrorKind::kInvalidInput, "messages: content is required");
    if (content->is_string()) {
      text_ = content->get<std::string>();
      says_something_ = true;
    } else {
      if (!content->is_array()) turn.wrong_type("content", *content, "string");
      for (const Json& block : *content) add(block, messages);
    }
    if (!says_something_ && !content->empty()) return;
    message_["content"] = text_;
    messages.push_back(std::move(message_));
  }

 private:
  void add(const Json& item, Json& messages) {
    const Fields block(kType, item, "messages.content.");
    const std::string type = block.text("type");
    if (type == "redacted_thinking") return;  // nobody here could read it
    if (type == "tool_result" || type == "web_search_tool_result")
      return add_result(block, messages);
    says_something_ = true;
    if (type == "text")
      text_ += block.text("text");
    else if (type == "image")
      message_["images"].push_back(image_of(block));
    else if (type == "thinking")
      message_["thinking"] = block.text("thinking");
    else if (type == "tool_use" || type == "server_tool_use")
      add_use(block);
    else
      refuse_block(type, "messages");
  }

  void add_use(const Fields& block) {
    const std::string id = block.text("id"), name = block.text("name");
    for (const auto& [key, value] : {std::pair{"id", &id}, std::pair{"name", &name}})
      if (value->empty())
        fail(ErrorKind::kInvalidInput, "tool_use block missing required '{}' field", key);
    names_[id] = name;
    const size_t index = message_.contains("tool_calls") ? message_["tool_calls"].size() : 0;
    message_["tool_calls"].push_back(
        {{"id", id},
         {"function", {{"index", index}, {"name", name}, {"arguments", block.object("input")}}}});
  }

  void add_result(const Fields& block, Json& messages) const {
    const std::string id = block.text("tool_use_id");
    Json out = {{"role", "tool"}, {"content", ""}};
    const Json* const content = block.find("content");
    std::string text;
    if (content != nullptr && content->is_array()) {
      for (const Json& item : *content) {
        const Fields part(kType, item, "messages.content.content.");
        const std::string type = part.text("type");
        if (type == "image")
          out["images"].push_back(image_of(part));
        else if (type == "text")
          text += part.text("text");
        else
          refuse_block(type, "tool_result");
      }
    } else {
      text = text_of(content, "messages.content.content");
    }
    out["content"] = text;
    if (const auto it = names_.find(id); it != names_.end()) out["tool_name"] = it->second;
    if (!id.empty()) out["tool_call_id"] = id;
    messages.push_back(std::move(out));
  }

  std::map<std::string, std::string> names_;  // of the tools used so far, by id
  Json message_;                              // the turn that is read now
  std::string text_;
  bool says_something_ = false;  // beside results of tools
};

Json tools_of(const Fields& fields) {
  Json out = Json::array();
  for (const Json& item : fields.list("tools")) {
    const Fields tool(kType, item, "tools.");
    const std::string type = tool.text("type", "custom");
    if (type != "custom")
      fail(ErrorKind::kInvalidInput,
           "tools of type \"{}\" are not supported, only those with an input_schema",
           one_line(type, 100));
    out.push_back({{"type", "function"},
                   {"function",
                    {{"name", tool.text("name")},
                     {"description", tool.text("description")},
                     {"parameters", tool.object("input_schema")}}}});
  }
  return out;
}

ToolChoice choice_of(const Fields& fields, bool& single_call) {
  const Json given = fields.object("tool_choice");
  if (given.empty()) return {};
  const Fields choice(kType, given, "tool_choice.");
  single_call = choice.flag("disable_parallel_tool_use").value_or(false);
  const std::string type = choice.text("type");
  if (type == "auto") return {};
  if (type == "none") return {.kind = ToolChoice::Kind::kNone};
  if (type == "any") return {.kind = ToolChoice::Kind::kAny};
  if (type == "tool") return {.kind = ToolChoice::Kind::kNamed, .name = choice.text("name")};
  fail(ErrorKind::kInvalidInput, "tool_choice.type is \"{}\", but must be auto, any, tool or none",
       one_line(type, 100));
}

Json think_of(const Fields& fields, const Fields& output) {
  const Json thinking = fields.object("thinking");
  const std::string type = Fields(kType, thinking, "thinking.").text("type");
  if (type == "enabled") return true;
  if (type == "disabled") return false;
  const std::string effort = output.text("effort");
  return think_of_effort(effort == "xhigh" ? "high" : effort);
}

Json format_of(const Fields& output) {
  const Json given = output.object("format");
  if (given.empty()) return {};
  const Fields format(kType, given, "output_config.format.");
  if (format.text("type") != "json_schema" || format.find("schema") == nullptr)
    fail(ErrorKind::kInvalidInput,
         "output_config.format must be {{\"type\":\"json_schema\",\"schema\":...}}");
  return format.object("schema");
}

void parse_options(const Fields& fields, AnthropicMessages& out) {
  out.options = check_options(fields.object("options"));
  for (const char* const key : {"temperature", "top_p"}) copy_number(fields, key, out.options);
  if (const auto top_k = fields.integer("top_k")) out.options["top_k"] = *top_k;
  copy_context(fields, out.options);
  out.stop_sequences = fields.texts("stop_sequences");
  if (!out.stop_sequences.empty()) out.options["stop"] = out.stop_sequences;
}

}  // namespace

AnthropicMessages parse_anthropic_count(const Json& body) {
  const Fields fields(kType, body);
  AnthropicMessages out;
  for (const char* const key : {"mcp_servers", "container"})  // work that a provider would do
    refuse(fields, key, "tools run at the client: send them in tools");
  parse_head(fields, out);
  parse_options(fields, out);
  if (const std::string system = text_of(fields.find("system"), "system"); !system.empty())
    out.messages.push_back({{"role", "system"}, {"content", system}});
  const Json turns = fields.list("messages");
  if (turns.empty()) fail(ErrorKind::kInvalidInput, "messages is required");
  TurnReader reader;
  for (const Json& turn : turns) reader.read(turn, out.messages);
  const Json config = fields.object("output_config");
  const Fields output(kType, config, "output_config.");
  out.format = format_of(output);
  out.think = think_of(fields, output);
  const ToolChoice choice = choice_of(fields, out.single_call);
  apply_tools(kType, tools_of(fields), choice, out);
  return out;
}

AnthropicMessages parse_anthropic_messages(const Json& body) {
  AnthropicMessages out = parse_anthropic_count(body);
  const Fields fields(kType, body);
  if (fields.integer("max_tokens").value_or(0) <= 0)
    fail(ErrorKind::kInvalidInput, "max_tokens is required and must be positive");
  copy_length(fields, "max_tokens", out.options);
  return out;
}

}  // namespace cria::api
