#include "engine/bench.h"

#include "base/error.h"
#include "base/json.h"
#include "base/resources.h"
#include "engine/batcher.h"
#include "engine/bench_text.h"
#include "engine/loader.h"
#include "engine/options.h"
#include "ml/cpu/kernels.h"
#include "ml/cpu/probe.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <optional>
#include <set>
#include <vector>

namespace cria::engine {
namespace {

constexpr std::string_view kUsage =
    "usage: cria bench MODEL|FILE [--json] [--runs N] [--threads N,N,...] [--depth N] [--backend "
    "NAME]\n       cria bench --machine [--json] [--threads N,N,...]";

struct Options {
  std::string model, backend = "cpu";
  bool json = false, machine = false;
  int64_t runs = 5, depth = 0;
  std::vector<int> threads;  // empty: 1 and all
};

int64_t number(const std::string& text, int64_t low, int64_t high) {
  int64_t value = 0;
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (code != std::errc() || end != text.data() + text.size() || value < low || value > high)
    fail(ErrorKind::kInvalidInput, "\"{}\" is not a number from {} to {}\n{}", text, low, high,
         kUsage);
  return value;
}

std::vector<int> number_list(const std::string& text) {
  std::vector<int> out;
  for (size_t start = 0; start <= text.size();) {
    const size_t comma = std::min(text.find(',', start), text.size());
    out.push_back(static_cast<int>(number(text.substr(start, comma - start), 1, 1024)));
    start = comma + 1;
  }
  return out;
}

Options parse(std::span<const std::string> args) {
  Options out;
  for (size_t i = 0; i < args.size(); ++i) {
    const auto value = [&]() -> const std::string& {
      if (i + 1 == args.size())
        fail(ErrorKind::kInvalidInput, "{} needs a value\n{}", args[i], kUsage);
      return args[++i];
    };
    if (args[i] == "--json")
      out.json = true;
    else if (args[i] == "--machine")
      out.machine = true;
    else if (args[i] == "--runs")
      out.runs = number(value(), 1, 1000);
    else if (args[i] == "--depth")
      out.depth = number(value(), 0, 1 << 20);
    else if (args[i] == "--threads")
      out.threads = number_list(value());
    else if (args[i] == "--backend")
      out.backend = value();
    else if (args[i].starts_with("-"))
      fail(ErrorKind::kInvalidInput, "unknown flag {}\n{}", args[i], kUsage);
    else if (out.model.empty())
      out.model = args[i];
    else
      fail(ErrorKind::kInvalidInput, "one model at a time\n{}", kUsage);
  }
  if (out.model.empty() != out.machine) fail(ErrorKind::kInvalidInput, "{}", kUsage);
  if (out.threads.empty()) {
    const std::set<int> both = {1, usable_threads()};
    out.threads.assign(both.begin(), both.end());
  }
  return out;
}

double seconds_of(const std::function<void()>& body) {
  const auto start = std::chrono::steady_clock::now();
  body();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

double median(std::vector<double> values) {
  std::ranges::sort(values);
  const size_t middle = values.size() / 2;
  return values.size() % 2 == 1 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
}

// Runs `rows` more positions of a sequence in steps of at most the plan's capacity.
void feed(LoadedEngine& loaded, Batcher& batcher, Sequence& sequence) {
  while (sequence.pending() > 0) {
    const int64_t rows = std::min(sequence.pending(), loaded.capacity);
    sequence.reserve(rows);
    const BatchItem item{.sequence = &sequence, .rows = rows, .best = SamplingOptions{}.top_k};
    batcher.run({&item, 1});
  }
}

// The share of what the machine can do: of its memory's speed when generating, of its products
// when reading a prompt. Attention's arithmetic is not counted. Null where the backend does not say
// what a step costs.
Json share_of_limit(const LoadedEngine& loaded, bool prompt, int64_t depth, double per_second,
                    const ml::cpu::MachineLimits& limits) {
  const ml::StepCost cost = loaded.plan->cost();
  if (cost.weight_bytes == 0) return nullptr;
  if (prompt)
    return per_second * (static_cast<double>(cost.int8_ops) / limits.int8_ops +
                         static_cast<double>(cost.float_ops) / limits.float_ops +
                         static_cast<double>(cost.bf16_ops) / limits.bf16_ops);
  const ml::KvStore& store = loaded.memory->store();
  const int64_t kv = store.bytes() / (store.pages() * ml::kPageTokens) * depth;
  return per_second * static_cast<double>(cost.weight_bytes + kv) / limits.read_bytes;
}

// What is read is many times the last cache, but a small part of what is free.
ml::cpu::MachineLimits limits_of(int threads) {
  constexpr int64_t kMost = int64_t{512} << 20, kLeast = int64_t{64} << 20;
  return ml::cpu::measure_limits(threads, std::clamp(available_memory() / 8, kLeast, kMost));
}

Json machine_report(const std::vector<int>& threads) {
  Json rows = Json::array();
  for (const int count : threads) {
    const ml::cpu::MachineLimits limits = limits_of(count);
    rows.push_back({{"threads", count},
                    {"read_gigabytes_per_second", limits.read_bytes * 1e-9},
                    {"int8_gigaops_per_second", limits.int8_ops * 1e-9},
                    {"float_gigaops_per_second", limits.float_ops * 1e-9},
                    {"bf16_gigaops_per_second", limits.bf16_ops * 1e-9}});
  }
  return {{"kernels", ml::cpu::kernels().name}, {"limits", rows}};
}

void print_machine(const Json& report) {
  std::fputs(fmt::format("{} kernels\n\n{:>8}  {:>12}  {:>14}  {:>14}\n",
                         report["kernels"].get<std::string>(), "threads", "memory GB/s",
                         "int8 Gop/s", "float Gop/s")
                 .c_str(),
             stdout);
  for (const Json& row : report["limits"])
    std::fputs(fmt::format("{:>8}  {:>12.1f}  {:>14.0f}  {:>14.0f}\n", row["threads"].get<int>(),
                           row["read_gigabytes_per_second"].get<double>(),
                           row["int8_gigaops_per_second"].get<double>(),
                           row["float_gigaops_per_second"].get<double>())
                   .c_str(),
               stdout);
}

struct Case {
  const char* kind;
  int64_t tokens;
};

// Median tokens per second.
double measure(LoadedEngine& loaded, Case test, const Options& options) {
  Batcher batcher(*loaded.plan, loaded.memory->store(), loaded.model.vocabulary);
  const bool prompt = std::string_view(test.kind) == "prompt";
  std::vector<double> speeds;
  for (int64_t run = 0; run <= options.runs; ++run) {
    const std::vector<TokenId> ids =
        bench_tokens(*loaded.tokenizer, std::max<int64_t>(options.depth, 1) + test.tokens);
    const auto depth = ids.begin() + std::max<int64_t>(options.depth, 1);
    Sequence sequence(*loaded.memory, {ids.begin(), depth});
    feed(loaded, batcher, sequence);
    const double seconds = seconds_of([&] {
      for (auto id = depth; id != ids.end(); ++id) {
        sequence.append(*id);
        if (!prompt) feed(loaded, batcher, sequence);
      }
      feed(loaded, batcher, sequence);
    });
    if (run > 0)
      speeds.push_back(static_cast<double>(test.tokens) / seconds);  // the first warms up
  }
  return median(speeds);
}

Json measure_all(const Options& options, const std::shared_ptr<const formats::ModelFile>& file) {
  constexpr Case kCases[] = {{"prompt", 32}, {"prompt", 128}, {"prompt", 512}, {"generate", 64}};
  Json results = Json::array();
  for (const int threads : options.threads) {
    const ml::cpu::MachineLimits limits = limits_of(threads);  // while no model is in memory
    LoadSettings settings{.num_ctx = options.depth + 1024,
                          .threads = threads,
                          .backend = options.backend,
                          .available_memory = available_memory()};
    std::optional<LoadedEngine> loaded;
    const double seconds = seconds_of([&] { loaded.emplace(load_engine(file, settings)); });
    if (loaded->model.result != models::Result::kLogits)
      fail(ErrorKind::kUnsupported, "{}: a model that only embeds cannot be measured yet",
           file->path);
    results.push_back(
        {{"test", "load"}, {"tokens", 0}, {"threads", threads}, {"seconds", seconds}});
    for (const Case& test : kCases) {
      if (options.depth + 1 + test.tokens > loaded->context) continue;  // a short model
      const double speed = measure(*loaded, test, options);
      const bool prompt = std::string_view(test.kind) == "prompt";
      results.push_back(
          {{"test", test.kind},
           {"tokens", test.tokens},
           {"threads", threads},
           {"tokens_per_second", speed},
           {"share_of_limit", share_of_limit(*loaded, prompt, options.depth, speed, limits)}});
    }
  }
  return results;
}

void print_table(const Json& report) {
  std::fputs(fmt::format("{}, {}, depth {}, median of {}\n\n{:>8}  {:<14}  {:>12}  {:>8}\n",
                         report["model"].get<std::string>(), report["backend"].get<std::string>(),
                         report["depth"].get<int64_t>(), report["runs"].get<int64_t>(), "threads",
                         "test", "result", "of limit")
                 .c_str(),
             stdout);
  for (const Json& row : report["results"]) {
    const bool load = row["test"] == "load";
    const std::string name =
        load ? "load"
             : fmt::format("{} {}", row["test"].get<std::string>(), row["tokens"].get<int64_t>());
    const std::string result =
        load ? fmt::format("{:.2f} s", row["seconds"].get<double>())
             : fmt::format("{:.1f} t/s", row["tokens_per_second"].get<double>());
    const Json limit = load ? Json() : row["share_of_limit"];
    const std::string share =
        limit.is_null() ? "" : fmt::format("{:.0f} %", 100 * limit.get<double>());
    std::fputs(fmt::format("{:>8}  {:<14}  {:>12}  {:>8}\n", row["threads"].get<int>(), name,
                           result, share)
                   .c_str(),
               stdout);
  }
  std::fputs(
      "\nThe limit is the memory's reading speed for generate, the arithmetic of the weights' type "
      "for prompt (cria bench --machine).\n",
      stdout);
}

}  // namespace

int run_bench(std::span<const std::string> args, const ResolveModel& resolve) {
  const Options options = parse(args);
  if (options.machine) {
    const Json report = machine_report(options.threads);
    if (options.json)
      std::fputs((dump_json(report, 2) + "\n").c_str(), stdout);
    else
      print_machine(report);
    return 0;
  }
  const fs::path path =
      fs::is_regular_file(options.model) ? fs::path(options.model) : resolve(options.model);
  const Json report = {{"model", options.model},
                       {"backend", options.backend},
                       {"depth", options.depth},
                       {"runs", options.runs},
                       {"results", measure_all(options, formats::open_gguf(path))}};
  if (options.json)
    std::fputs((dump_json(report, 2) + "\n").c_str(), stdout);
  else
    print_table(report);
  return 0;
}

}  // namespace cria::engine
