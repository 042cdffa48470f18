#include "api/openai.h"

#include "base/error.h"
#include "base/text.h"

#include <algorithm>
#include <limits>
#include <map>

namespace cria::api {
namespace {

constexpr std::string_view kChat = "ChatCompletionRequest";
constexpr std::string_view kCompletion = "CompletionRequest";
constexpr int64_t kMaxCount = 128;
constexpr int64_t kMaxTopLogprobs = 20;

int64_t count_of(const Fields& fields) {
  const int64_t count = fields.integer("n").value_or(1);
  if (count < 1 || count > kMaxCount)
    fail(ErrorKind::kInvalidInput, "n is {}, but must be from 1 to {}", count, kMaxCount);
  return count;
}

void refuse_best_of(const Fields& fields, int64_t count) {
  if (fields.integer("best_of").value_or(count) != count)
    fail(ErrorKind::kInvalidInput, "best_of is not supported; leave it out");
}

// What both endpoints share.
void parse_shared(const Fields& fields, Inference& out, bool& include_usage) {
  parse_head(fields, out);
  const Json stream_options = fields.object("stream_options");
  include_usage = Fields("StreamOptions", stream_options, "stream_options.")
                      .flag("include_usage")
                      .value_or(false);
  out.options = {{"temperature", 1.0}, {"top_p", 1.0}};
  const Json given = check_options(fields.object("options"));
  for (const auto& [name, value] : given.items()) out.options[name] = value;
  for (const char* const key : {"temperature", "top_p", "frequency_penalty", "presence_penalty"})
    copy_number(fields, key, out.options);
  copy_length(fields, "max_tokens", out.options);
  copy_context(fields, out.options);
  if (const auto seed = fields.integer("seed")) out.options["seed"] = *seed;
  copy_stop(fields, "stop", out.options);
  if (const Json* const bias = fields.find("logit_bias"); bias != nullptr) {
    check_logit_bias(*bias);
    if (!bias->empty()) out.options["logit_bias"] = *bias;
  }
}

Json schema_of_format(const Json& format) {
  const Fields fields(kChat, format, "response_format.");
  const std::string type = fields.text("type");
  if (type == "text") return {};
  if (type == "json_object") return "json";
  if (type != "json_schema")
    fail(ErrorKind::kInvalidInput,
         "response_format.type is \"{}\", but must be text, json_object or json_schema",
         one_line(type, 100));
  const Json outer = fields.object("json_schema");
  const Fields inner(kChat, outer, "response_format.json_schema.");
  if (inner.find("schema") == nullptr)
    fail(ErrorKind::kInvalidInput, "response_format.json_schema has no schema");
  return inner.object("schema");
}

std::string effort_of(const Fields& fields) {
  const Json reasoning = fields.object("reasoning");
  const std::string effort = Fields(kChat, reasoning, "reasoning.").text("effort");
  return effort.empty() ? fields.text("reasoning_effort") : effort;
}

ToolChoice choice_of(const Fields& fields) {
  const Json* const value = fields.find("tool_choice");
  if (const auto plain = plain_choice(value)) return *plain;
  if (value->is_object()) {
    const Fields choice(kChat, *value, "tool_choice.");
    if (choice.text("type") == "allowed_tools") {
      const Json allowed = choice.object("allowed_tools");
      return allowed_choice(
          kChat, Fields(kChat, allowed, "tool_choice.allowed_tools."), [](const Fields& tool) {
            const Json function = tool.object("function");
            return Fields(kChat, function, "tool_choice.tools.function.").text("name");
          });
    }
    const Json function = choice.object("function");
    const std::string name = Fields(kChat, function, "tool_choice.function.").text("name");
    if (choice.text("type") == "function" && !name.empty())
      return {.kind = ToolChoice::Kind::kNamed, .name = name};
  }
  fail(ErrorKind::kInvalidInput,
       "tool_choice must be \"none\", \"auto\", \"required\", {{\"type\":\"function\","
       "\"function\":{{\"name\":...}}}} or {{\"type\":\"allowed_tools\",\"allowed_tools\":...}}");
}

Json tools_of(const Fields& fields) {
  Json tools = fields.list("tools");
  for (const Json& item : tools) {
    const std::string type = Fields(kChat, item, "tools.").text("type", "function");
    if (type != "function")
      fail(ErrorKind::kInvalidInput, "tools of type \"{}\" are not supported, only functions",
           one_line(type, 100));
  }
  return tools;
}

// One message: parts of a content list become one text and its images.
class MessageReader {
 public:
  Json read(const Json& item) {
    const Fields fields(kChat, item, "messages.");
    Json out = {{"role", fields.text("role")}, {"content", ""}};
    if (out["role"] == "") fail(ErrorKind::kInvalidInput, "a message has no role");
    std::string thinking = fields.text("reasoning");
    if (thinking.empty()) thinking = fields.text("reasoning_content");
    if (!thinking.empty()) out["thinking"] = thinking;
    for (const Json& call : fields.list("tool_calls")) add_call(call, out);
    add_content(fields.find("content"), out);
    if (const std::string id = fields.text("tool_call_id"); !id.empty()) out["tool_call_id"] = id;
    if (out["role"] == "tool") add_tool_name(fields, out);
    return out;
  }

