// key.cpp - `key`: the API keys of the server on this machine, in the file that it reads.
#include "api/keys.h"
#include "base/error.h"
#include "cli/command.h"
#include "cli/format.h"
#include "cli/terminal/progress.h"

#include <unistd.h>

#include <cstdio>

namespace cria::cli {
namespace {

int create(const api::KeyFile& file, const Arguments& arguments) {
  const std::string scope = arguments.has("scope") ? arguments.text("scope") : "infer";
  const std::string name = arguments.positional.size() > 1 ? arguments.positional[1] : "";
  const bool first = file.list().empty();
  const api::KeyFile::Created created =
      file.create(name, api::parse_scope(scope), std::chrono::system_clock::now());
  std::fprintf(stderr, "Key %s, scope %s. It is not shown again:\n", created.key.id.c_str(),
               scope.c_str());
  std::printf("%s\n", created.secret.c_str());
  if (first)
    std::fputs(
        "From now on the server needs a key with every request; commands send "
        "OLLAMA_API_KEY.\n",
        stderr);
  return 0;
}

int list(const api::KeyFile& file) {
  std::vector<Row> rows = {{"ID", "NAME", "SCOPE", "CREATED"}};
  for (const api::ApiKey& key : file.list())
    rows.push_back({key.id, shown_on(STDOUT_FILENO, key.name),
                    std::string(api::scope_name(key.scope)),
                    shown_on(STDOUT_FILENO, key.created_at)});
  std::fputs(format_table(rows).c_str(), stdout);
  return 0;
}

int revoke(const api::KeyFile& file, const std::string& id) {
  const size_t left = file.revoke(id);
  std::printf("revoked %s\n", id.c_str());
  if (left == 0)
    std::fprintf(stderr,
                 "No key is left, so the server refuses every request; create one, or remove %s to "
                 "let everybody in.\n",
                 file.path().c_str());
  return 0;
}

}  // namespace

int run_key(const ApiClient&, const Arguments& arguments) {
  const api::KeyFile file(api::default_key_file());
  const std::string& action = arguments.positional.front();
  const size_t count = arguments.positional.size();
  if (action != "create" && arguments.has("scope"))
    fail(ErrorKind::kInvalidInput, "--scope belongs to `cria key create`");
  if (action == "create") return create(file, arguments);
  if (action == "list" && count == 1) return list(file);
  if (action == "revoke" && count == 2) return revoke(file, arguments.positional[1]);
  fail(ErrorKind::kInvalidInput,
       "use `cria key create [NAME] [--scope SCOPE]`, `cria key list` or "
       "`cria key revoke ID`");
}

}  // namespace cria::cli
