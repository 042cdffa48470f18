#include "cli/app.h"

#include "base/error.h"
#include "base/settings.h"
#include "cli/command.h"
#include "cli/completion.h"
#include "cli/terminal/progress.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>

namespace cria::cli {
namespace {

constexpr const char* kClientVersion = "0.33.0";
using namespace std::string_view_literals;

constexpr std::array kRunFlags = {
    Flag{"dimensions", 0, FlagKind::kText, "Truncate embeddings to this many dimensions"},
    Flag{"format", 0, FlagKind::kText,
         "Format of the answer: json, a schema, FILE.json, FILE.gbnf or regex:PATTERN"},
    Flag{"hidethinking", 0, FlagKind::kSwitch, "Do not print the thinking"},
    Flag{"insecure", 0, FlagKind::kSwitch, "Use an insecure registry"},
    Flag{"keepalive", 0, FlagKind::kText, "How long the model stays loaded (e.g. 5m)"},
    Flag{"nowordwrap", 0, FlagKind::kSwitch, "Do not wrap words at the terminal's edge"},
    Flag{"think", 0, FlagKind::kOptionalText, "Thinking: true, false, high, medium, low, max"},
    Flag{"truncate", 0, FlagKind::kSwitch, "For embedding models: cut inputs that are too long"},
    Flag{"verbose", 0, FlagKind::kSwitch, "Print statistics after the answer"},
};
constexpr std::array kCreateFlags = {
    Flag{"file", 'f', FlagKind::kText, "Path of the Modelfile (default \"./Modelfile\")"},
    Flag{"quantize", 'q', FlagKind::kText, "Quantize to this level (e.g. q4_K_M)"},
};
// Read by engine/bench.cpp.
constexpr std::array kBenchFlags = {
    Flag{"machine", 0, FlagKind::kSwitch, "What memory and arithmetic of this machine can give"},
    Flag{"json", 0, FlagKind::kSwitch, "Print one JSON object"},
    Flag{"threads", 0, FlagKind::kText, "Numbers of threads, e.g. 1,2 (default one and all)"},
    Flag{"runs", 0, FlagKind::kText, "Measure so many times and take the median (default 5)"},
    Flag{"depth", 0, FlagKind::kText, "Tokens that are there already (default 0)"},
    Flag{"backend", 0, FlagKind::kText, "\"cpu\" or \"reference\" (default cpu)"},
};
constexpr std::array kShowFlags = {
    Flag{"license", 0, FlagKind::kSwitch, "Show the license"},
    Flag{"modelfile", 0, FlagKind::kSwitch, "Show the Modelfile"},
    Flag{"parameters", 0, FlagKind::kSwitch, "Show the parameters"},
    Flag{"system", 0, FlagKind::kSwitch, "Show the system message"},
    Flag{"template", 0, FlagKind::kSwitch, "Show the template"},
    Flag{"verbose", 'v', FlagKind::kSwitch, "Show metadata and tensors too"},
};
constexpr std::array kPullFlags = {
    Flag{"insecure", 0, FlagKind::kSwitch, "Use an insecure registry (plain HTTP)"},
    Flag{"limit-rate", 0, FlagKind::kText, "At most so many bytes a second: 800K, 10M, 1G"}};
constexpr std::array kInsecureFlags = {
    Flag{"insecure", 0, FlagKind::kSwitch, "Use an insecure registry (plain HTTP)"}};
constexpr std::array kPruneFlags = {
    Flag{"dry-run", 0, FlagKind::kSwitch, "Only say what would be removed"}};
constexpr std::array kKeyFlags = {
    Flag{"scope", 0, FlagKind::kText, "What a new key may do: infer (default), manage or admin"}};
constexpr std::array kHost = {"OLLAMA_HOST"sv, "OLLAMA_API_KEY"sv};
constexpr std::array kKeySettings = {"OLLAMA_MODELS"sv};
constexpr std::array kTransferSettings = {"OLLAMA_HOST"sv,  "OLLAMA_API_KEY"sv, "HTTP_PROXY"sv,
                                          "HTTPS_PROXY"sv,  "NO_PROXY"sv,       "SSL_CERT_FILE"sv,
                                          "DOCKER_CONFIG"sv};
constexpr std::array kRunSettings = {"OLLAMA_HOST"sv, "OLLAMA_API_KEY"sv, "OLLAMA_NOHISTORY"sv,
                                     "OLLAMA_EDITOR"sv};
constexpr std::array kServeSettings = {"OLLAMA_HOST"sv,
                                       "OLLAMA_MODELS"sv,
                                       "OLLAMA_DEBUG"sv,
                                       "OLLAMA_KEEP_ALIVE"sv,
                                       "OLLAMA_LOAD_TIMEOUT"sv,
                                       "OLLAMA_NUM_PARALLEL"sv,
                                       "OLLAMA_MAX_LOADED_MODELS"sv,
                                       "OLLAMA_MAX_QUEUE"sv,
                                       "OLLAMA_CONTEXT_LENGTH"sv,
                                       "OLLAMA_KV_CACHE_TYPE"sv,
                                       "OLLAMA_ORIGINS"sv,
                                       "OLLAMA_NOPRUNE"sv,
                                       "OLLAMA_NUM_THREADS"sv,
                                       "CRIA_REQUIRE_AUTH"sv,
                                       "CRIA_LOG_FORMAT"sv,
                                       "HTTP_PROXY"sv,
                                       "HTTPS_PROXY"sv,
                                       "NO_PROXY"sv,
                                       "SSL_CERT_FILE"sv,
                                       "DOCKER_CONFIG"sv,
                                       "CRIA_CPU"sv,
                                       "CRIA_SPECULATION"sv,
                                       "CRIA_WATCHDOG"sv,
                                       "CRIA_PROMPT_CACHE"sv};
constexpr size_t kMany = 1'000'000;

const std::array kCommands = {
    // `serve` itself is a role of the program (main.cpp); here stands its help.
    Command{.name = "serve",
            .alias = "start",
            .usage = "serve",
            .summary = "Start the server",
            .examples = "  cria serve\n  OLLAMA_HOST=0.0.0.0:8080 cria serve\n",
            .settings = kServeSettings,
            .needs_server = false},
    Command{.name = "create",
            .usage = "create MODEL",
            .summary = "Create a model",
            .examples = "  cria create my-model -f ./Modelfile\n",
            .min_arguments = 1,
            .max_arguments = 1,
            .flags = kCreateFlags,
            .settings = kHost,
            .needs_server = false,  // starts one, as run does
            .run = run_create},
    // Also a role of the program: it runs the engine without a server.
    Command{.name = "bench",
            .usage = "bench MODEL",
            .summary = "Measure a model's speed here",
            .examples = "  cria bench smollm2\n  cria bench ./model.gguf --json --threads 1,2\n"
                        "  cria bench --machine\n",
            .flags = kBenchFlags,
            .settings = kServeSettings,
            .needs_server = false},
    Command{.name = "show",
            .usage = "show MODEL",
            .summary = "Show what a model is",
            .examples = "  cria show smollm2\n  cria show --modelfile smollm2\n",
            .min_arguments = 1,
            .max_arguments = 1,
            .flags = kShowFlags,
            .settings = kHost,
            .run = run_show},
    Command{.name = "run",
            .usage = "run MODEL [PROMPT]",
            .summary = "Run a model",
            .examples = "  cria run smollm2\n  cria run smollm2 \"Why is the sky blue?\"\n"
                        "  cria run ./model.gguf\n  cria run smollm2 --verbose < prompts.txt\n",
            .min_arguments = 1,
            .max_arguments = kMany,
            .flags = kRunFlags,
            .settings = kRunSettings,
            .needs_server = false,
            .run = run_run},
    Command{.name = "stop",
            .usage = "stop MODEL",
            .summary = "Unload a running model",
            .examples = "  cria stop smollm2\n",
            .min_arguments = 1,
            .max_arguments = 1,
            .settings = kHost,
            .run = run_stop},
    Command{.name = "pull",
            .usage = "pull MODEL",
            .summary = "Pull a model from a registry",
            .examples = "  cria pull llama3.2:1b\n  cria pull hf.co/user/model-GGUF:Q4_K_M\n"
                        "  cria pull registry.local:5000/team/model --limit-rate 10M\n",
            .min_arguments = 1,
            .max_arguments = 1,
            .flags = kPullFlags,
            .settings = kTransferSettings,
            .needs_server = false,
            .run = run_pull},
    Command{.name = "push",
            .usage = "push MODEL",
            .summary = "Push a model to a registry",
            .examples = "  cria cp mine myname/mine\n  cria push myname/mine\n"
                        "  cria push registry.local:5000/team/mine --insecure\n",
            .min_arguments = 1,
            .max_arguments = 1,
            .flags = kPullFlags,
            .settings = kTransferSettings,
            .needs_server = false,
            .run = run_push},
    Command{.name = "list",
            .alias = "ls",
            .usage = "list [PREFIX]",
            .summary = "List models",
            .examples = "  cria list\n  cria ls smol\n",
            .max_arguments = 1,
            .settings = kHost,
            .run = run_list},
    Command{.name = "ps",
            .usage = "ps [PREFIX]",
            .summary = "List running models",
            .examples = "  cria ps\n",
            .max_arguments = 1,
            .settings = kHost,
            .run = run_ps},
    Command{.name = "cp",
            .usage = "cp SOURCE DESTINATION",
            .summary = "Copy a model",
            .examples = "  cria cp smollm2 mine\n",
            .min_arguments = 2,
            .max_arguments = 2,
            .settings = kHost,
            .run = run_copy},
    Command{.name = "rm",
            .usage = "rm MODEL [MODEL...]",
            .summary = "Remove models",
            .examples = "  cria rm mine other:v2\n",
            .min_arguments = 1,
            .max_arguments = kMany,
            .settings = kHost,
            .run = run_remove},
    Command{.name = "outdated",
            .usage = "outdated [MODEL...]",
            .summary = "Ask registries which models have changed there",
            .examples = "  cria outdated\n  cria outdated llama3.2 registry.local:5000/team/mine\n",
            .max_arguments = kMany,
            .flags = kInsecureFlags,
            .settings = kTransferSettings,
            .needs_server = false,
            .run = run_outdated},
    Command{.name = "export",
            .usage = "export MODEL FOLDER",
            .summary = "Write a model's files and its Modelfile into a folder",
            .examples = "  cria export smollm2 ./smollm2\n"
                        "  cria create mine -f ./smollm2/Modelfile\n",
            .min_arguments = 2,
            .max_arguments = 2,
            .settings = kHost,
            .needs_server = false,
            .run = run_export},
    Command{.name = "verify",
            .usage = "verify [MODEL...]",
            .summary = "Read all files of models and compare them with their digests",
            .examples = "  cria verify\n  cria verify smollm2\n",
            .max_arguments = kMany,
            .settings = kHost,
            .needs_server = false,
            .run = run_verify},
    Command{.name = "repair",
            .usage = "repair [MODEL...]",
            .summary = "Verify, and pull again what is damaged",
            .examples = "  cria repair\n  cria repair registry.local:5000/team/mine --insecure\n",
            .max_arguments = kMany,
            .flags = kInsecureFlags,
            .settings = kTransferSettings,
            .needs_server = false,
            .run = run_repair},
    Command{.name = "prune",
            .usage = "prune",
            .summary = "Remove files that no model uses",
            .examples = "  cria prune --dry-run\n",
            .flags = kPruneFlags,
            .settings = kHost,
            .needs_server = false,
            .run = run_prune},
    Command{.name = "key",
            .usage = "key create [NAME] | list | revoke ID",
            .summary = "Manage the API keys of this machine's server",
            .examples = "  cria key create laptop\n  cria key create ci --scope manage\n"
                        "  cria key list\n  cria key revoke 1f2e3d4c\n",
            .min_arguments = 1,
            .max_arguments = 2,
            .flags = kKeyFlags,
            .settings = kKeySettings,
            .needs_server = false,
            .run = run_key},
    // Both print what the table holds (run_command).
    Command{.name = "completion",
            .usage = "completion SHELL",
            .summary = "Print the completion script for bash, zsh or fish",
            .examples = "  source <(cria completion bash)\n"
                        "  cria completion zsh > \"${fpath[1]}/_cria\"\n"
                        "  cria completion fish > ~/.config/fish/completions/cria.fish\n",
            .min_arguments = 1,
            .max_arguments = 1,
            .needs_server = false},
    Command{.name = "man",
            .usage = "man",
            .summary = "Print the manual page",
            .examples = "  cria man | man -l -\n",
            .needs_server = false},
};

const Command& command_of(const std::string& name) {
  for (const Command& command : kCommands)
    if (command.name == name || (!command.alias.empty() && command.alias == name)) return command;
  fail(ErrorKind::kInvalidInput, "unknown command \"{}\" for \"ollama\"", name);
}

int print_help() {
  std::string out =
      "Run large language models on this machine.\n\nUsage:\n  cria [command]\n\nCommands:\n";
  for (const Command& command : kCommands)
    out += fmt::format("  {:<10} {}\n", command.name, command.summary);
  out +=
      "  help       Help about a command\n\nFlags:\n  -h, --help      this text\n"
      "  -v, --version   the server's version\n\nUse \"cria [command] --help\" for more.\n";
  std::fputs(out.c_str(), stdout);
  return 0;
}

int print_help(const Command& command) {
  std::string out = fmt::format("{}.\n\nUsage:\n  cria {}{}\n", command.summary, command.usage,
                                command.flags.empty() ? "" : " [flags]");
  if (!command.alias.empty()) out += fmt::format("\nAlias:\n  {}\n", command.alias);
  if (!command.examples.empty()) out += fmt::format("\nExamples:\n{}", command.examples);
  out += "\nFlags:\n" + flags_help(command.flags) + "  -h, --help                 this text\n";
  out += "\nEnvironment variables:\n";
  for (const SettingRow& row : setting_rows()) {
    const auto& names = command.settings;
    if (std::find(names.begin(), names.end(), row.name) != names.end())
      out += fmt::format("  {:<26} {}\n", row.name, row.help);
  }
  std::fputs(out.c_str(), stdout);
  return 0;
}

int print_version(const ApiClient& client) {
  std::string version;
  try {
    version = json_string(client.get("/api/version"), "version").value_or("");
    std::printf("ollama version is %s\n", version.c_str());
  } catch (const Error&) {
    std::puts("Warning: could not connect to a running Ollama instance");
  }
  if (version != kClientVersion) std::printf("Warning: client version is %s\n", kClientVersion);
  return 0;
}

void check_count(const Command& command, size_t count) {
  if (count >= command.min_arguments && count <= command.max_arguments) return;
  if (command.min_arguments == command.max_arguments)
    fail(ErrorKind::kInvalidInput, "accepts {} arg(s), received {}", command.min_arguments, count);
  if (count < command.min_arguments)
    fail(ErrorKind::kInvalidInput, "requires at least {} arg(s), only received {}",
         command.min_arguments, count);
  fail(ErrorKind::kInvalidInput, "accepts at most {} arg(s), received {}", command.max_arguments,
       count);
}

int run_command(const ApiClient& client, const std::vector<std::string>& words) {
  if (words.empty() || words[0] == "-h" || words[0] == "--help") return print_help();
  if (words[0] == "-v" || words[0] == "--version") return print_version(client);
  if (words[0] == "help") {
    const bool named = words.size() > 1 && !words[1].starts_with('-') && words[1] != "help";
    return named ? print_help(command_of(words[1])) : print_help();
  }
  if (words[0].starts_with("-")) fail(ErrorKind::kInvalidInput, "unknown flag: {}", words[0]);
  const Command& command = command_of(words[0]);
  const std::span rest = std::span(words).subspan(1);
  for (const std::string& word : rest) {
    if (word == "--") break;
    if (word == "-h" || word == "--help") return print_help(command);
  }
  const Arguments arguments = parse_arguments(command.flags, rest);
  check_count(command, arguments.positional.size());
  if (command.name == "completion" || command.name == "man") {
    const std::string text = command.name == "man"
                                 ? man_page(kCommands)
                                 : completion_script(arguments.positional.front(), kCommands);
    std::fputs(text.c_str(), stdout);
    return 0;
  }
  if (command.run == nullptr)  // `serve` alone never comes here: it is a role of the program
    fail(ErrorKind::kInvalidInput, "accepts 0 arg(s), received {}", rest.size());
  if (command.needs_server) client.require_up();
  return command.run(client, arguments);
}

}  // namespace

int run_client(const std::vector<std::string>& words) {
  try {
    const std::string key = setting("CRIA_API_KEY");
    return run_command(ApiClient(server_url(setting("OLLAMA_HOST")),
                                 key.empty() ? setting("OLLAMA_API_KEY") : key),
                       words);
  } catch (const Error& e) {
    if (e.kind() == ErrorKind::kCancelled) return 0;  // Ctrl-C: asked for, no failure
    std::fprintf(stderr, "Error: %s\n", shown_on(STDERR_FILENO, e.what()).c_str());
    return exit_code(e.kind());
  } catch (const std::filesystem::filesystem_error& e) {
    std::fprintf(stderr, "Error: %s\n", e.what());
    return 1;
  }
}

}  // namespace cria::cli
