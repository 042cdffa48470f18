// maintain.cpp - `verify`, `repair`, `outdated`, `prune`: the store's health.
#include "base/error.h"
#include "cli/command.h"
#include "cli/format.h"
#include "cli/launch.h"
#include "cli/statuses.h"
#include "cli/terminal/progress.h"

#include <unistd.h>

#include <cstdio>

namespace cria::cli {
namespace {

int check(const ApiClient& client, const Arguments& arguments, bool repair) {
  Json request = {{"repair", repair}};
  if (arguments.on("insecure")) request["insecure"] = true;
  if (!arguments.positional.empty()) request["models"] = arguments.positional;
  ensure_server(client);
  follow_statuses(client, "/api/verify", request);
  return 0;
}

}  // namespace

int run_verify(const ApiClient& client, const Arguments& arguments) {
  return check(client, arguments, false);
}

int run_repair(const ApiClient& client, const Arguments& arguments) {
  return check(client, arguments, true);
}

int run_outdated(const ApiClient& client, const Arguments& arguments) {
  Json request = Json::object();
  if (arguments.on("insecure")) request["insecure"] = true;
  if (!arguments.positional.empty()) request["models"] = arguments.positional;
  ensure_server(client);
  Json answer;
  {
    const Progress progress("asking registries");
    answer = client.call("POST", "/api/outdated", request);
  }
  std::vector<Row> rows = {{"NAME", "ID", "REGISTRY", "DOWNLOAD", "STATUS"}};
  if (const Json* models = json_find(answer, "models"))
    for (const Json& model : *models) {
      const auto text = [&](const char* key) { return json_string(model, key).value_or(""); };
      const std::string status = text("status");
      const bool outdated = status == "outdated";
      rows.push_back({text("name"), text("digest").substr(0, 12),
                      text("remote_digest").empty() ? "-" : text("remote_digest").substr(0, 12),
                      outdated ? human_bytes(json_integer(model, "download").value_or(0)) : "-",
                      outdated              ? "outdated"
                      : status == "current" ? "up to date"
                      : status == "absent"  ? "not in its registry"
                                            : text("error")});
    }
  std::fputs(shown_on(STDOUT_FILENO, format_table(rows)).c_str(), stdout);
  return 0;
}

int run_prune(const ApiClient& client, const Arguments& arguments) {
  const bool dry_run = arguments.on("dry-run");
  ensure_server(client);
  const Json report = client.call("POST", "/api/prune", {{"dry_run", dry_run}});
  const Json* removed = json_find(report, "removed");
  if (removed != nullptr)
    for (const Json& one : *removed)
      std::printf("%s%s (%s)\n", dry_run ? "would remove " : "removed ",
                  json_string(one, "file").value_or("").c_str(),
                  human_bytes(json_integer(one, "bytes").value_or(0)).c_str());
  std::printf("%s%s\n", human_bytes(json_integer(report, "bytes").value_or(0)).c_str(),
              dry_run ? " could be freed" : " freed");
  if (const int64_t young = json_integer(report, "young").value_or(0); young > 0)
    std::printf("%lld unused files are younger than an hour and stay\n",
                static_cast<long long>(young));
  return 0;
}

}  // namespace cria::cli
