// model_speed.cpp - prompt and generation speed of a GGUF file on the cpu backend, alone in a
// process.
//
//   bench_model_speed FILE [--threads N] [--prompt N,N,...] [--generate N] [--repeats N]
//                     [--depth N] [--streams N] [--best N] [--kv f16|q8_0|f32] [--late 1]
//
// Every one of --streams sequences reads --depth tokens, unmeasured; behind these it reads --prompt
// tokens (each number in turn), and behind the same depth gives --generate tokens, a row of each
// sequence in a step.
// --best is how many of the best logits are asked for: 40, as a request does whose options are the
// default ones; 0 asks for all. --late leaves weights to the first steps, as a runner does: without
// a prompt and generation what is measured from outside is the start to the first token. Prints one
// JSON object: medians in tokens per second, of all streams together. bench/compare runs it in turn
// with the peer.
#include "measure.h"
#include "plan_runner.h"

#include <fmt/ranges.h>

#include <charconv>
#include <cstdio>
#include <map>
#include <ranges>
#include <string>
#include <vector>

namespace {

using namespace cria;

struct Options {
  const char* file = nullptr;
  std::string kv = "f16";
  std::vector<int64_t> prompts = {512};
  std::map<std::string, int64_t> numbers = {{"--threads", 1}, {"--generate", 64}, {"--repeats", 1},
                                            {"--depth", 0},   {"--streams", 1},   {"--best", 40},
                                            {"--late", 0}};
};

int64_t number_in(std::string_view text, const std::string& name) {
  int64_t out = 0;
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), out);
  if (code != std::errc() || end != text.data() + text.size() || out < 0)
    fail(ErrorKind::kInvalidInput, "{} takes a number, not {}", name, text);
  return out;
}

Options parse(std::span<char* const> args) {
  Options out;
  for (size_t i = 1; i < args.size(); ++i) {
    const std::string name = args[i];
    const auto number = out.numbers.find(name);
    if (!name.starts_with("--") && out.file == nullptr) {
      out.file = args[i];
    } else if (name == "--kv" && i + 1 < args.size()) {
      out.kv = args[++i];
    } else if (name == "--prompt" && i + 1 < args.size()) {
      out.prompts.clear();
      for (const auto part : std::views::split(std::string_view(args[++i]), ','))
        out.prompts.push_back(number_in({part.begin(), part.end()}, name));
    } else if (number != out.numbers.end() && i + 1 < args.size()) {
      number->second = number_in(args[++i], name);
    } else {
      fail(ErrorKind::kInvalidInput, "{}: the head of bench/model_speed.cpp tells the arguments",
           name);
    }
  }
  if (out.file == nullptr) fail(ErrorKind::kInvalidInput, "a model file is missing");
  return out;
}

void report(Options& options) {
  const auto number = [&](const char* name) { return options.numbers.at(name); };
  const int64_t generated = number("--generate"), depth = number("--depth"),
                streams = std::max<int64_t>(number("--streams"), 1),
                prompt = std::ranges::max(options.prompts);
  const quant::DTypeInfo* kv_type = quant::find_dtype(options.kv);
  if (kv_type == nullptr) fail(ErrorKind::kInvalidInput, "unknown KV type {}", options.kv);
  const int64_t warm_up = std::clamp<int64_t>(prompt, 32, 128);
  PlanRunner runner(options.file,
                    {.threads = static_cast<int>(number("--threads")),
                     .context = std::max(warm_up, depth + std::max(prompt, generated)),
                     .sequences = streams,
                     .kv_type = kv_type->dtype,
                     .best = number("--best"),
                     .late_weights = number("--late") != 0});
  runner.prompt({.count = warm_up});
  std::vector<Rows> rows(static_cast<size_t>(streams));
  for (size_t i = 0; i < rows.size(); ++i) {
    rows[i].sequence = static_cast<int64_t>(i);
    runner.prompt({.sequence = rows[i].sequence, .count = depth});
  }
  std::map<int64_t, std::vector<double>> prompt_speed;
  std::vector<double> generate_speed;
  const auto all = static_cast<double>(streams);
  for (int64_t i = 0; i < number("--repeats"); ++i) {
    for (const int64_t count : options.prompts) {
      const double start = seconds_now();
      for (const Rows& part : rows)
        runner.prompt({.sequence = part.sequence, .position = depth, .count = count});
      prompt_speed[count].push_back(all * static_cast<double>(count) / (seconds_now() - start));
    }
    const double start = seconds_now();
    for (int64_t t = 0; t < generated; ++t) {
      for (Rows& part : rows) part.position = depth + t;
      runner.step(rows);
    }
    generate_speed.push_back(all * static_cast<double>(generated) / (seconds_now() - start));
  }
  const ml::StepCost cost = runner.cost();
  std::vector<std::string> prompts;
  for (const auto& [count, speeds] : prompt_speed)
    prompts.push_back(fmt::format("\"{}\":{:.2f}", count, median(speeds)));
  fmt::print(
      "{{\"threads\":{},\"streams\":{},\"depth\":{},\"prompt_tps\":{{{}}},"
      "\"generated\":{},\"generate_tps\":{:.2f},\"weight_bytes\":{},\"int8_ops\":{},"
      "\"float_ops\":{},\"bf16_ops\":{}}}\n",
      number("--threads"), streams, depth, fmt::join(prompts, ","), generated,
      median(generate_speed), cost.weight_bytes, cost.int8_ops, cost.float_ops, cost.bf16_ops);
}

}  // namespace

int main(int argc, char** argv) {
  try {
    Options options = parse(std::span(argv, static_cast<size_t>(argc)));
    report(options);
    return 0;
  } catch (const Error& e) {
    std::fprintf(stderr, "%s\n", e.what());
    return 1;
  }
}
