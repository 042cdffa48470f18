// modelfile_parameters.cpp - PARAMETER's names and values.
#include "api/modelfile.h"
#include "base/error.h"

#include <algorithm>
#include <charconv>
#include <cmath>

namespace cria::api {

namespace {

enum class ParameterType { kInt, kFloat, kBool, kStrings, kGone };

struct ParameterRow {
  std::string_view name;
  ParameterType type;
};

constexpr ParameterRow kParameters[] = {
    {"num_ctx", ParameterType::kInt},
    {"num_batch", ParameterType::kInt},
    {"num_gpu", ParameterType::kInt},
    {"main_gpu", ParameterType::kInt},
    {"num_thread", ParameterType::kInt},
    {"draft_num_predict", ParameterType::kInt},
    {"num_keep", ParameterType::kInt},
    {"seed", ParameterType::kInt},
    {"num_predict", ParameterType::kInt},
    {"top_k", ParameterType::kInt},
    {"repeat_last_n", ParameterType::kInt},
    {"top_p", ParameterType::kFloat},
    {"min_p", ParameterType::kFloat},
    {"typical_p", ParameterType::kFloat},
    {"temperature", ParameterType::kFloat},
    {"repeat_penalty", ParameterType::kFloat},
    {"presence_penalty", ParameterType::kFloat},
    {"frequency_penalty", ParameterType::kFloat},
    {"use_mmap", ParameterType::kBool},
    {"stop", ParameterType::kStrings},
    {"penalize_newline", ParameterType::kGone},
    {"low_vram", ParameterType::kGone},
    {"f16_kv", ParameterType::kGone},
    {"logits_all", ParameterType::kGone},
    {"vocab_only", ParameterType::kGone},
    {"use_mlock", ParameterType::kGone},
    {"mirostat", ParameterType::kGone},
    {"mirostat_tau", ParameterType::kGone},
    {"mirostat_eta", ParameterType::kGone},
};

Json bool_value(const std::string& text) {
  for (const char* s : {"1", "t", "T", "TRUE", "true", "True"}) {
    if (text == s) return true;
  }
  for (const char* s : {"0", "f", "F", "FALSE", "false", "False"}) {
    if (text == s) return false;
  }
  fail(ErrorKind::kInvalidInput, "invalid bool value [{}]: expected true or false", text);
}

const ParameterRow* find_parameter(std::string_view name) {
  for (const ParameterRow& row : kParameters)
    if (row.name == name) return &row;
  return nullptr;
}

}  // namespace

Json parameter_value(std::string_view name, const std::string& text) {
  const ParameterRow* row = find_parameter(name);
  if (row == nullptr) fail(ErrorKind::kInvalidInput, "unknown parameter '{}'", name);
  const char* end = text.data() + text.size();
  switch (row->type) {
    case ParameterType::kInt: {
      int64_t i = 0;
      const char* begin = text.data() + (text.starts_with('+') ? 1 : 0);
      const auto [stop, ec] = std::from_chars(begin, end, i);
      if (ec != std::errc() || stop != end)
        fail(ErrorKind::kInvalidInput, "invalid int value [{}]: expected a whole number", text);
      return i;
    }
    case ParameterType::kFloat: {
      double d = 0;
      const char* begin = text.data() + (text.starts_with('+') ? 1 : 0);
      const auto [stop, ec] = std::from_chars(begin, end, d);
      if (ec != std::errc() || stop != end || !std::isfinite(static_cast<float>(d))) {
        fail(ErrorKind::kInvalidInput, "invalid float value [{}]: expected a number", text);
      }
      if (d == std::trunc(d) && std::abs(d) < 1e15) return static_cast<int64_t>(d);
      return d;
    }
    case ParameterType::kBool:
      return bool_value(text);
    case ParameterType::kStrings:
      return text;
    case ParameterType::kGone:
      return nullptr;
  }
  return nullptr;
}

bool is_parameter(std::string_view name) {
  return find_parameter(name) != nullptr;
}

}  // namespace cria::api
