#include "api/ollama.h"

#include "api/fields.h"
#include "base/base64.h"
#include "base/error.h"
#include "base/log.h"
#include "base/text.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <limits>

namespace cria::api {
namespace {

constexpr int64_t kMaxTopLogprobs = 20;

enum class OptionType { kInteger, kFloat, kBoolean, kStrings, kBiases };
struct OptionRow {
  std::string_view name;
  OptionType type;
};
constexpr std::array kOptions = {
    OptionRow{"num_ctx", OptionType::kInteger},
    OptionRow{"num_batch", OptionType::kInteger},
    OptionRow{"num_gpu", OptionType::kInteger},
    OptionRow{"main_gpu", OptionType::kInteger},
    OptionRow{"use_mmap", OptionType::kBoolean},
    OptionRow{"num_thread", OptionType::kInteger},
    OptionRow{"draft_num_predict", OptionType::kInteger},
    OptionRow{"num_keep", OptionType::kInteger},
    OptionRow{"seed", OptionType::kInteger},
    OptionRow{"num_predict", OptionType::kInteger},
    OptionRow{"top_k", OptionType::kInteger},
    OptionRow{"top_p", OptionType::kFloat},
    OptionRow{"min_p", OptionType::kFloat},
    OptionRow{"typical_p", OptionType::kFloat},
    OptionRow{"repeat_last_n", OptionType::kInteger},
    OptionRow{"temperature", OptionType::kFloat},
    OptionRow{"repeat_penalty", OptionType::kFloat},
    OptionRow{"presence_penalty", OptionType::kFloat},
    OptionRow{"frequency_penalty", OptionType::kFloat},
    OptionRow{"stop", OptionType::kStrings},
    OptionRow{"logit_bias", OptionType::kBiases},
};

[[noreturn]] void bad_option(std::string_view name, std::string_view wanted) {
  fail(ErrorKind::kInvalidInput, "option \"{}\" must be of type {}", name, wanted);
}

Json checked_option(const OptionRow& row, const Json& value) {
  switch (row.type) {
    case OptionType::kBiases:
      check_logit_bias(value);
      return value;
    case OptionType::kInteger: {
      if (!value.is_number() || !(std::abs(value.get<double>()) < 9.2e18))
        bad_option(row.name, "integer");
      return value.is_number_integer() ? value : Json(static_cast<int64_t>(value.get<double>()));
    }
    case OptionType::kFloat:
      if (!value.is_number() ||
          !(std::abs(value.get<double>()) <= double{std::numeric_limits<float>::max()}))
        bad_option(row.name, "float32");
      return value;
    case OptionType::kBoolean:
      if (!value.is_boolean()) bad_option(row.name, "boolean");
      return value;
    case OptionType::kStrings:
      if (!value.is_array()) bad_option(row.name, "array");
      for (const Json& item : value)
        if (!item.is_string()) bad_option(row.name, "an array of strings");
      return value;
  }
  return value;
}

Json checked_format(const Json* format) {
  if (format == nullptr || format->is_object()) return format == nullptr ? Json() : *format;
  if (*format == "") return {};
  if (*format == "json") return "json";
  fail(ErrorKind::kInvalidInput,
       "invalid format: {}; expected \"json\" or a valid JSON Schema object",
       dump_json(dump_json(*format)));
}

Json checked_think(const Json* think) {
  if (think == nullptr) return {};
  if (think->is_boolean()) return *think;
  if (!think->is_string())
    fail(ErrorKind::kInvalidInput,
         "think must be a boolean or string (\"high\", \"medium\", \"low\", \"max\", true, or "
         "false)");
  for (const char* const level : {"high", "medium", "low", "max"})
    if (*think == level) return level;
  fail(ErrorKind::kInvalidInput,
       "invalid think value: {} (must be \"high\", \"medium\", \"low\", \"max\", true, or false)",
       dump_json(*think));
}

void parse_shared(const Fields& fields, Inference& out) {
  out.model = fields.text("model");
  out.stream = fields.flag("stream").value_or(true);
  out.format = checked_format(fields.find("format"));
  out.options = check_options(fields.object("options"));
  out.think = checked_think(fields.find("think"));
  out.keep_alive = parse_keep_alive(fields.find("keep_alive"));
  out.logprobs = fields.flag("logprobs").value_or(false);
  out.top_logprobs = fields.integer("top_logprobs").value_or(0);
  if (out.top_logprobs < 0 || out.top_logprobs > kMaxTopLogprobs)
    fail(ErrorKind::kInvalidInput, "top_logprobs must be between 0 and 20");
  out.truncate = fields.flag("truncate").value_or(true);
  out.shift = fields.flag("shift").value_or(true);
  out.debug_render_only = fields.flag("_debug_render_only").value_or(false);
}

Json checked_tool_calls(std::string_view type, const Fields& message) {
  Json out = Json::array();
  for (const Json& item : message.list("tool_calls")) {
    const Fields call(type, item, "messages.tool_calls.");
    const Json function = call.object("function");
    const Fields inner(type, function, "messages.tool_calls.function.");
    Json one = Json::object();
    if (const std::string id = call.text("id"); !id.empty()) one["id"] = id;
    one["function"]["index"] = inner.integer("index").value_or(0);
    one["function"]["name"] = inner.text("name");
    one["function"]["arguments"] = inner.object("arguments");
    out.push_back(std::move(one));
  }
  return out;
}

Json checked_message(std::string_view type, const Json& item) {
  const Fields message(type, item, "messages.");
  std::string role = message.text("role");
  std::ranges::transform(role, role.begin(), [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  });
  Json out = {{"role", role}, {"content", message.text("content")}};
  if (const std::string text = message.text("thinking"); !text.empty()) out["thinking"] = text;
  for (const std::string& image : message.texts("images")) {
    base64_check(image);
    out["images"].push_back(image);
  }
  if (Json calls = checked_tool_calls(type, message); !calls.empty())
    out["tool_calls"] = std::move(calls);
  if (const std::string name = message.text("tool_name"); !name.empty()) out["tool_name"] = name;
  if (const std::string id = message.text("tool_call_id"); !id.empty()) out["tool_call_id"] = id;
  return out;
}

// A schema as templates get to see it: only the keys that the API defines.
Json checked_property(const Json& property) {
  if (!property.is_object()) return property;
  Json out = Json::object();
  for (const auto& [key, value] : property.items()) {
    if (key == "properties" && value.is_object()) {
      Json inside;
      for (const auto& [name, inner] : value.items())
        json_append(inside, name, checked_property(inner));
      if (!inside.is_null()) out[key] = std::move(inside);
    } else if (key == "anyOf" && value.is_array()) {
      for (const Json& inner : value) out[key].push_back(checked_property(inner));
    } else if (key == "type" || key == "items" || key == "description" || key == "enum" ||
               key == "required") {
      out[key] = value;
    }
  }
  return out;
}

std::vector<std::pair<std::string, std::string>> file_map(const Fields& fields,
                                                          std::string_view key) {
  std::vector<std::pair<std::string, std::string>> out;
  const Json object = fields.object(key);
  for (const auto& [path, digest] : object.items()) {
    if (!digest.is_string()) fields.wrong_type(key, digest, "string");
    out.emplace_back(path, digest.get<std::string>());
  }
  return out;
}

std::vector<std::string> licenses_of(const Fields& fields) {
  const Json* const value = fields.find("license");
  if (value == nullptr) return {};
  if (value->is_string())
    return *value == "" ? std::vector<std::string>{} : std::vector{value->get<std::string>()};
  if (!value->is_array())
    fail(ErrorKind::kInvalidInput, "license must be a string or a list of strings");
  return fields.texts("license");
}

}  // namespace

Json check_options(const Json& options) {
  Json out = Json::object();
  for (const auto& [name, value] : options.items()) {
    if (value.is_null()) continue;
    const auto* const row = std::ranges::find(kOptions, name, &OptionRow::name);
    if (row == kOptions.end())
      log::warn("option \"{}\" is not known, ignored", name);
    else
      out[name] = checked_option(*row, value);
  }
  return out;
}

void check_logit_bias(const Json& value) {
  constexpr size_t kMaxBiases = 65536;
  constexpr double kMaxBias = 100;
  if (!value.is_object())
    fail(ErrorKind::kInvalidInput,
         "logit_bias must be an object of token ids and numbers from -100 to 100");
  if (value.size() > kMaxBiases)
    fail(ErrorKind::kInvalidInput, "logit_bias has {} tokens, at most {} are allowed", value.size(),
         kMaxBiases);
  for (const auto& [token, bias] : value.items()) {
    int32_t id = -1;
    const char* const end = token.data() + token.size();
    const auto [stop, problem] = std::from_chars(token.data(), end, id);
    if (stop != end || problem != std::errc() || id < 0)
      fail(ErrorKind::kInvalidInput, "logit_bias: \"{}\" is no token id", one_line(token, 40));
    if (!bias.is_number() || !(std::abs(bias.get<double>()) <= kMaxBias))
      fail(ErrorKind::kInvalidInput,
           "logit_bias: that of token {} is {:.40}, but must be a number from -100 to 100", id,
           dump_json(bias));
  }
}

Json check_messages(std::string_view type, const Json& messages) {
  Json out = Json::array();
  for (const Json& item : messages) out.push_back(checked_message(type, item));
  return out;
}

Json check_tool(std::string_view type, const Json& item) {
  const Fields tool(type, item, "tools.");
  const Json function = tool.object("function");
  const Fields inner(type, function, "tools.function.");
  const Json given = inner.object("parameters");
  Json parameters = Json::object();
  for (const auto& [key, value] : given.items()) {
    if (key == "properties" && value.is_object()) {
      Json& inside = parameters[key] = Json::object();
      for (const auto& [name, property] : value.items())
        json_append(inside, name, checked_property(property));
    } else if (key == "type" || key == "$defs" || key == "items" || key == "required") {
      parameters[key] = value;
    }
  }
  Json out = {{"type", tool.text("type", "function")}};
  if (const Json* const items = tool.find("items")) out["items"] = *items;
  out["function"]["name"] = inner.text("name");
  if (const std::string text = inner.text("description"); !text.empty())
    out["function"]["description"] = text;
  out["function"]["parameters"] = std::move(parameters);
  return out;
}

GenerateRequest parse_generate(const Json& body) {
  const Fields fields("GenerateRequest", body);
  GenerateRequest out;
  parse_shared(fields, out);
  out.prompt = fields.text("prompt");
  out.suffix = fields.text("suffix");
  out.system = fields.text("system");
  out.template_text = fields.text("template");
  out.raw = fields.flag("raw").value_or(false);
  for (const Json& item : fields.list("context")) {
    if (!item.is_number_integer() || item.get<int64_t>() < 0 ||
        item.get<int64_t>() > std::numeric_limits<int32_t>::max())
      fields.wrong_type("context", item, "int");
    out.context.push_back(item.get<int32_t>());
  }
  for (const std::string& image : fields.texts("images"))
    out.images.push_back(base64_decode(image));
  if (out.raw && (!out.system.empty() || !out.template_text.empty() || !out.context.empty()))
    fail(ErrorKind::kInvalidInput, "raw mode does not support template, system, or context");
  return out;
}

ChatRequest parse_chat(const Json& body) {
  const Fields fields("ChatRequest", body);
  ChatRequest out;
  parse_shared(fields, out);
  out.messages = check_messages("ChatRequest", fields.list("messages"));
  for (const Json& item : fields.list("tools"))
    out.tools.push_back(check_tool("ChatRequest", item));
  if (out.model.empty()) fail(ErrorKind::kInvalidInput, "model is required");
  return out;
}

std::string parse_model_name(std::string_view type, const Json& body) {
  const Fields fields(type, body);
  std::string model = fields.text("model");
  return model.empty() ? fields.text("name") : model;
}

ShowRequest parse_show(const Json& body) {
  const Fields fields("ShowRequest", body);
  ShowRequest out = {.model = parse_model_name("ShowRequest", body),
                     .system = fields.text("system"),
                     .verbose = fields.flag("verbose").value_or(false),
                     .options = fields.object("options")};
  if (out.model.empty()) fail(ErrorKind::kInvalidInput, "model is required");
  return out;
}

CreateRequest parse_create(const Json& body) {
  const Fields fields("CreateRequest", body);
  return {.model = parse_model_name("CreateRequest", body),
          .from = fields.text("from"),
          .template_text = fields.text("template"),
          .system = fields.text("system"),
          .renderer = fields.text("renderer"),
          .parser = fields.text("parser"),
          .requires_version = fields.text("requires"),
          .quantize = fields.text("quantize", fields.text("quantization")),
          .files = file_map(fields, "files"),
          .adapters = file_map(fields, "adapters"),
          .licenses = licenses_of(fields),
          .parameters = fields.object("parameters"),
          .messages = check_messages("CreateRequest", fields.list("messages")),
          .stream = fields.flag("stream").value_or(true)};
}

}  // namespace cria::api
