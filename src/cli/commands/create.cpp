// create.cpp - `create`: a Modelfile and the files it names become a model.
#include "base/error.h"
#include "base/file.h"
#include "cli/command.h"
#include "cli/create_plan.h"
#include "cli/interrupt.h"
#include "cli/launch.h"
#include "cli/statuses.h"
#include "cli/terminal/progress.h"
#include "cli/upload.h"

namespace cria::cli {
namespace {

constexpr int64_t kMaxModelfile = 64 << 20;

CreatePlan read_plan(const Arguments& arguments) {
  const bool named = arguments.has("file");
  if (named && arguments.text("file") == "-")
    return plan_create(api::parse_modelfile(read_stdin(kMaxModelfile)), fs::current_path());
  const fs::path path = named ? arguments.text("file") : "Modelfile";
  if (!fs::exists(path)) {
    if (named) fail(ErrorKind::kNotFound, "specified Modelfile wasn't found: {}", path.string());
    return plan_create(api::parse_modelfile("FROM ."), fs::current_path());
  }
  const std::string text = read_text_file(path, kMaxModelfile);
  return plan_create(api::parse_modelfile(text), fs::absolute(path).parent_path());
}

}  // namespace

int run_create(const ApiClient& client, const Arguments& arguments) {
  const Interrupt interrupt;
  CreatePlan plan = read_plan(arguments);
  ensure_server(client);
  Progress progress("gathering model components");
  plan.request["model"] = arguments.positional.front();
  if (arguments.has("quantize")) plan.request["quantize"] = arguments.text("quantize");
  if (!plan.files.empty())
    plan.request["files"] = upload_files(client, plan.files, interrupt.token(), progress);
  if (!plan.adapters.empty())
    plan.request["adapters"] = upload_files(client, plan.adapters, interrupt.token(), progress);
  progress.stop();
  follow_statuses(client, "/api/create", plan.request);
  return 0;
}

}  // namespace cria::cli
