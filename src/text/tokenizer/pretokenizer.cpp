#include "text/tokenizer/pretokenizer.h"

#include "base/error.h"
#include "text/tokenizer/regex.h"
#include "text/tokenizer/scanner.h"

#include <algorithm>
#include <span>

// The expressions that are written by hand in splitter.cpp:
//   L3    (?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|
//         ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+
//   Q2    L3 with \p{N} for \p{N}{1,3}
//   G2    's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
//   G4    [^\r\n\p{L}\p{N}]?UL*LL+C|[^\r\n\p{L}\p{N}]?UL+LL*C|\p{N}{1,3}|
//         ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+
//         with UL = [\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}], LL = [\p{Ll}\p{Lm}\p{Lo}\p{M}],
//         C = (?i:'s|'t|'re|'ve|'m|'ll|'d)?
//   TK    G4 with \p{N} for \p{N}{1,3} and without C
//   DS3c  [!-/:-@\[-`{-~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|
//         \s*[\r\n]+|\s+(?!\S)|\s+
// A blank begins the branch with the question mark. Stages apply one after the other: each splits
// the parts that the one before it left.
namespace cria::text {
namespace {

using Stage = PreTokenizer::Stage;
using Stages = std::vector<Stage>;

template <class Split>
Stage each_part(Split split) {
  return [split](std::string_view text, const Ends& parts, Ends& out) {
    uint32_t begin = 0;
    for (const uint32_t end : parts) {
      split(text, Range{begin, end}, out);
      begin = end;
    }
  };
}
Stage words(WordRules rules) {
  return each_part([rules](auto text, Range r, Ends& out) { split_words(text, r, rules, out); });
}
Stage gpt2() {
  return each_part(split_gpt2);
}
Stage cases(CaseRules rules) {
  return each_part([rules](auto text, Range r, Ends& out) { split_cases(text, r, rules, out); });
}
Stage deepseek3() {
  return each_part(split_deepseek3);
}
Stage numbers(uint32_t digits) {
  return each_part(
      [digits](auto text, Range r, Ends& out) { split_numbers(text, r, digits, out); });
}
Stage in_set(CodePointSet set) {
  return each_part(
      [set = std::move(set)](auto text, Range r, Ends& out) { split_set(text, r, set, out); });
}
Stage by_regex(std::string_view pattern) {
  return
      [regex = std::make_shared<const Regex>(pattern)](
          std::string_view text, const Ends& parts, Ends& out) { regex->split(text, parts, out); };
}

constexpr uint32_t kAnyLength = UINT32_MAX;
constexpr WordRules kL3{.digits = 3}, kQ2{.digits = 1};
constexpr CaseRules kG4{.digits = 3, .contractions = true};
constexpr CaseRules kTekken{.digits = 1, .contractions = false};

// Runs of numbers cut into groups of three from the right, as people write them.
void split_right_aligned(std::string_view text, Range range, Ends& ends) {
  const Scanner s(text, range);
  uint32_t group_end = range.begin, left = 0;
  split_with(s, range, ends, [&](uint32_t at) {
    if (at >= group_end) {
      left = 0;
      group_end = s.run_while(at, [&](const Char& c) { return c.is(kNumber) && ++left > 0; });
    }
    const uint32_t size = left % 3 == 0 ? 3 : left % 3;
    left -= std::min(left, size);
    return s.run(at, kNumber, size);
  });
}

// \d{1,3}(?=(?:\d{3})*\b): groups from the right, unless a word goes on after the digits.
void split_right_aligned_alone(std::string_view text, Range range, Ends& ends) {
  const Scanner s(text, range);
  const auto digit = [](const Char& c) { return c.value >= '0' && c.value <= '9'; };
  uint32_t run_end = range.begin;
  bool alone = false;
  split_with(s, range, ends, [&](uint32_t at) {
    if (at >= run_end) {
      run_end = s.run_while(at, digit);
      const Char after = s.at(run_end);
      alone = !after.is(kLetter | kNumber | kMark) && after.value != '_';
    }
    const uint32_t left = run_end - at;
    if (left == 0 || !alone) return at;
    return at + (left % 3 == 0 ? 3 : left % 3);
  });
}

// \s+$ where no line break is left: the white space that ends a part. By hand, because trying it at
// every space of a long run costs the square of its length.
void split_final_space(std::string_view text, Range range, Ends& ends) {
  const Scanner s(text, range);
  uint32_t space = range.begin;
  for (uint32_t at = range.begin; at < range.end;) {
    const Char c = s.at(at);
    at = c.next;
    if (!c.is(kSpace)) space = at;
  }
  if (space > range.begin) ends.push_back(space);
  if (space < range.end) ends.push_back(range.end);
}

const CodePointSet kNewlines{{'\n', '\n'}};
const CodePointSet kDeepseekCjk{{0x4E00, 0x9FA5}, {0x800, 0x4E00}, {0xAC00, 0xD7FF}};
const CodePointSet kDeepseek3Cjk{{0x4E00, 0x9FA5}, {0x3040, 0x309F}, {0x30A0, 0x30FF}};
// Scripts that write without spaces.
const CodePointSet kAfmoeScripts{
    {0x4E00, 0x9FFF}, {0x3400, 0x4DBF}, {0xF900, 0xFAFF}, {0x3040, 0x309F}, {0x30A0, 0x30FF},
    {0xFF65, 0xFF9F}, {0x2F00, 0x2FDF}, {0x0E40, 0x0E7F}, {0x0E80, 0x0EFF}, {0x1780, 0x17FF},
    {0x1000, 0x109F}, {0xAA60, 0xAA7F}, {0xA9E0, 0xA9FF}, {0xAC00, 0xD7AF}, {0x1100, 0x11FF}};

// Letters with case, as the tokenizer of DeepSeek LLM lists them.
constexpr std::string_view kCasedWords =
    R"(\s?[)"
    R"(\x{41}-\x{5A}\x{61}-\x{7A}\x{B5}\x{C0}-\x{D6}\x{D8}-\x{F6}\x{F8}-\x{1BA})"
    R"(\x{1BC}-\x{1BF}\x{1C4}-\x{293}\x{295}-\x{2AF}\x{370}-\x{373}\x{376}\x{377})"
    R"(\x{37B}-\x{37D}\x{37F}\x{386}\x{388}-\x{38A}\x{38C}\x{38E}-\x{3A1}\x{3A3}-\x{3F5})"
    R"(\x{3F7}-\x{481}\x{48A}-\x{52F}\x{531}-\x{556}\x{10A0}-\x{10C5}\x{13A0}-\x{13F5})"
    R"(\x{13F8}-\x{13FD}\x{1C90}-\x{1CBA}\x{1CBD}-\x{1CBF}\x{1D00}-\x{1D2B})"
    R"(\x{1D6B}-\x{1D77}\x{1D79}-\x{1D9A}\x{1E00}-\x{1F15}\x{1F18}-\x{1F1D})"
    R"(\x{1F20}-\x{1F45}\x{1F48}-\x{1F4D}\x{1F50}-\x{1F57}\x{1F59}\x{1F5B}\x{1F5D})"
    R"(\x{1F5F}-\x{1F7D}\x{1F80}-\x{1FB4}\x{1FB6}-\x{1FBC}\x{1FBE}\x{1FC2}-\x{1FC4})"
    R"(\x{1FC6}-\x{1FCC}\x{1FD0}-\x{1FD3}\x{1FD6}-\x{1FDB}\x{1FE0}-\x{1FEC})"
    R"(\x{1FF2}-\x{1FF4}\x{1FF6}-\x{1FFC}\x{2102}\x{2107}\x{210A}-\x{2113}\x{2115})"
    R"(\x{2119}-\x{211D}\x{2124}\x{2126}\x{2128}\x{212A}-\x{212D}\x{212F}-\x{2134}\x{2139})"
    R"(\x{213C}-\x{213F}\x{2145}-\x{2149}\x{214E}\x{2183}\x{2184}\x{2C00}-\x{2C7B})"
    R"(\x{2C7E}-\x{2CE4}\x{2CEB}-\x{2CEE}\x{2CF2}\x{2CF3}\x{A640}-\x{A66D}\x{A680}-\x{A69B})"
    R"(\x{A722}-\x{A76F}\x{A771}-\x{A787}\x{A78B}-\x{A78E}\x{AB70}-\x{ABBF})"
    R"(\x{FB00}-\x{FB06}\x{FB13}-\x{FB17}\x{FF21}-\x{FF3A}\x{FF41}-\x{FF5A})"
    R"(\x{10400}-\x{1044F}\x{104B0}-\x{104D3}\x{104D8}-\x{104FB}\x{10C80}-\x{10CB2})"
    R"(\x{10CC0}-\x{10CF2}\x{118A0}-\x{118DF}\x{1E900}-\x{1E943})"
    R"(]+)";
constexpr std::string_view kDeepseekPunctuation =
    R"(\s?[!-\/:-~\x{FF01}-\x{FF0F}\x{FF1A}-\x{FF5E}\x{2018}-\x{201F}\x{3000}-\x{3002}]+)";
// UL and LL of G4 without \p{Han}, each as one class: a group could not repeat over a long text.
constexpr std::string_view kKimi =
    R"(\p{Han}+)"
    R"(|[^\r\n\p{L}\p{N}]?[^\p{Ll}\p{N}\p{P}\p{S}\p{Z}\p{C}\p{Han}]*)"
    R"([^\p{Lu}\p{Lt}\p{N}\p{P}\p{S}\p{Z}\p{C}\p{Han}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?)"
    R"(|[^\r\n\p{L}\p{N}]?[^\p{Ll}\p{N}\p{P}\p{S}\p{Z}\p{C}\p{Han}]+)"
    R"([^\p{Lu}\p{Lt}\p{N}\p{P}\p{S}\p{Z}\p{C}\p{Han}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?)"
    R"(|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr std::string_view kBloom = R"( ?[^(\s|.,!?…。，、।۔،)]+)";

struct Row {
  std::string_view names;  // separated by spaces
  Stages (*stages)();
  PreTokenizerFlags flags = {};
};

const Row kRows[] = {
    {"llama3 llama-v3 llama-bpe falcon3 falcon-h1 pixtral midm-2.0 lfm2 jina-v5-nano",
     [] { return Stages{words(kL3)}; },
     {.ignore_merges = true, .add_bos = true}},
    {"dbrx smaug-bpe", [] { return Stages{words(kL3)}; }},
    {"glm4 chatglm-bpe", [] { return Stages{words(kL3)}; }, {.clear_bos = true}},
    {"qwen2 deepseek-r1-qwen", [] { return Stages{words(kQ2)}; }, {.nfc = true}},
    {"kormo f2llmv2 hunyuan megrez stablelm2 solar-open grok-2 bailingmoe bailingmoe2 llada-moe",
     [] { return Stages{words(kQ2)}; }},
    {"qwen35",
     [] { return Stages{words({.digits = 1, .marks_are_letters = true})}; },
     {.nfc = true}},
    {"seed-coder",
     [] { return Stages{words({.digits = 1, .newlines_after_punctuation = false})}; }},
    {"gpt-2 phi-2 jina-es jina-de jina-v2-es jina-v2-de gigachat a.x-4.0 mellum jais "
     "trillion granite-docling exaone4",
     [] { return Stages{gpt2()}; }},
    {"modern-bert mpt olmo", [] { return Stages{gpt2()}; }, {.nfc = true}},
    {"jina-v1-en jina-v2-code roberta-bpe", [] { return Stages{gpt2()}; }, {.add_sep = true}},
    {"starcoder refact smollm codeshell exaone minerva-7b mellum2",
     [] { return Stages{numbers(1), gpt2()}; }},
    {"command-r", [] { return Stages{numbers(1), gpt2()}; }, {.nfc = true}},
    {"falcon",
     [] {
       return Stages{by_regex(R"([\p{P}\$\+<=>\^~\|`]+)"), gpt2(), by_regex("[0-9][0-9][0-9]")};
     }},
    {"default",
     [] {
       return Stages{by_regex(R"([\p{P}\$\+<=>\^~\|]+)"), gpt2(), numbers(kAnyLength),
                     by_regex("[0-9][0-9][0-9]")};
     }},
    {"tekken", [] { return Stages{cases(kTekken)}; }, {.ignore_merges = true, .add_bos = true}},
    {"gpt-4o llama4 kanana2 talkie minimax-m2", [] { return Stages{cases(kG4)}; }},
    {"granite-embed-multi-97m", [] { return Stages{cases(kG4)}; }, {.ignore_merges = true}},
    {"tiny_aya cohere2moe",
     [] { return Stages{each_part(split_right_aligned_alone), cases(kG4)}; }},
    {"deepseek-llm",
     [] {
       return Stages{by_regex(R"([\r\n])"),          by_regex(kCasedWords),
                     by_regex(kDeepseekPunctuation), each_part(split_final_space),
                     in_set(kDeepseekCjk),           numbers(kAnyLength)};
     }},
    {"deepseek-coder",
     [] {
       return Stages{by_regex(R"([\r\n])"), by_regex(R"(\s?\p{L}+)"), by_regex(R"(\s?\p{P}+)"),
                     in_set(kDeepseekCjk), numbers(1)};
     }},
    {"deepseek-v3 hunyuan-dense joyai-llm",
     [] { return Stages{numbers(3), in_set(kDeepseek3Cjk), deepseek3()}; }},
    {"afmoe",
     [] { return Stages{each_part(split_right_aligned), in_set(kAfmoeScripts), deepseek3()}; }},
    {"kimi-k2", [] { return Stages{by_regex(kKimi)}; }},
    {"laguna", [] { return Stages{in_set(kNewlines), words(kQ2)}; }},
    {"gemma4 sarvam-moe granite-embed-multi-311m",
     [] { return Stages{in_set(kNewlines)}; },
     {.raw = true}},
    {"minicpm5",
     [] { return Stages{numbers(3), words({.digits = kAnyLength})}; },
     {.ignore_merges = true}},
    {"poro-chat bloom gpt3-finnish", [] { return Stages{by_regex(kBloom)}; }},
    {"viking", [] { return Stages{by_regex(kBloom), numbers(1)}; }},
    {"superbpe", [] { return Stages{each_part(split_right_aligned)}; }},
    {"chameleon",
     [] {
       return Stages{
           by_regex("<sentinel:[0-9]+>"),       by_regex("(IMGIMG)((A|B|C|D|E|F|G|H|I){1,4})Z"),
           by_regex("([\\t\\n]|    |  )"),      numbers(1),
           by_regex(R"([\p{P}!-/:-@\[-`{-~])"), gpt2()};
     },
     {.add_bos = true}},
};

bool has_name(std::string_view names, std::string_view wanted) {
  while (!names.empty()) {
    const size_t space = std::min(names.find(' '), names.size());
    if (names.substr(0, space) == wanted) return true;
    names.remove_prefix(std::min(names.size(), space + 1));
  }
  return false;
}

}  // namespace

PreTokenizer::PreTokenizer(std::string_view name) {
  if (name.empty()) name = "default";
  for (const Row& row : kRows) {
    if (!has_name(row.names, name)) continue;
    stages_ = row.stages();
    flags_ = row.flags;
    return;
  }
  fail(ErrorKind::kUnsupported, "unknown pre-tokenizer type \"{}\" (tokenizer.ggml.pre)", name);
}

void PreTokenizer::split(std::string_view text, Ends& ends, Ends& spare) const {
  ends.assign(1, static_cast<uint32_t>(text.size()));
  for (const Stage& stage : stages_) {
    spare.clear();
    stage(text, ends, spare);
    std::swap(ends, spare);
  }
}

}  // namespace cria::text
