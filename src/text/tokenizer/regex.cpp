#include "text/tokenizer/regex.h"

#include "base/error.h"
#include "text/tokenizer/unicode.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

namespace cria::text {
namespace {

struct FreeCode {
  void operator()(pcre2_code* p) const { pcre2_code_free(p); }
};
struct FreeContext {
  void operator()(pcre2_match_context* p) const { pcre2_match_context_free(p); }
};
struct FreeData {
  void operator()(pcre2_match_data* p) const { pcre2_match_data_free(p); }
};

// End of the longest valid UTF-8 from `from`.
uint32_t valid_until(std::string_view text, uint32_t from, uint32_t end) {
  while (from < end) {
    const CodePoint c = decode_utf8(text.substr(0, end), from);
    if (c.value == kInvalidCodePoint) break;
    from += c.length;
  }
  return from;
}

}  // namespace

struct Regex::Code {
  std::unique_ptr<pcre2_code, FreeCode> code;
  std::unique_ptr<pcre2_match_context, FreeContext> context;
};

Regex::Regex(std::string_view pattern) : code_(std::make_unique<Code>()) {
  int error = 0;
  size_t offset = 0;
  code_->code.reset(pcre2_compile(reinterpret_cast<PCRE2_SPTR>(pattern.data()), pattern.size(),
                                  PCRE2_UTF | PCRE2_UCP, &error, &offset, nullptr));
  CRIA_CHECK(code_->code != nullptr, "the patterns of pre-tokenizers compile");
  // Without a JIT for this processor the interpreter does the same, slower.
  pcre2_jit_compile(code_->code.get(), PCRE2_JIT_COMPLETE);
  code_->context.reset(pcre2_match_context_create(nullptr));
  CRIA_CHECK(code_->context != nullptr, "out of memory");
  // No pattern backtracks far in one match; a text that makes one do so is left unsplit there.
  pcre2_set_match_limit(code_->context.get(), 50'000'000);
}
Regex::~Regex() = default;
Regex::Regex(Regex&&) noexcept = default;

void Regex::split(std::string_view text, const Ends& parts, Ends& out) const {
  const std::unique_ptr<pcre2_match_data, FreeData> data(pcre2_match_data_create(1, nullptr));
  CRIA_CHECK(data != nullptr, "out of memory");
  const auto split_valid = [&](uint32_t begin, uint32_t end) {
    const auto* subject = reinterpret_cast<PCRE2_SPTR>(text.data() + begin);
    const uint32_t size = end - begin;
    for (uint32_t at = 0; at < size;) {
      const int found = pcre2_match(code_->code.get(), subject, size, at, PCRE2_NO_UTF_CHECK,
                                    data.get(), code_->context.get());
      const size_t* bounds = pcre2_get_ovector_pointer(data.get());
      if (found < 0 || bounds[1] <= bounds[0]) {
        out.push_back(end);
        return;
      }
      if (bounds[0] > at) out.push_back(begin + static_cast<uint32_t>(bounds[0]));
      at = static_cast<uint32_t>(bounds[1]);
      out.push_back(begin + at);
    }
  };
  uint32_t begin = 0;
  for (const uint32_t end : parts) {
    while (begin < end) {
      const uint32_t valid = valid_until(text, begin, end);
      if (valid > begin) split_valid(begin, valid);
      for (begin = valid; begin < end && valid_until(text, begin, end) == begin;) ++begin;
      if (begin > valid) out.push_back(begin);
    }
  }
}

}  // namespace cria::text
