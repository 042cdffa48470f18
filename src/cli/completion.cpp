#include "cli/completion.h"

#include "base/error.h"
#include "base/settings.h"

#include <algorithm>

namespace cria::cli {
namespace {

bool takes_models(const Command& command) {
  return command.usage.find("MODEL") != std::string_view::npos ||
         command.usage.find("SOURCE") != std::string_view::npos;
}

std::string names(std::span<const Command> commands, bool (*wanted)(const Command&),
                  std::string_view between) {
  std::string out;
  for (const Command& command : commands)
    if (wanted(command))
      out += (out.empty() ? "" : std::string(between)) + std::string(command.name);
  return out;
}

bool any(const Command&) {
  return true;
}

std::string flag_words(const Command& command) {
  std::string out;
  for (const Flag& flag : command.flags) out += fmt::format("--{} ", flag.name);
  return out + "--help";
}

// Every summary stands between single quotes, in which a shell takes everything as it is.
std::string single_quoted(std::string_view text) {
  std::string out = "'";
  for (const char c : text) {
    if (c == '\'')
      out += "'\\''";
    else
      out += c;
  }
  return out + "'";
}

constexpr std::string_view kModels = "cria list 2>/dev/null | awk 'NR > 1 { print $1 }'";

std::string bash(std::span<const Command> commands) {
  std::string flags;
  for (const Command& command : commands)
    flags += fmt::format("    {}) words=\"{}\" ;;\n", command.name, flag_words(command));
  return fmt::format(
      R"(# Completion of cria for bash: source this, or put it into /etc/bash_completion.d.
_cria() {{
  local current="${{COMP_LINE:0:COMP_POINT}}" command="${{COMP_WORDS[1]}}" words=""
  current="${{current##*[[:space:]]}}"
  if [ "$COMP_CWORD" -le 1 ]; then
    COMPREPLY=($(compgen -W "{} help" -- "$current"))
    return
  fi
  case $command in
{}  esac
  if [[ $current != -* ]]; then
    words=""
    case $command in
    {}) words=$({}) ;;
    esac
  fi
  COMPREPLY=($(compgen -W "$words" -- "$current"))
  # What stands before a colon is a word of its own to bash, and not replaced.
  if [[ $current == *:* && $COMP_WORDBREAKS == *:* ]]; then
    COMPREPLY=("${{COMPREPLY[@]#"${{current%:*}}:"}}")
  fi
}}
complete -o default -F _cria cria
)",
      names(commands, any, " "), flags, names(commands, takes_models, "|"), kModels);
}

std::string zsh(std::span<const Command> commands) {
  std::string list, flags;
  for (const Command& command : commands) {
    list +=
        fmt::format("    {}\n", single_quoted(fmt::format("{}:{}", command.name, command.summary)));
    flags += fmt::format("    {}) flags=({}) ;;\n", command.name, flag_words(command));
  }
  return fmt::format(
      R"zsh(#compdef cria
# Completion of cria for zsh: put this as _cria into a folder of $fpath.
_cria() {{
  local -a commands flags models
  local command=${{words[2]}}
  commands=(
{}  )
  if (( CURRENT == 2 )); then
    _describe command commands
    return
  fi
  case $command in
{}  esac
  if [[ $PREFIX == -* ]]; then
    compadd -- $flags
    return
  fi
  case $command in
    {}) models=(${{(f)"$({})"}}); compadd -- $models ;;
    *) _files ;;
  esac
}}
# Autoloaded from $fpath, the file itself runs at the first completion.
if [[ $funcstack[1] == _cria ]]; then _cria "$@"; else compdef _cria cria; fi
)zsh",
      list, flags, names(commands, takes_models, "|"), kModels);
}

std::string fish(std::span<const Command> commands) {
  std::string out =
      "# Completion of cria for fish: put this as cria.fish into ~/.config/fish/completions.\n"
      "complete -c cria -f\n";
  for (const Command& command : commands) {
    out += fmt::format("complete -c cria -n __fish_use_subcommand -a {} -d {}\n", command.name,
                       single_quoted(command.summary));
    for (const Flag& flag : command.flags)
      out += fmt::format("complete -c cria -n '__fish_seen_subcommand_from {}' -l {}{}{} -d {}\n",
                         command.name, flag.name,
                         flag.letter == 0 ? "" : fmt::format(" -s {}", flag.letter),
                         flag.kind == FlagKind::kText ? " -r" : "", single_quoted(flag.help));
  }
  return out +
         fmt::format("complete -c cria -n '__fish_seen_subcommand_from {}' -a {}\n",
                     names(commands, takes_models, " "),
                     single_quoted("(cria list 2>/dev/null | tail -n +2 | string split -f1 ' ')"));
}

// A line of text for roff: nothing at its beginning is a request, no hyphen is a dash.
std::string roff(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '\\')
      out += "\\e";
    else if (c == '-')
      out += "\\-";
    else
      out += c;
  }
  return out.starts_with('.') || out.starts_with('\'') ? "\\&" + out : out;
}

std::string roff_lines(std::string_view text) {
  std::string out;
  for (size_t start = 0; start < text.size();) {
    const size_t end = std::min(text.find('\n', start), text.size());
    out += roff(text.substr(start, end - start)) + "\n";
    start = end + 1;
  }
  return out;
}

}  // namespace

std::string completion_script(std::string_view shell, std::span<const Command> commands) {
  if (shell == "bash") return bash(commands);
  if (shell == "zsh") return zsh(commands);
  if (shell == "fish") return fish(commands);
  fail(ErrorKind::kInvalidInput, "no completion for \"{}\": it is there for bash, zsh and fish",
       shell);
}

std::string man_page(std::span<const Command> commands) {
  std::string out =
      ".TH CRIA 1\n.SH NAME\ncria \\- run language models on this machine\n.SH SYNOPSIS\n"
      ".B cria\n.I command\n[flags]\n.SH COMMANDS\n";
  for (const Command& command : commands) {
    out += fmt::format(".SS cria {}\n{}.\n", roff(command.usage), roff(command.summary));
    for (const Flag& flag : command.flags)
      out +=
          fmt::format(".TP\n.B \\-\\-{}{}\n{}\n", roff(flag.name),
                      flag.letter == 0 ? "" : fmt::format(", \\-{}", flag.letter), roff(flag.help));
    if (!command.examples.empty())
      out += ".PP\nExamples:\n.PP\n.nf\n" + roff_lines(command.examples) + ".fi\n";
  }
  out += ".SH ENVIRONMENT\n";
  for (const SettingRow& row : setting_rows())
    out +=
        fmt::format(".TP\n.B {}\n{}{}\n", row.name, roff(row.help),
                    row.fallback.empty() ? "" : fmt::format(" (default {})", roff(row.fallback)));
  return out +
         ".SH FILES\n.TP\n.I ~/.ollama/models\nthe models\n.TP\n.I ~/.ollama/history\n"
         "what was typed at the prompt\n.TP\n.I ~/.ollama/logs/server.log\n"
         "the log of a server that `cria run` started\n";
}

}  // namespace cria::cli
