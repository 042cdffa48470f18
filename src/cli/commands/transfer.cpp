// transfer.cpp - `pull` and `push`.
#include "base/error.h"
#include "cli/command.h"
#include "cli/launch.h"
#include "cli/statuses.h"

#include <charconv>
#include <cstdio>

namespace cria::cli {
namespace {

// "800K", "10M", "1G" (bytes per second, powers of 1024) or a plain number.
int64_t parse_rate(const std::string& text) {
  double number = 0;
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), number);
  std::string_view unit(end, static_cast<size_t>(text.data() + text.size() - end));
  if (unit.ends_with("/s")) unit.remove_suffix(2);
  if (unit.ends_with("iB")) unit.remove_suffix(2);
  if (unit.ends_with("B")) unit.remove_suffix(1);
  double factor = 0;
  if (unit.empty()) factor = 1;
  if (unit == "K" || unit == "k") factor = 1 << 10;
  if (unit == "M" || unit == "m") factor = 1 << 20;
  if (unit == "G" || unit == "g") factor = 1 << 30;
  if (code != std::errc() || factor == 0 || number <= 0 || number * factor > 1e15)
    fail(ErrorKind::kInvalidInput,
         "invalid value for --limit-rate: \"{}\" (bytes per second, as 800K, 10M or 1G)", text);
  return static_cast<int64_t>(number * factor);
}

Json transfer_request(const Arguments& arguments) {
  Json request = {{"model", arguments.positional.front()}};
  if (arguments.on("insecure")) request["insecure"] = true;
  if (arguments.has("limit-rate")) request["limit_rate"] = parse_rate(arguments.text("limit-rate"));
  return request;
}

}  // namespace

void pull_model(const ApiClient& client, const std::string& model, bool insecure) {
  Json request = {{"model", model}};
  if (insecure) request["insecure"] = true;
  follow_statuses(client, "/api/pull", request);
}

int run_pull(const ApiClient& client, const Arguments& arguments) {
  const Json request = transfer_request(arguments);
  ensure_server(client);
  follow_statuses(client, "/api/pull", request);
  return 0;
}

int run_push(const ApiClient& client, const Arguments& arguments) {
  const Json request = transfer_request(arguments);
  ensure_server(client);
  try {
    follow_statuses(client, "/api/push", request);
  } catch (const Error& e) {
    const std::string text = e.what();
    if (text.find("access denied") == std::string::npos &&
        text.find("unauthorized") == std::string::npos)
      throw;
    fail(ErrorKind::kUnauthorized,
         "{}: you are not authorized to push to this namespace, create the model under a namespace "
         "you own",
         text);
  }
  const std::string& name = arguments.positional.front();
  const bool own_host = std::count(name.begin(), name.end(), '/') >= 2;
  std::printf("\nYou can find your model at:\n\n\t%s%s\n", own_host ? "" : "https://ollama.com/",
              name.c_str());
  return 0;
}

}  // namespace cria::cli
