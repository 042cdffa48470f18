// command.h - one command of the command line, and the functions behind the table in app.cpp.
#pragma once

#include "cli/api_client.h"
#include "cli/flags.h"

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

namespace cria::cli {

struct Command {
  std::string_view name, alias, usage, summary, examples;
  size_t min_arguments = 0, max_arguments = 0;
  std::span<const Flag> flags;
  std::span<const std::string_view> settings;  // the variables that its help names
  bool needs_server = true;
  int (*run)(const ApiClient& client, const Arguments& arguments) = nullptr;
};

int run_run(const ApiClient& client, const Arguments& arguments);
int run_create(const ApiClient& client, const Arguments& arguments);
int run_show(const ApiClient& client, const Arguments& arguments);
int run_list(const ApiClient& client, const Arguments& arguments);
int run_ps(const ApiClient& client, const Arguments& arguments);
int run_stop(const ApiClient& client, const Arguments& arguments);
int run_copy(const ApiClient& client, const Arguments& arguments);
int run_remove(const ApiClient& client, const Arguments& arguments);
int run_pull(const ApiClient& client, const Arguments& arguments);
int run_push(const ApiClient& client, const Arguments& arguments);
int run_verify(const ApiClient& client, const Arguments& arguments);
int run_repair(const ApiClient& client, const Arguments& arguments);
int run_outdated(const ApiClient& client, const Arguments& arguments);
int run_export(const ApiClient& client, const Arguments& arguments);
int run_key(const ApiClient& client, const Arguments& arguments);
int run_prune(const ApiClient& client, const Arguments& arguments);

// Pulls, with progress on stderr.
void pull_model(const ApiClient& client, const std::string& model, bool insecure);
std::string list_table(const ApiClient& client, std::string_view prefix);
// The sections of `show` without selector flags.
std::string show_sections(const Json& model, bool verbose);

}  // namespace cria::cli
