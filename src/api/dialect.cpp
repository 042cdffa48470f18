#include "api/dialect.h"

#include "base/base64.h"
#include "base/error.h"
#include "base/text.h"

#include <algorithm>
#include <array>
#include <limits>
#include <set>
#include <utility>

namespace cria::api {
namespace {

constexpr std::array kEfforts = {std::pair{"minimal", "low"},   std::pair{"low", "low"},
                                 std::pair{"medium", "medium"}, std::pair{"high", "high"},
                                 std::pair{"max", "max"},       std::pair{"xhigh", "max"},
                                 std::pair{"ultra", "max"}};

std::string name_of(const Json& tool) {
  return tool["function"]["name"].get<std::string>();
}

// An object that is a call of this tool and nothing else.
Json schema_of_call(const Json& tool) {
  const Json& function = tool["function"];
  const Json* const parameters = json_find(function, "parameters");
  Json arguments = {{"type", "object"}};
  if (parameters != nullptr && !parameters->empty()) arguments = *parameters;
  return {{"type", "object"},
          {"properties",
           {{"name", {{"const", function["name"]}}}, {"arguments", std::move(arguments)}}},
          {"required", {"name", "arguments"}},
          {"additionalProperties", false}};
}

Json format_of_choice(const Json& tools, const ToolChoice& choice) {
  Json calls = Json::array();
  for (const Json& tool : tools)
    if (choice.kind == ToolChoice::Kind::kAny || name_of(tool) == choice.name)
      calls.push_back(schema_of_call(tool));
  if (calls.empty())
    fail(ErrorKind::kInvalidInput, "tool_choice names \"{}\", which is none of the tools",
         one_line(choice.name, 100));
  if (calls.size() == 1) return calls[0];
  Json any = Json::object();
  any["anyOf"] = std::move(calls);
  return any;
}

}  // namespace

void parse_head(const Fields& fields, Inference& out) {
  out.model = fields.required("model");
  out.stream = fields.flag("stream").value_or(false);
  out.keep_alive = parse_keep_alive(fields.find("keep_alive"));
  out.truncate = fields.flag("truncate").value_or(true);
  out.shift = fields.flag("shift").value_or(true);
}

std::optional<ToolChoice> plain_choice(const Json* value) {
  if (value == nullptr || *value == "auto") return ToolChoice{};
  if (*value == "none") return ToolChoice{.kind = ToolChoice::Kind::kNone};
  if (*value == "required") return ToolChoice{.kind = ToolChoice::Kind::kAny};
  return std::nullopt;
}

ToolChoice allowed_choice(std::string_view type, const Fields& given,
                          const std::function<std::string(const Fields& tool)>& read_name) {
  const std::string mode = given.text("mode");
  if (mode != "auto" && mode != "required")
    fail(ErrorKind::kInvalidInput,
         "the mode of the allowed tools is \"{}\", but must be auto or required",
         one_line(mode, 100));
  ToolChoice out{.kind = mode == "auto" ? ToolChoice::Kind::kAuto : ToolChoice::Kind::kAny};
  out.allowed.emplace();
  for (const Json& item : given.list("tools")) {
    const Fields tool(type, item, "tool_choice.tools.");
    if (const std::string kind = tool.text("type"); kind != "function")
      fail(ErrorKind::kInvalidInput, "tools of type \"{}\" are not supported, only functions",
           one_line(kind, 100));
    out.allowed->push_back(read_name(tool));
  }
  return out;
}

void apply_tools(std::string_view type, const Json& tools, const ToolChoice& choice,
                 DialectChat& out) {
  Json checked = Json::array(), offered = Json::array();  // the same tools
  std::set<std::string> known, allowed;
  if (choice.allowed) allowed.insert(choice.allowed->begin(), choice.allowed->end());
  for (size_t i = 0; i < tools.size(); ++i) {
    Json tool = check_tool(type, tools[i]);
    const std::string name = name_of(tool);
    if (name.empty()) fail(ErrorKind::kInvalidInput, "tools[{}] has no name", i);
    known.insert(name);
    if (choice.allowed && !allowed.contains(name)) continue;
    checked.push_back(std::move(tool));
    offered.push_back(tools[i]);
  }
  for (const std::string& name : allowed)
    if (!known.contains(name))
      fail(ErrorKind::kInvalidInput, "tool_choice allows \"{}\", which is none of the tools",
           one_line(name, 100));
  if (choice.kind == ToolChoice::Kind::kNone) return;
  out.tools = std::move(checked);
  if (choice.kind == ToolChoice::Kind::kAuto) return;
  if (offered.empty())
    fail(ErrorKind::kInvalidInput, "tool_choice asks for a call, but there are no tools");
  if (!out.format.is_null())
    fail(ErrorKind::kInvalidInput,
         "tool_choice asks for a call, so the answer cannot have another format as well");
  out.format = format_of_choice(offered, choice);
  out.forced_call = true;
}

std::string image_of_url(std::string_view url) {
  if (url.starts_with("http://") || url.starts_with("https://"))
    fail(ErrorKind::kInvalidInput,
         "image URLs are not currently supported, please use base64 encoded data instead");
  for (const std::string_view head :
       {"data:image/jpeg;base64,", "data:image/jpg;base64,", "data:image/png;base64,",
        "data:image/webp;base64,", "data:;base64,"})
    if (url.starts_with(head)) {
      url.remove_prefix(head.size());
      base64_check(url);
      return std::string(url);
    }
  fail(ErrorKind::kInvalidInput, "invalid image input");
}

Json think_of_effort(const std::string& effort) {
  if (effort.empty()) return {};
  if (effort == "none") return false;
  const auto* const row =
      std::ranges::find_if(kEfforts, [&](const auto& pair) { return effort == pair.first; });
  if (row != kEfforts.end()) return row->second;
  fail(ErrorKind::kInvalidInput,
       "invalid reasoning value: {} (must be \"minimal\", \"low\", \"medium\", \"high\", "
       "\"xhigh\", \"ultra\", \"max\", or \"none\")",
       dump_json(one_line(effort, 100)));
}

Json arguments_of_text(std::string_view text) {
  if (text.empty()) return Json::object();
  Json arguments;
  try {
    arguments = parse_json(text);
  } catch (const Error& e) {
    fail(ErrorKind::kInvalidInput, "invalid tool call arguments: {}", e.what());
  }
  if (!arguments.is_object())
    fail(ErrorKind::kInvalidInput, "invalid tool call arguments: expected a JSON object, got {}",
         arguments.type_name());
  return arguments;
}

void refuse(const Fields& fields, std::string_view key, std::string_view instead) {
  const Json* const value = fields.find(key);
  if (value == nullptr || *value == false || *value == 0 || *value == "") return;
  if (value->is_structured() && value->empty()) return;
  fail(ErrorKind::kInvalidInput, "{} is not supported; {}", key, instead);
}

void copy_number(const Fields& fields, std::string_view key, Json& options) {
  if (const auto value = fields.number(key)) options[key] = *value;
}

void copy_length(const Fields& fields, std::string_view key, Json& options) {
  const auto value = fields.integer(key);
  if (!value) return;
  if (*value < -1 || *value > std::numeric_limits<int32_t>::max())
    fail(ErrorKind::kInvalidInput,
         "{} is {}, but must be a number of tokens from 0 to 2147483647, or -1 for no limit", key,
         *value);
  options["num_predict"] = *value;
}

void copy_context(const Fields& fields, Json& options) {
  if (const auto value = fields.integer("num_ctx")) options["num_ctx"] = *value;
}

void copy_stop(const Fields& fields, std::string_view key, Json& options) {
  const Json* const value = fields.find(key);
  if (value == nullptr) return;
  Json strings = Json::array();
  for (const Json& one : value->is_string() ? Json::array({*value}) : fields.list(key))
    if (one.is_string()) strings.push_back(one);
  options["stop"] = std::move(strings);
}

void append_part(std::string& text, const std::string& part) {
  if (!text.empty() && !part.empty()) text += "\n\n";
  text += part;
}

}  // namespace cria::api
