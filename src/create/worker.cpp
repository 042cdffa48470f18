#include "create/worker.h"

#include "base/error.h"
#include "base/log.h"
#include "base/sandbox.h"
#include "create/inspect.h"
#include "protocol/channel.h"
#include "protocol/protocol.h"
#include "text/template/template.h"

#include <array>
#include <functional>
#include <new>
#include <vector>

namespace cria::create {
namespace {

std::string required_text(const Json& arguments, std::string_view key) {
  auto text = json_string(arguments, key);
  if (!text) fail(ErrorKind::kInvalidInput, "the job needs \"{}\"", key);
  return *std::move(text);
}

// A job opens its files first; what they hold is looked at only in the sandbox.
using Work = std::function<Json()>;

Work prepare_inspect(const Json& arguments) {
  auto file = File::open(required_text(arguments, "path"));
  const bool verbose = json_bool(arguments, "verbose").value_or(false);
  return [file, verbose] { return inspect(*formats::open_gguf(file), verbose); };
}

// Whether a Go template parses, and which variables it reads.
Work prepare_check_template(const Json& arguments) {
  return [source = required_text(arguments, "template")]() -> Json {
    const std::vector<std::string> variables = text::Template::parse(source).variables();
    return {{"variables", variables}};
  };
}

struct Row {
  std::string_view kind;
  Work (*prepare)(const Json& arguments);
};

constexpr std::array kJobs = {
    Row{"inspect", prepare_inspect},
    Row{"check_template", prepare_check_template},
};

Json run_job(const protocol::Job& job) {
  for (const Row& row : kJobs) {
    if (row.kind != job.kind) continue;
    const Work work = row.prepare(job.arguments);
    const SandboxReport sandbox = enter_sandbox();
    log::log(sandbox.complete() ? log::level::debug : log::level::warn, "job {}: {}", job.kind,
             sandbox.text());
    return work();
  }
  fail(ErrorKind::kUnsupported, "unknown job \"{}\"", job.kind);
}

}  // namespace

int run_worker(int descriptor) {
  protocol::Channel channel(descriptor);
  const auto report = [&](ErrorKind kind, const std::string& message) {
    channel.send(protocol::to_json(protocol::Event(protocol::Failure{.kind = kind, .message = message})));
    return 1;
  };
  try {
    const auto message = channel.receive();
    if (!message) return 0;  // the server changed its mind
    const Json result = run_job(protocol::job_from_json(*message));
    channel.send(protocol::to_json(protocol::Event(protocol::Result{.value = result})));
    return 0;
  } catch (const Error& e) {
    return report(e.kind(), e.what());
  } catch (const std::bad_alloc&) {
    return report(ErrorKind::kOutOfMemory, "out of memory while reading the model file");
  }
}

}  // namespace cria::create
