#include "create/worker.h"

#include "base/error.h"
#include "base/log.h"
#include "base/sandbox.h"
#include "create/inspect.h"
#include "create/quantize.h"
#include "models/model.h"
#include "protocol/channel.h"
#include "protocol/protocol.h"
#include "text/chat/chat_template.h"
#include "text/template/template.h"

#include <algorithm>
#include <array>
#include <fstream>
#include <functional>
#include <new>
#include <optional>
#include <thread>
#include <vector>

namespace cria::create {
namespace {

std::string required_text(const Json& arguments, std::string_view key) {
  auto text = json_string(arguments, key);
  if (!text) fail(ErrorKind::kInvalidInput, "the job needs \"{}\"", key);
  return *std::move(text);
}

// Says how far a job is, from 0 to 1.
using Report = std::function<void(double fraction)>;
// A job opens its files first; what they hold is looked at only in the sandbox.
using Work = std::function<Json(const Report& report)>;

// Why the engine could not run this model; empty when it can. No weights are read.
std::string problem_of(const std::shared_ptr<const formats::ModelFile>& file) {
  try {
    models::load_model(file, 1);
    return {};
  } catch (const Error& e) {
    const std::string_view why = e.what();
    const std::string place = file->path + ": ";  // of a blob, which tells nobody anything
    return std::string(why.substr(why.starts_with(place) ? place.size() : 0));
  }
}

Work prepare_inspect(const Json& arguments) {
  auto file = File::open(required_text(arguments, "path"));
  const bool verbose = json_bool(arguments, "verbose").value_or(false);
  return [file, verbose](const Report&) {
    const auto model = formats::open_gguf(file);
    Json facts = inspect(*model, verbose);
    if (facts["general_type"] == "model") facts["problem"] = problem_of(model);
    return facts;
  };
}

// A new file for a job's result. Nothing may stand there yet.
std::shared_ptr<std::ofstream> open_output(const Json& arguments) {
  const std::string path = required_text(arguments, "output");
  std::error_code none;
  if (fs::exists(path) && fs::file_size(path, none) != 0)
    fail(ErrorKind::kConflict, "{} exists already", path);
  auto output = std::make_shared<std::ofstream>(path, std::ios::binary);
  if (!*output) fail(ErrorKind::kForbidden, "{}: cannot be written", path);
  return output;
}

void write_output(std::ofstream& output, const formats::Metadata& metadata,
                  const std::vector<formats::NewTensor>& tensors, const Report& report) {
  const int64_t total = formats::gguf_bytes(metadata, tensors);
  int64_t done = 0, told = 0;
  const auto check = [&] {
    if (!output) fail(ErrorKind::kOutOfMemory, "no space is left for the new model file");
  };
  formats::write_gguf(
      [&](std::span<const std::byte> bytes) {
        output.write(reinterpret_cast<const char*>(bytes.data()),
                     static_cast<std::streamsize>(bytes.size()));
        check();
        done += static_cast<int64_t>(bytes.size());
        if (done - told < total / 100) return;
        told = done;
        report(static_cast<double>(done) / static_cast<double>(total));
      },
      metadata, tensors);
  output.close();
  check();
}

// {path, output, type}.
Work prepare_quantize(const Json& arguments) {
  const quant::Mix& mix = require_mix(required_text(arguments, "type"));
  auto source = File::open(required_text(arguments, "path"));
  auto output = open_output(arguments);
  return [&mix, source, output](const Report& report) -> Json {
    const auto model = formats::open_gguf(source);
    const auto threads = static_cast<int>(std::clamp(std::thread::hardware_concurrency(), 1u, 64u));
    const Quantized result = quantize(*model, mix, threads);
    write_output(*output, result.metadata, result.tensors, report);
    return Json::object();
  };
}

// {paths, output}: the parts of a model, in order, become one file.
Work prepare_merge(const Json& arguments) {
  std::vector<std::shared_ptr<const File>> parts;
  const Json* paths = json_find(arguments, "paths");
  if (paths == nullptr || !paths->is_array() || paths->empty())
    fail(ErrorKind::kInvalidInput, "the job needs \"paths\"");
  for (const Json& path : *paths) parts.push_back(File::open(path.get<std::string>()));
  auto output = open_output(arguments);
  return [parts, output](const Report& report) -> Json {
    const auto model = formats::open_gguf_parts(parts);
    formats::Metadata metadata;
    for (const auto& [key, value] : model->metadata)
      if (!key.starts_with("split.")) metadata.emplace_back(key, value);
    std::vector<formats::NewTensor> tensors;
    for (const formats::TensorInfo& tensor : model->tensors)
      tensors.push_back(formats::copy_of(tensor));
    write_output(*output, metadata, tensors, report);
    return Json::object();
  };
}

// Whether a Go template parses, and which variables it reads.
Work prepare_check_template(const Json& arguments) {
  return [source = required_text(arguments, "template")](const Report&) -> Json {
    const std::vector<std::string> variables = text::Template::parse(source).variables();
    return {{"variables", variables}};
  };
}

// What the templates of a model let it do: {"capabilities": [...]} of tools, insert, thinking.
Work prepare_template_capabilities(const Json& arguments) {
  return [layer = required_text(arguments, "template"),
          chat_template = required_text(arguments, "chat_template")](const Report&) -> Json {
    std::optional<text::PromptTemplate> go;
    if (!layer.empty()) go = text::PromptTemplate::parse(layer);
    const auto path = text::choose_prompt_path(go ? &*go : nullptr, layer, chat_template,
                                               text::go_template_wanted());
    text::Capabilities can;
    if (path == text::PromptPath::kGo) can = go->capabilities();
    if (path == text::PromptPath::kJinja) can = text::jinja_capabilities(chat_template);
    Json list = Json::array();
    if (can.tools) list.push_back("tools");
    if (can.insert) list.push_back("insert");
    if (can.thinking) list.push_back("thinking");
    return {{"capabilities", std::move(list)}};
  };
}

struct Row {
  std::string_view kind;
  Work (*prepare)(const Json& arguments);
};

constexpr std::array kJobs = {
    Row{"inspect", prepare_inspect},
    Row{"check_template", prepare_check_template},
    Row{"template_capabilities", prepare_template_capabilities},
    Row{"quantize", prepare_quantize},
    Row{"merge", prepare_merge},
};

Json run_job(const protocol::Job& job, const Report& report) {
  for (const Row& row : kJobs) {
    if (row.kind != job.kind) continue;
    const Work work = row.prepare(job.arguments);
    const SandboxReport sandbox = enter_sandbox();
    log::at(sandbox.complete() ? log::Level::kDebug : log::Level::kWarn, "job {}: {}", job.kind,
            sandbox.text());
    return work(report);
  }
  fail(ErrorKind::kUnsupported, "unknown job \"{}\"", job.kind);
}

}  // namespace

int run_worker(int descriptor) {
  protocol::Channel channel(descriptor);
  const auto progress = [&](double fraction) {
    channel.send(protocol::to_json(protocol::Event(protocol::Progress{.fraction = fraction})));
  };
  const auto report = [&](ErrorKind kind, const std::string& message) {
    channel.send(
        protocol::to_json(protocol::Event(protocol::Failure{.kind = kind, .message = message})));
    return 1;
  };
  try {
    const auto message = channel.receive();
    if (!message) return 0;  // the server changed its mind
    const Json result = run_job(protocol::job_from_json(*message), progress);
    channel.send(protocol::to_json(protocol::Event(protocol::Result{.value = result})));
    return 0;
  } catch (const Error& e) {
    return report(e.kind(), e.what());
  } catch (const std::bad_alloc&) {
    return report(ErrorKind::kOutOfMemory, "out of memory while reading the model file");
  }
}

}  // namespace cria::create
