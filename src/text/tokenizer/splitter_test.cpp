// The hand-written splitters against the regular expressions that they stand for.
#include "text/tokenizer/pretokenizer.h"
#include "text/tokenizer/regex.h"
#include "text/tokenizer/unicode.h"

#include <doctest/doctest.h>

#include <random>
#include <string>

namespace cria::text {
namespace {

struct Pair {
  const char* name;
  std::vector<std::string> expressions;
};

const std::string kSpaces = R"(|\s*[\r\n]+|\s+(?!\S)|\s+)";
const std::string kContraction = "(?i:'s|'t|'re|'ve|'m|'ll|'d)";
const std::string kG2 =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";
const std::string kUpperRun = R"([\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}])";
const std::string kLowerRun = R"([\p{Ll}\p{Lm}\p{Lo}\p{M}])";
const std::string kPrefix = R"([^\r\n\p{L}\p{N}]?)";

std::string words(const std::string& letters, const std::string& numbers,
                  const std::string& signs) {
  return kContraction + "|" + kPrefix + letters + "+|" + numbers + "| ?" + signs + kSpaces;
}
std::string cases(const std::string& tail, const std::string& numbers) {
  return kPrefix + kUpperRun + "*" + kLowerRun + "+" + tail + "|" + kPrefix + kUpperRun + "+" +
         kLowerRun + "*" + tail + "|" + numbers + R"(| ?[^\s\p{L}\p{N}]+[\r\n/]*)" + kSpaces;
}

std::vector<Pair> pairs() {
  const std::string signs = R"([^\s\p{L}\p{N}]+[\r\n]*)";
  const std::string deepseek =
      R"([!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+)"
      R"(| ?[\p{P}\p{S}]+[\r\n]*)" +
      kSpaces;
  // In tiny_aya's \b, marks belong to words; PCRE2 before 10.43 disagrees, so it is spelt out.
  return {
      {"llama3", {words(R"(\p{L})", R"(\p{N}{1,3})", signs)}},
      {"qwen2", {words(R"(\p{L})", R"(\p{N})", signs)}},
      {"qwen35", {words(R"([\p{L}\p{M}])", R"(\p{N})", R"([^\s\p{L}\p{M}\p{N}]+[\r\n]*)")}},
      {"seed-coder", {words(R"(\p{L})", R"(\p{N})", R"([^\s\p{L}\p{N}\r\n]+)")}},
      {"gpt-2", {kG2}},
      {"smollm", {R"(\p{N})", kG2}},
      {"gpt-4o", {cases(kContraction + "?", R"(\p{N}{1,3})")}},
      {"tekken", {cases("", R"(\p{N})")}},
      {"deepseek-v3", {R"(\p{N}{1,3})", R"([一-龥\x{3040}-ゟ゠-ヿ]+)", deepseek}},
      {"laguna", {R"([^\n]+|[\n]+)", words(R"(\p{L})", R"(\p{N})", signs)}},
      {"minicpm5", {R"(\p{N}{1,3})", words(R"(\p{L})", R"(\p{N}+)", signs)}},
      {"superbpe", {R"(\p{N}{1,3}(?=(?:\p{N}{3})*(?!\p{N})))"}},
      {"tiny_aya",
       {R"([0-9]{1,3}(?=(?:[0-9]{3})*(?![\p{L}\p{M}\p{N}_])))",
        cases(kContraction + "?", R"(\p{N}{1,3})")}},
  };
}

// Characters on which the branches differ, and now and then any code point.
std::string random_text(std::mt19937& random, int length) {
  static const std::vector<std::string> kParts = {" ",
                                                  " ",
                                                  "  ",
                                                  "\n",
                                                  "\r\n",
                                                  "\t",
                                                  "a",
                                                  "b",
                                                  "A",
                                                  "B",
                                                  "s",
                                                  "S",
                                                  "'",
                                                  "'s",
                                                  "'LL",
                                                  "'re",
                                                  "1",
                                                  "23",
                                                  "４",
                                                  "½",
                                                  ".",
                                                  "/",
                                                  "!",
                                                  "$",
                                                  "<",
                                                  "_",
                                                  "é",
                                                  "É",
                                                  "ǅ",
                                                  "ʰ",
                                                  "日",
                                                  "本",
                                                  "ひ",
                                                  "ー",
                                                  "\xCC\x81",
                                                  "\xE2\x80\x8D",
                                                  "😀",
                                                  "€",
                                                  "—",
                                                  "\xC2\xA0",
                                                  "\xE3\x80\x80",
                                                  "\xC2\x85",
                                                  "\x01",
                                                  "ſ",
                                                  "don't",
                                                  "HTMLElement",
                                                  "\xEF\xBF\xBD"};
  std::string out;
  for (int i = 0; i < length; ++i) {
    const auto pick = static_cast<uint32_t>(random());
    if (pick % 16 != 0) {
      out += kParts[(pick >> 8) % kParts.size()];
      continue;
    }
    uint32_t c = (pick >> 8) % (pick % 32 == 0 ? 0x3000 : 0x30000);
    // PCRE2 counts the Mongolian vowel separator as white space, Unicode since 6.3 does not.
    if ((c >= 0xD800 && c < 0xE000) || c == 0x180E) c = 'x';
    append_utf8(out, c);
  }
  return out;
}

std::string show(const std::string& text, const Ends& ends) {
  std::string out;
  uint32_t begin = 0;
  for (const uint32_t end : ends) {
    out += "[" + text.substr(begin, end - begin) + "]";
    begin = end;
  }
  return out;
}

}  // namespace

TEST_CASE("each hand-written splitter cuts where its regular expression does") {
  std::mt19937 random(2024);
  for (const Pair& pair : pairs()) {
    const PreTokenizer by_hand(pair.name);
    std::vector<Regex> by_regex;
    for (const std::string& expression : pair.expressions) by_regex.emplace_back(expression);
    for (int i = 0; i < 3000; ++i) {
      const std::string text = random_text(random, 1 + i % 24);
      Ends have, want{static_cast<uint32_t>(text.size())}, spare;
      by_hand.split(text, have, spare);
      for (const Regex& regex : by_regex) {
        spare.clear();
        regex.split(text, want, spare);
        std::swap(want, spare);
      }
      INFO(std::string(pair.name));
      REQUIRE(show(text, have) == show(text, want));
    }
  }
}

TEST_CASE("a regular expression leaves invalid UTF-8 in parts of its own") {
  const Regex regex(R"(\p{L}+)");
  Ends out;
  regex.split(
      "ab\xFF\xFE"
      "c",
      {5}, out);
  CHECK(out == Ends{2, 4, 5});
}

TEST_CASE("a run of spaces that ends a part costs what its length is") {
  // By regular expression alone this would take the square of a million steps.
  const PreTokenizer pre("deepseek-llm");
  Ends ends, spare;
  pre.split(std::string(1'000'000, ' ') + "x", ends, spare);
  CHECK(ends.back() == 1'000'001);
}

}  // namespace cria::text
