// list.cpp - `list` and `ps`.
#include "base/text.h"
#include "cli/command.h"
#include "cli/format.h"

#include <fmt/format.h>

#include <cmath>
#include <cstdio>

namespace cria::cli {
namespace {

const Json& models_of(const Json& answer) {
  static const Json kNone = Json::array();
  const Json* models = json_find(answer, "models");
  return models != nullptr && models->is_array() ? *models : kNone;
}

std::string text_of(const Json& object, std::string_view key) {
  return json_string(object, key).value_or("");
}

std::string processor(int64_t size, int64_t vram) {
  if (vram == 0) return "100% CPU";
  if (size == vram) return "100% GPU";
  if (vram > size || size == 0) return "Unknown";
  const auto cpu =
      std::lround(100.0 * static_cast<double>(size - vram) / static_cast<double>(size));
  return fmt::format("{}%/{}% CPU/GPU", cpu, 100 - cpu);
}

std::string until(const std::string& time) {
  const auto left = seconds_until(time);
  if (!left) return "Never";
  return left->count() < 0 ? "Stopping..." : relative_time(*left);
}

std::string first_argument(const Arguments& arguments) {
  return arguments.positional.empty() ? std::string() : arguments.positional.front();
}

}  // namespace

std::string list_table(const ApiClient& client, std::string_view prefix) {
  std::vector<Row> rows = {{"NAME", "ID", "SIZE", "MODIFIED"}};
  const Json answer = client.get("/api/tags");
  for (const Json& model : models_of(answer)) {
    const std::string name = text_of(model, "name");
    if (!lower_case(name).starts_with(lower_case(prefix))) continue;
    const auto modified = seconds_until(text_of(model, "modified_at"));
    const bool remote = !text_of(model, "remote_model").empty();
    rows.push_back({name, text_of(model, "digest").substr(0, 12),
                    remote ? "-" : human_bytes(json_integer(model, "size").value_or(0)),
                    modified ? relative_time(*modified) : "Never"});
  }
  return format_table(rows);
}

int run_list(const ApiClient& client, const Arguments& arguments) {
  std::fputs(list_table(client, first_argument(arguments)).c_str(), stdout);
  return 0;
}

int run_ps(const ApiClient& client, const Arguments& arguments) {
  std::vector<Row> rows = {{"NAME", "ID", "SIZE", "PROCESSOR", "CONTEXT", "UNTIL"}};
  const Json answer = client.get("/api/ps");
  for (const Json& model : models_of(answer)) {
    const std::string name = text_of(model, "name");
    if (!name.starts_with(first_argument(arguments))) continue;
    const int64_t size = json_integer(model, "size").value_or(0);
    rows.push_back({name, text_of(model, "digest").substr(0, 12), human_bytes(size),
                    processor(size, json_integer(model, "size_vram").value_or(0)),
                    std::to_string(json_integer(model, "context_length").value_or(0)),
                    until(text_of(model, "expires_at"))});
  }
  std::fputs(format_table(rows).c_str(), stdout);
  return 0;
}

}  // namespace cria::cli
