#include "engine/options.h"

#include "base/error.h"
#include "base/log.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <limits>
#include <string_view>

namespace cria::engine {
namespace {

// Decided when the model is loaded; the server takes care of them.
constexpr std::array<std::string_view, 6> kLoadTime = {
    "num_gpu", "main_gpu", "use_mmap", "num_thread", "draft_num_predict", "num_parallel"};
constexpr size_t kMaxStops = 1024, kMaxStopBytes = 64 << 10;
constexpr double kHuge = 1e6;  // no option means anything beyond it

double number_of(std::string_view name, const Json& value, const char* type) {
  if (!value.is_number())
    fail(ErrorKind::kInvalidInput, "option \"{}\" must be of type {}", name, type);
  const double number = value.get<double>();
  if (!std::isfinite(number)) fail(ErrorKind::kInvalidInput, "option \"{}\" must be finite", name);
  return number;
}

struct Range {
  double low, high;
  bool above_low = false;  // the low end itself is not allowed
};

void check_range(std::string_view name, double number, Range range) {
  if (number > range.high || number < range.low || (range.above_low && number == range.low))
    fail(ErrorKind::kInvalidInput, "option \"{}\" is {}, but must be {} {} and at most {}", name,
         number, range.above_low ? "above" : "at least", range.low, range.high);
}

void read(std::string_view name, const Json& value, float& out, Range range) {
  const double number = number_of(name, value, "float32");
  check_range(name, number, range);
  out = static_cast<float>(number);
}

// Numbers with a fraction are cut towards zero, as clients that send 40.0 expect.
void read(std::string_view name, const Json& value, int64_t& out, Range range) {
  const double number = std::trunc(number_of(name, value, "integer"));
  check_range(name, number, range);
  out = static_cast<int64_t>(number);
}

void read_seed(const Json& value, int64_t& out) {
  if (value.is_number_unsigned())
    out = static_cast<int64_t>(value.get<uint64_t>());  // every 64-bit pattern is a seed
  else if (value.is_number_integer())
    out = value.get<int64_t>();
  else
    read("seed", value, out, {-9e18, 9e18});
}

void read_stop(const Json& value, std::vector<std::string>& out) {
  if (!value.is_array()) fail(ErrorKind::kInvalidInput, "option \"stop\" must be of type array");
  if (value.size() > kMaxStops)
    fail(ErrorKind::kInvalidInput, "option \"stop\" has {} strings, at most {} are allowed",
         value.size(), kMaxStops);
  out.clear();
  for (const Json& item : value) {
    if (!item.is_string())
      fail(ErrorKind::kInvalidInput, "option \"stop\" must be of type an array of strings");
    const auto& text = item.get_ref<const std::string&>();
    if (text.size() > kMaxStopBytes)
      fail(ErrorKind::kInvalidInput,
           "option \"stop\" holds a string of {} bytes, at most {} are allowed", text.size(),
           kMaxStopBytes);
    if (!text.empty()) out.push_back(text);
  }
}

// {"token id": bias}, as the server has checked it.
void read_bias(const Json& value, std::vector<std::pair<int32_t, float>>& out) {
  if (!value.is_object())
    fail(ErrorKind::kInvalidInput, "option \"logit_bias\" must be of type object");
  out.clear();
  for (const auto& [name, bias] : value.items()) {
    int32_t token = -1;
    const char* const end = name.data() + name.size();
    if (std::from_chars(name.data(), end, token).ptr != end || token < 0)
      fail(ErrorKind::kInvalidInput, "option \"logit_bias\" has \"{:.40}\", which is no token id",
           name);
    const double number = number_of("logit_bias", bias, "an object of numbers");
    check_range("logit_bias", number, {-100, 100});
    out.emplace_back(token, static_cast<float>(number));
  }
}

// Nonsense in these never was an error; the default counts.
void read_limit(const Json& value, int64_t& out) {
  constexpr double kMost = 1 << 30;
  const double number = value.is_number() ? value.get<double>() : 0;
  out = static_cast<int64_t>(std::clamp(std::isnan(number) ? 0 : number, 0.0, kMost));
}

// False when the name is no option of a request.
bool read_option(std::string_view name, const Json& value, GenerationOptions& out) {
  constexpr double kMaxCount = std::numeric_limits<int32_t>::max();
  SamplingOptions& s = out.sampling;
  if (name == "seed")
    read_seed(value, s.seed);
  else if (name == "temperature")
    read(name, value, s.temperature, {-kHuge, kHuge});
  else if (name == "top_k")
    read(name, value, s.top_k, {-1, kMaxCount});
  else if (name == "top_p")
    read(name, value, s.top_p, {0, kHuge});
  else if (name == "min_p")
    read(name, value, s.min_p, {0, 1});
  else if (name == "typical_p")
    read(name, value, s.typical_p, {0, kHuge});
  else if (name == "repeat_last_n")
    read(name, value, s.repeat_last_n, {-1, kMaxCount});
  else if (name == "repeat_penalty")
    read(name, value, s.repeat_penalty, {0, kHuge, true});
  else if (name == "presence_penalty")
    read(name, value, s.presence_penalty, {-kHuge, kHuge});
  else if (name == "frequency_penalty")
    read(name, value, s.frequency_penalty, {-kHuge, kHuge});
  else if (name == "num_predict")
    read(name, value, out.num_predict, {-2, kMaxCount});
  else if (name == "num_keep")
    read(name, value, out.num_keep, {-1, kMaxCount});
  else if (name == "num_ctx")
    read_limit(value, out.num_ctx);
  else if (name == "num_batch")
    read_limit(value, out.num_batch);
  else if (name == "stop")
    read_stop(value, out.stop);
  else if (name == "logit_bias")
    read_bias(value, s.logit_bias);
  else
    return std::ranges::find(kLoadTime, name) != kLoadTime.end();
  return true;
}

}  // namespace

GenerationOptions parse_options(const Json& options) {
  GenerationOptions out;
  if (options.is_null()) return out;
  if (!options.is_object()) fail(ErrorKind::kInvalidInput, "options must be an object");
  constexpr int kNamed = 10;  // a request must not fill the log
  int unknown = 0;
  for (const auto& [name, value] : options.items()) {
    if (value.is_null() || read_option(name, value, out)) continue;
    if (++unknown <= kNamed) log::warn("ignoring unknown option \"{:.100}\"", name);
  }
  if (unknown > kNamed) log::warn("ignoring {} more unknown options", unknown - kNamed);
  return out;
}

}  // namespace cria::engine