 private:
  static void add_content(const Json* content, Json& out) {
    if (content == nullptr) {
      if (out.contains("tool_calls")) return;
      fail(ErrorKind::kInvalidInput, "invalid message content type: <nil>");
    }
    if (content->is_string()) {
      out["content"] = *content;
      return;
    }
    if (!content->is_array())
      fail(ErrorKind::kInvalidInput, "invalid message content type: {}", content->type_name());
    std::string text;
    for (const Json& part : *content) add_part(part, text, out);
    out["content"] = text;
  }

  static void add_part(const Json& item, std::string& text, Json& out) {
    const Fields part(kChat, item, "messages.content.");
    const std::string type = part.text("type");
    if (type == "text") return append_part(text, part.text("text"));
    if (type == "refusal") return append_part(text, part.text("refusal"));
    if (type == "input_audio")
      fail(ErrorKind::kInvalidInput, "audio input is not supported by this version of Cria");
    if (type != "image_url")
      fail(ErrorKind::kInvalidInput, "invalid message format: a part of type \"{}\"",
           one_line(type, 100));
    const Json* const url = part.find("image_url");
    if (url != nullptr && url->is_string()) {
      out["images"].push_back(image_of_url(url->get_ref<const std::string&>()));
      return;
    }
    const Json object = part.object("image_url");
    out["images"].push_back(
        image_of_url(Fields(kChat, object, "messages.content.image_url.").text("url")));
  }

  void add_call(const Json& item, Json& out) {
    const Fields call(kChat, item, "messages.tool_calls.");
    const Json function = call.object("function");
    const Fields inner(kChat, function, "messages.tool_calls.function.");
    Json one = Json::object();
    if (const std::string id = call.text("id"); !id.empty()) {
      one["id"] = id;
      names_[id] = inner.text("name");
    }
    const size_t index = out.contains("tool_calls") ? out["tool_calls"].size() : 0;
    one["function"] = {{"index", index},
                       {"name", inner.text("name")},
                       {"arguments", arguments_of_text(inner.text("arguments"))}};
    out["tool_calls"].push_back(std::move(one));
  }

  void add_tool_name(const Fields& fields, Json& out) const {
    std::string name = fields.text("name");
    if (const auto it = names_.find(fields.text("tool_call_id"));
        name.empty() && it != names_.end())
      name = it->second;
    if (!name.empty()) out["tool_name"] = name;
  }

  std::map<std::string, std::string> names_;  // of the functions called so far, by id
};

void parse_logprobs(const Fields& fields, Inference& out) {
  out.logprobs = fields.flag("logprobs").value_or(false);
  out.top_logprobs = fields.integer("top_logprobs").value_or(0);
  if (out.top_logprobs < 0 || out.top_logprobs > kMaxTopLogprobs)
    fail(ErrorKind::kInvalidInput, "top_logprobs must be between 0 and 20");
  if (out.top_logprobs > 0 && !out.logprobs)
    fail(ErrorKind::kInvalidInput, "top_logprobs needs logprobs to be true");
}

}  // namespace

OpenAiChat parse_openai_chat(const Json& body) {
  const Fields fields(kChat, body);
  OpenAiChat out;
  parse_shared(fields, out, out.include_usage);
  copy_length(fields, "max_completion_tokens", out.options);
  refuse(fields, "functions", "use tools");
  refuse(fields, "function_call", "use tool_choice");
  parse_logprobs(fields, out);
  out.count = count_of(fields);
  refuse_best_of(fields, out.count);
  MessageReader reader;
  for (const Json& item : fields.list("messages")) out.messages.push_back(reader.read(item));
  if (out.messages.empty()) fail(ErrorKind::kInvalidInput, "[] is too short - 'messages'");
  if (const Json format = fields.object("response_format"); !format.empty())
    out.format = schema_of_format(format);
  out.think = think_of_effort(effort_of(fields));
  out.single_call = !fields.flag("parallel_tool_calls").value_or(true);
  apply_tools(kChat, tools_of(fields), choice_of(fields), out);
  return out;
}

OpenAiCompletion parse_openai_completion(const Json& body) {
  const Fields fields(kCompletion, body);
  OpenAiCompletion out;
  parse_shared(fields, out, out.include_usage);
  const Json* const prompt = fields.find("prompt");
  if (prompt != nullptr && prompt->is_array() && prompt->size() == 1 && (*prompt)[0].is_string())
    out.prompt = (*prompt)[0].get<std::string>();
  else if (prompt != nullptr && prompt->is_array())
    fail(ErrorKind::kInvalidInput,
         "prompt must be one text: several prompts, and lists of token ids, are not supported");
  else
    out.prompt = fields.text("prompt");
  out.suffix = fields.text("suffix");
  out.echo = fields.flag("echo").value_or(false);
  out.count = count_of(fields);
  refuse_best_of(fields, out.count);
  out.top_logprobs = fields.integer("logprobs").value_or(0);
  if (out.top_logprobs < 0 || out.top_logprobs > kMaxTopLogprobs)
    fail(ErrorKind::kInvalidInput, "logprobs must be between 0 and 20");
  out.logprobs = fields.find("logprobs") != nullptr;
  if (out.echo && out.logprobs)
    fail(ErrorKind::kInvalidInput, "echo with logprobs is not supported: the prompt has none");
  return out;
}

}  // namespace cria::api
