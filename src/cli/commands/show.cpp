// show.cpp - `show`: what a model is.
#include "base/error.h"
#include "cli/command.h"
#include "cli/format.h"
#include "cli/terminal/progress.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <sstream>

namespace cria::cli {
namespace {

void add_section(std::string& out, std::string_view title, const std::vector<Row>& rows) {
  if (rows.empty()) return;
  out += fmt::format("  {}\n{}\n", title, format_table(rows, 4));
}

std::string text_at(const Json& object, std::string_view key) {
  const Json* value = json_find(object, key);
  return value == nullptr || value->is_null() ? std::string() : format_value(*value);
}

void add_row(std::vector<Row>& rows, const char* label, const std::string& value) {
  if (!value.empty()) rows.push_back({label, value});
}

std::vector<Row> model_rows(const Json& model, const Json& info, const Json& details) {
  std::vector<Row> rows;
  const std::string architecture = text_at(info, "general.architecture");
  const auto count = json_integer(info, "general.parameter_count");
  add_row(rows, "Remote model", text_at(model, "remote_model"));
  add_row(rows, "Remote URL", text_at(model, "remote_host"));
  add_row(rows, "architecture", architecture.empty() ? text_at(details, "family") : architecture);
  add_row(rows, "parameters",
          count ? human_count(static_cast<uint64_t>(*count)) : text_at(details, "parameter_size"));
  add_row(rows, "context length", text_at(info, architecture + ".context_length"));
  add_row(rows, "embedding length", text_at(info, architecture + ".embedding_length"));
  add_row(rows, "quantization", text_at(details, "quantization_level"));
  add_row(rows, "requires", text_at(model, "requires"));
  return rows;
}

std::vector<Row> projector_rows(const Json& info) {
  std::vector<Row> rows;
  const auto count = json_integer(info, "general.parameter_count");
  add_row(rows, "architecture", text_at(info, "general.architecture"));
  if (count) add_row(rows, "parameters", human_count(static_cast<uint64_t>(*count)));
  add_row(rows, "embedding length", text_at(info, "clip.vision.embedding_length"));
  add_row(rows, "dimensions", text_at(info, "clip.vision.projection_dim"));
  return rows;
}

std::vector<Row> parameter_rows(const std::string& parameters) {
  std::vector<Row> rows;
  std::istringstream lines(parameters);
  for (std::string line; std::getline(lines, line);) {
    const size_t blank = line.find(' ');
    const size_t value = line.find_first_not_of(' ', blank);
    if (value == std::string::npos) continue;
    rows.push_back({line.substr(0, blank), line.substr(value)});
  }
  return rows;
}

std::vector<Row> first_lines(const std::string& text) {
  std::vector<Row> rows;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    const size_t first = line.find_first_not_of(" \t\r");
    if (first == std::string::npos) continue;
    if (rows.size() == 2) {
      rows.push_back({"..."});
      break;
    }
    rows.push_back({line.substr(first, line.find_last_not_of(" \t\r") - first + 1)});
  }
  return rows;
}

std::vector<Row> metadata_rows(const Json& info) {
  std::vector<Row> rows;
  for (const auto& [key, value] : info.items()) rows.push_back({key, format_value(value)});
  std::sort(rows.begin(), rows.end());
  return rows;
}

std::vector<Row> tensor_rows(const Json& tensors) {
  std::vector<Row> rows;
  for (const Json& tensor : tensors) {
    std::string shape;
    if (const Json* sizes = json_find(tensor, "shape"); sizes != nullptr && sizes->is_array())
      for (const Json& size : *sizes) shape += (shape.empty() ? "" : " ") + dump_json(size);
    rows.push_back({text_at(tensor, "name"), text_at(tensor, "type"), "[" + shape + "]"});
  }
  return rows;
}

Json part(const Json& model, std::string_view key) {
  const Json* value = json_find(model, key);
  return value == nullptr ? Json() : *value;
}

}  // namespace

std::string show_sections(const Json& model, bool verbose) {
  const Json info = part(model, "model_info"), details = part(model, "details");
  const Json projector = part(model, "projector_info"), capabilities = part(model, "capabilities");
  std::string out;
  add_section(out, "Model", model_rows(model, info, details));
  std::vector<Row> can;
  if (capabilities.is_array())
    for (const Json& capability : capabilities) can.push_back({format_value(capability)});
  add_section(out, "Capabilities", can);
  if (projector.is_object()) add_section(out, "Projector", projector_rows(projector));
  add_section(out, "Parameters", parameter_rows(text_at(model, "parameters")));
  if (verbose && info.is_object()) add_section(out, "Metadata", metadata_rows(info));
  if (verbose) add_section(out, "Tensors", tensor_rows(part(model, "tensors")));
  add_section(out, "System", first_lines(text_at(model, "system")));
  add_section(out, "License", first_lines(text_at(model, "license")));
  return out;
}

int run_show(const ApiClient& client, const Arguments& arguments) {
  constexpr std::array kSelectors = {"license", "modelfile", "parameters", "system", "template"};
  std::string selected;
  for (const char* selector : kSelectors) {
    if (!arguments.on(selector)) continue;
    if (!selected.empty())
      fail(
          ErrorKind::kInvalidInput,
          "only one of '--license', '--modelfile', '--parameters', '--system', or '--template' can "
          "be specified");
    selected = selector;
  }
  const bool verbose = arguments.on("verbose");
  const Json model = client.call("POST", "/api/show",
                                 {{"model", arguments.positional.front()}, {"verbose", verbose}});
  if (selected.empty()) {
    std::fputs(shown_on(STDOUT_FILENO, show_sections(model, verbose)).c_str(), stdout);
    return 0;
  }
  std::fputs(shown_on(STDOUT_FILENO, json_string(model, selected).value_or("")).c_str(), stdout);
  if (selected != "system" && selected != "template") std::fputc('\n', stdout);
  return 0;
}

}  // namespace cria::cli
