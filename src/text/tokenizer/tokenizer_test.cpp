// Behaviour that needs no reference: hostile vocabularies, growth of work, round trips, streams.
#include "text/tokenizer/tokenizer.h"
#include "base/error.h"
#include "text/tokenizer/merge.h"
#include "text/tokenizer/pretokenizer.h"
#include "text/tokenizer/unicode.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <functional>
#include <limits>
#include <random>
#include <thread>

namespace cria::text {
namespace {

// std::mt19937 gives unsigned long on some platforms.
class Random {
 public:
  explicit Random(uint32_t seed) : engine_(seed) {}
  uint32_t operator()() { return static_cast<uint32_t>(engine_()); }

 private:
  std::mt19937 engine_;
};

std::string byte_letter(uint32_t byte) {
  uint32_t next = 256, letter = byte;
  for (uint32_t b = 0; b <= byte; ++b) {
    const bool printable = (b > 32 && b < 127) || (b > 160 && b != 173);
    letter = printable ? b : next++;
  }
  std::string out;
  append_utf8(out, letter);
  return out;
}

// All bytes, and merges that build runs of a, of spaces and some words.
VocabularySpec bpe_spec() {
  VocabularySpec spec{.model = "gpt2", .pre = "gpt-2"};
  for (uint32_t b = 0; b < 256; ++b) spec.tokens.push_back(byte_letter(b));
  const auto merge = [&](const std::string& a, const std::string& b) {
    spec.merges.push_back(a + " " + b);
    spec.tokens.push_back(a + b);
  };
  merge("a", "a");
  merge("aa", "aa");
  merge("aaaa", "aaaa");
  merge("Ġ", "Ġ");
  merge("ĠĠ", "ĠĠ");
  merge("1", "1");
  merge("h", "e");
  merge("l", "l");
  merge("he", "ll");
  merge("hell", "o");
  merge("ð", "Ł");
  spec.types.assign(spec.tokens.size(), 1);
  const auto add = [&](const std::string& text, int32_t type) {
    spec.tokens.push_back(text);
    spec.types.push_back(type);
    return static_cast<TokenId>(spec.tokens.size() - 1);
  };
  spec.bos = add("<s>", 3);
  spec.eos = add("</s>", 3);
  add("<|im_start|>", 3);
  add("<|im_end|>", 3);
  add("<|im_end|>+", 3);
  add("<tool>", 4);
  return spec;
}

VocabularySpec spm_spec() {
  VocabularySpec spec{.model = "llama"};
  const auto add = [&](const std::string& text, float score, int32_t type = 1) {
    spec.tokens.push_back(text);
    spec.scores.push_back(score);
    spec.types.push_back(type);
  };
  add("<unk>", 0, 2);
  add("<s>", 0, 3);
  add("</s>", 0, 3);
  for (int b = 0; b < 256; ++b) add(fmt::format("<0x{:02X}>", b), 0, 6);
  for (const char* text : {"▁", "a", "b", "e", "h", "l", "o", "é"}) add(text, -100);
  add("aa", -1);
  add("aaaa", -2);
  add("▁▁", -1);
  add("▁a", -3);
  add("he", -4);
  add("ll", -5);
  add("hell", -6);
  add("▁hell", -7);
  return spec;
}

VocabularySpec bert_spec() {
  VocabularySpec spec{.model = "bert"};
  spec.tokens = {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "▁hello", "▁wor", "ld", "▁,", "▁a", "a"};
  spec.types = {3, 3, 3, 3, 1, 1, 1, 1, 1, 1};
  spec.unk = 1;
  spec.cls = 2;
  spec.sep = 3;
  return spec;
}

VocabularySpec t5_spec() {
  VocabularySpec spec{.model = "t5"};
  spec.tokens = {"<pad>", "</s>", "<unk>", "▁", "▁hello", "a", "aa", "▁a"};
  spec.scores = {0, 0, 0, -2, -3, -4, -5, -6};
  spec.types = {3, 3, 2, 1, 1, 1, 1, 1};
  return spec;
}

constexpr EncodeOptions kPlain{.add_special = false, .parse_special = false};
constexpr EncodeOptions kSpecial{.add_special = false, .parse_special = true};

std::string repeat(std::string_view what, size_t bytes) {
  std::string out;
  while (out.size() < bytes) out += what;
  return out;
}

std::string random_text(Random& random, int length) {
  std::string out;
  for (int i = 0; i < length; ++i) {
    static constexpr uint32_t kLimits[] = {0x80, 0x80, 0x80, 0x800, 0x10000, 0x110000};
    uint32_t c = random() % kLimits[random() % 6];
    if (c >= 0xD800 && c < 0xE000) c = ' ';
    append_utf8(out, c);
  }
  return out;
}

std::vector<std::string> hostile_texts(size_t size) {
  Random random(7);
  std::string noise;
  while (noise.size() < size) noise.push_back(static_cast<char>(random()));
  return {repeat("a", size),
          repeat(" ", size),
          repeat(" ", size) + "x",
          repeat("1", size),
          repeat("\n", size) + " ",
          repeat("😀", size),
          repeat("A", size),
          repeat("日A", size),
          repeat("a\xCC\x81\xCC\xA7", size),
          repeat("\xCC\x81\xCC\xA7", size),
          repeat("'", size),
          repeat("</s", size),
          repeat("▁", size),
          repeat("\xF0\x9F", size),
          noise};
}

}  // namespace

TEST_CASE("a merge follows the order of the merges, not the longest match") {
  const auto t = make_tokenizer(bpe_spec());
  CHECK(t->decode(t->encode("hello", kPlain)) == "hello");
  CHECK(t->encode("hello", kPlain).size() == 1);
  CHECK(t->encode("hel", kPlain).size() == 2);
  CHECK(t->encode(std::string(13, 'a'), kPlain).size() == 3);  // 8 + 4 + 1
}

TEST_CASE("the scan and the heap of the merger agree") {
  Random random(3);
  const auto rule = [](const Symbol& left, const Symbol& right, uint32_t) {
    const auto mixed = static_cast<uint32_t>(left.id * 7 + right.id * 13) % 23;
    return mixed < 11 ? MergeResult{mixed, (left.id + right.id) % 9} : MergeResult{};
  };
  for (int round = 0; round < 300; ++round) {
    const uint32_t length = 2 + random() % 46;
    MergeScratch small, large;
    for (uint32_t i = 0; i < length; ++i) {
      const Symbol s{i, static_cast<TokenId>(random() % 5), {}};
      small.symbols.push_back(s);
      large.symbols.push_back(s);
    }
    Merger(rule, small, length).scan();
    Merger(rule, large, length).heap();
    REQUIRE(small.symbols.size() == large.symbols.size());
    for (size_t i = 0; i < small.symbols.size(); ++i) {
      CHECK(small.symbols[i].start == large.symbols[i].start);
      CHECK(small.symbols[i].id == large.symbols[i].id);
    }
  }
}

TEST_CASE("the look-ups of a merge grow with the length of the piece, no faster") {
  const auto rule = [](const Symbol& left, const Symbol& right, uint32_t) {
    return left.id == right.id && left.id < 6
               ? MergeResult{static_cast<uint32_t>(left.id), left.id + 1}
               : MergeResult{};
  };
  uint64_t before = 0;
  for (uint32_t length = 1 << 10; length <= 1 << 16; length *= 4) {
    MergeScratch scratch;
    for (uint32_t i = 0; i < length; ++i) scratch.symbols.push_back({i, 0, {}});
    Merger(rule, scratch, length).run();
    CHECK(scratch.symbols.size() == length / 64);
    CHECK(scratch.steps <= 4 * uint64_t{length});
    if (before > 0) CHECK(scratch.steps <= 4 * before + 64);
    before = scratch.steps;
  }
}

TEST_CASE("a megabyte of anything is encoded, and byte vocabularies give it back") {
  for (const VocabularySpec& spec : {bpe_spec(), spm_spec()}) {
    const auto t = make_tokenizer(spec);
    for (const std::string& text : hostile_texts(size_t{1} << 20)) {
      const auto ids = t->encode(text, kPlain);
      const std::string back = t->decode(ids);
      // U+2581 is how a SentencePiece vocabulary spells a space.
      if (spec.model == "gpt2" || text.find("▁") == std::string::npos) CHECK(back == text);
    }
  }
  for (const VocabularySpec& spec : {bert_spec(), t5_spec()}) {
    const auto t = make_tokenizer(spec);
    for (const std::string& text : hostile_texts(size_t{1} << 20))
      CHECK(t->encode(text, kPlain).size() <= text.size() + 1);
  }
}

TEST_CASE("every pre-tokenizer covers every text, in linear time") {
  Random random(11);
  for (const char* name :
       {"llama3",         "qwen2",       "qwen35", "seed-coder", "gpt-2",    "smollm",
        "falcon",         "default",     "tekken", "gpt-4o",     "tiny_aya", "deepseek-llm",
        "deepseek-coder", "deepseek-v3", "afmoe",  "kimi-k2",    "laguna",   "gemma4",
        "minicpm5",       "bloom",       "viking", "superbpe",   "chameleon"}) {
    CAPTURE(std::string(name));
    const PreTokenizer pre(name);
    Ends ends, spare;
    std::vector<std::string> texts = hostile_texts(size_t{1} << 18);
    texts.push_back("");
    for (int i = 0; i < 100; ++i) texts.push_back(random_text(random, 60));
    for (const std::string& text : texts) {
      pre.split(text, ends, spare);
      if (text.empty()) continue;
      REQUIRE(!ends.empty());
      CHECK(ends.back() == text.size());
      CHECK(std::adjacent_find(ends.begin(), ends.end(), std::greater_equal<>()) == ends.end());
    }
  }
}

TEST_CASE("random Unicode and random bytes survive a round trip") {
  Random random(5);
  const auto bpe = make_tokenizer(bpe_spec());
  const auto spm = make_tokenizer(spm_spec());
  for (int i = 0; i < 500; ++i) {
    const std::string text = random_text(random, 40);
    CHECK(bpe->decode(bpe->encode(text, kPlain)) == text);
    if (text.find("▁") == std::string::npos) CHECK(spm->decode(spm->encode(text, kPlain)) == text);
    std::string bytes;
    for (int k = 0; k < 40; ++k) bytes.push_back(static_cast<char>(random()));
    CHECK(bpe->decode(bpe->encode(bytes, kPlain)) == bytes);
    CHECK(spm->decode(spm->encode(bytes, kPlain)) == bytes);
  }
}

TEST_CASE("spelt-out control tokens count only when asked for, the longest first") {
  const auto t = make_tokenizer(bpe_spec());
  const auto size = static_cast<TokenId>(t->size());
  CHECK(t->encode("<|im_end|>", kSpecial) == std::vector<TokenId>{size - 3});
  CHECK(t->encode("<|im_end|>+", kSpecial) == std::vector<TokenId>{size - 2});
  CHECK(t->encode("<|im_end|>", kPlain).size() == 10);
  CHECK(t->encode("<tool>", kPlain) == std::vector<TokenId>{size - 1});
  CHECK(t->piece(size - 1) == "<tool>");
  CHECK(t->piece(size - 3).empty());
  CHECK(t->piece(size - 3, true) == "<|im_end|>");
  CHECK(t->piece(size).empty());
  CHECK(t->piece(-1).empty());
  CHECK(t->piece(std::numeric_limits<TokenId>::max(), true).empty());
}

TEST_CASE("BOS is added when the vocabulary asks, and never doubled") {
  VocabularySpec spec = bpe_spec();
  CHECK(!make_tokenizer(spec)->adds_bos());
  spec.add_bos = 1;
  spec.add_eos = 1;
  const auto t = make_tokenizer(spec);
  CHECK(t->encode("", {}) == std::vector<TokenId>{t->bos(), t->eos()});
  CHECK(t->encode("<s>a", {}) == std::vector<TokenId>{t->bos(), 'a', t->eos()});
}

TEST_CASE("the end of generation is eos, eot and the known spellings") {
  VocabularySpec spec = bpe_spec();
  spec.more_eos = {5, -1, 1 << 30};
  const auto t = make_tokenizer(spec);
  const auto size = static_cast<TokenId>(t->size());
  CHECK(t->is_end(t->eos()));
  CHECK(t->is_end(size - 3));  // <|im_end|>
  CHECK(t->is_end(5));
  CHECK(!t->is_end(size - 4));  // <|im_start|>
  CHECK(!t->is_end(-1));
  CHECK(!t->is_end(size));
}

TEST_CASE("in Harmony <|end|> ends a message only, and its marks are visible") {
  VocabularySpec spec = bpe_spec();
  const auto first = static_cast<TokenId>(spec.tokens.size());
  for (const char* text : {"<|end|>", "<|return|>", "<|call|>", "<|channel|>"}) {
    spec.tokens.push_back(text);
    spec.types.push_back(3);
  }
  const auto t = make_tokenizer(spec);
  CHECK(!t->is_end(first));
  CHECK(t->is_end(first + 1));
  CHECK(t->is_end(first + 2));
  CHECK(t->piece(first + 3) == "<|channel|>");
}

TEST_CASE("SentencePiece adds a space before the text and takes it away again") {
  const auto t = make_tokenizer(spm_spec());
  const auto ids = t->encode("hell", kPlain);
  REQUIRE(ids.size() == 1);
  CHECK(t->piece(ids[0]) == " hell");
  CHECK(t->decode(ids) == "hell");
  VocabularySpec without = spm_spec();
  without.add_space_prefix = 0;
  const auto u = make_tokenizer(without);
  CHECK(u->decode(u->encode(" hell", kPlain)) == " hell");
  CHECK(u->encode("hell", kPlain) != ids);
}

TEST_CASE("an overlong token of a SentencePiece file is not made from text") {
  VocabularySpec spec = spm_spec();
  spec.add_space_prefix = 0;
  for (size_t size = 8; size <= 1024; size *= 2) {
    spec.tokens.push_back(std::string(size, 'a'));
    spec.scores.push_back(-3);
    spec.types.push_back(1);
  }
  const auto t = make_tokenizer(spec);
  CHECK(t->encode(std::string(512, 'a'), kPlain).size() == 1);
  CHECK(t->encode(std::string(1024, 'a'), kPlain).size() == 2);
}

TEST_CASE("white space after a control token goes when the vocabulary asks") {
  VocabularySpec spec = bpe_spec();
  spec.trim_after_special = 1;
  const auto t = make_tokenizer(spec);
  CHECK(t->decode(t->encode("<|im_end|>\n a <s> b", kSpecial), true) == "<|im_end|>a <s> b");
}

TEST_CASE("WordPiece finds the longest pieces, and a word with a gap is unknown") {
  const auto t = make_tokenizer(bert_spec());
  CHECK(t->encode("HÉLLO, world", {}) == std::vector<TokenId>{2, 4, 7, 5, 6, 3});
  CHECK(t->encode("worlds", kPlain) == std::vector<TokenId>{1});
  CHECK(t->encode(std::string(100, 'a'), kPlain).size() == 100);
  CHECK(t->encode(std::string(101, 'a'), kPlain) == std::vector<TokenId>{1});
  CHECK(t->decode(std::vector<TokenId>{2, 4, 7, 5, 6, 3}) == "hello, world");
}

TEST_CASE("Unigram maximises the sum of scores and joins unknown characters") {
  const auto t = make_tokenizer(t5_spec());
  CHECK(t->encode("hello", {}) == std::vector<TokenId>{4, 1});
  CHECK(t->encode("aa", kPlain) == std::vector<TokenId>{3, 6});
  CHECK(t->encode("xyz", kPlain) == std::vector<TokenId>{3, 2});
  CHECK(t->encode("", kPlain).empty());
}

TEST_CASE("vocabularies that contradict themselves are refused") {
  VocabularySpec empty{.model = "gpt2", .pre = "gpt-2"};
  CHECK_THROWS_AS(make_tokenizer(empty), Error);
  VocabularySpec scores = spm_spec();
  scores.scores.pop_back();
  CHECK_THROWS_WITH_AS(make_tokenizer(scores), "the vocabulary has 275 tokens but 274 scores",
                       Error);
  VocabularySpec types = bpe_spec();
  types.types.push_back(1);
  CHECK_THROWS_AS(make_tokenizer(types), Error);
  VocabularySpec model = bpe_spec();
  model.model = "rwkv";
  CHECK_THROWS_WITH_AS(make_tokenizer(model),
                       "unknown tokenizer model \"rwkv\" (tokenizer.ggml.model)", Error);
  VocabularySpec pre = bpe_spec();
  pre.pre = "nonesuch";
  CHECK_THROWS_WITH_AS(make_tokenizer(pre),
                       "unknown pre-tokenizer type \"nonesuch\" (tokenizer.ggml.pre)", Error);
  VocabularySpec charsmap = t5_spec();
  charsmap.precompiled_charsmap = "ab";
  CHECK_THROWS_AS(make_tokenizer(charsmap), Error);
  charsmap.precompiled_charsmap = std::string("\x00\xFF\xFF\xFF", 4) + "abcd";
  CHECK_THROWS_AS(make_tokenizer(charsmap), Error);
}

TEST_CASE("vocabularies with nonsense inside are safe") {
  constexpr auto kNan = std::numeric_limits<float>::quiet_NaN();
  constexpr auto kInfinity = std::numeric_limits<float>::infinity();
  for (VocabularySpec spec : {bpe_spec(), spm_spec(), bert_spec(), t5_spec()}) {
    for (TokenId* id : {&spec.bos, &spec.eos, &spec.eot, &spec.eom, &spec.unk, &spec.sep, &spec.pad,
                        &spec.cls, &spec.mask})
      *id = id == &spec.bos ? -5 : std::numeric_limits<TokenId>::max();
    spec.add_bos = spec.add_eos = spec.add_sep = 7;
    spec.tokens[5] = spec.tokens[6];
    spec.tokens[4] = "";
    spec.tokens[7] = "\xFF\xC0 \xF4";
    if (!spec.types.empty()) spec.types[5] = 77;
    for (size_t i = 0; i < spec.scores.size(); i += 3)
      spec.scores[i] = i % 2 == 0 ? kNan : -kInfinity;
    spec.merges.insert(spec.merges.begin(), {"", " ", "a", "no such", "  ", "a  ", "zz zz"});
    const auto t = make_tokenizer(spec);
    CHECK(t->bos() < static_cast<TokenId>(t->size()));
    for (const std::string& text : hostile_texts(2000)) {
      for (const TokenId id : t->encode(text, {})) {
        CHECK(id >= 0);
        CHECK(id < t->size());
      }
    }
    for (TokenId id = -2; id < t->size() + 2; ++id) t->piece(id, true);
  }
}

TEST_CASE("several threads may use one tokenizer") {
  const auto t = make_tokenizer(bpe_spec());
  const std::string text = repeat("hello  aaa 11 ", 2000);
  const auto want = make_tokenizer(bpe_spec())->encode(text, kPlain);
  std::vector<std::jthread> threads;
  std::atomic<int> wrong = 0;
  for (int i = 0; i < 4; ++i)
    threads.emplace_back([&] { wrong += t->encode(text, kPlain) == want ? 0 : 1; });
  threads.clear();
  CHECK(wrong == 0);
}

TEST_CASE("a stream never splits a UTF-8 sequence") {
  const std::string text = "aé日😀\xF0\x9F\x91\x8D\xEF\xB8\x8F z";
  for (size_t step = 1; step <= 4; ++step) {
    StreamDecoder stream;
    std::string joined;
    for (size_t at = 0; at < text.size(); at += step) {
      const std::string part = stream.push(std::string_view(text).substr(at, step));
      for (size_t i = 0; i < part.size();) {
        const CodePoint c = decode_utf8(part, i);
        CHECK(c.value != kInvalidCodePoint);
        i += c.length;
      }
      joined += part;
    }
    CHECK(joined + stream.flush() == text);
  }
}

TEST_CASE("an unfinished sequence at the end of a stream is cut, invalid bytes pass at once") {
  StreamDecoder stream;
  CHECK(stream.push("ab\xF0\x9F\x98") == "ab");
  CHECK(stream.flush().empty());
  CHECK(stream.push("\xFF") == "\xFF");
  CHECK(stream.push("\x80\x80\x80\x80") == "\x80\x80\x80\x80");
  CHECK(stream.push("\xC3").empty());
  CHECK(stream.push("x") == "\xC3x");
  CHECK(stream.flush().empty());
}

TEST_CASE("invalid UTF-8 is seen as such") {
  for (const char* bad : {"\x80", "\xC0\xAF", "\xE0\x80\xAF", "\xED\xA0\x80", "\xF4\x90\x80\x80",
                          "\xF8\x88\x80\x80", "\xE2\x82", "\xC3"})
    CHECK(decode_utf8(bad, 0).value == kInvalidCodePoint);
  CHECK(decode_utf8("\xF4\x8F\xBF\xBF", 0).value == 0x10FFFF);
  CHECK(decode_utf8("\xED\x9F\xBF", 0).value == 0xD7FF);
}

}  // namespace cria::text
