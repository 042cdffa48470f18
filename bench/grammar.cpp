// Constrained decoding: the time to compile a schema, and of a mask per token, for the vocabulary
// of a model. One line of JSON.
//
//   bench_grammar MODEL.gguf [SCHEMA.json TEXT.json]
//
// The text is what the schema allows; it goes through the grammar token by token, twice: the first
// pass fills the caches of masks, as the first answers of a runner do.
#include "text/grammar/grammar.h"
#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "engine/vocabulary.h"
#include "formats/gguf.h"
#include "text/grammar/token_mask.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <vector>

namespace {

using namespace cria;
using Clock = std::chrono::steady_clock;

constexpr const char* kSchema = R"json({"type":"object","required":["people"],"properties":{
  "people":{"type":"array","items":{"type":"object","required":["name","age","mail","tags"],"properties":{
    "name":{"type":"string","maxLength":40},"age":{"type":"integer","minimum":0,"maximum":150},
    "mail":{"type":"string"},"tags":{"type":"array","items":{"enum":["new","old","gone"]}},
    "note":{"type":"string"}}}}}})json";
constexpr const char* kText =
    R"json({"people": [{"name": "Ada Lovelace", "age": 36, "mail": "ada@example.org", "tags": ["old"], )json"
    R"json("note": "She wrote the first program, for a machine that was never built."}, )json"
    R"json({"name": "Grace Hopper", "age": 85, "mail": "grace@example.org", "tags": ["old", "gone"]}]})json";

double microseconds(Clock::time_point start) {
  return std::chrono::duration<double, std::micro>(Clock::now() - start).count();
}

Json statistics(std::vector<double> times) {
  std::ranges::sort(times);
  double total = 0;
  for (const double time : times) total += time;
  return {{"mean_us", total / static_cast<double>(times.size())},
          {"median_us", times[times.size() / 2]},
          {"worst_us", times.back()}};
}

int run(int count, char** arguments) {
  const auto file = formats::open_gguf(File::open(arguments[1]));
  const auto tokenizer = text::make_tokenizer(engine::vocabulary_of(*file));
  const Json schema =
      parse_json(count > 3 ? read_text_file(arguments[2], 1 << 24) : std::string(kSchema));
  const std::string text = count > 3 ? read_text_file(arguments[3], 1 << 24) : std::string(kText);
  auto start = Clock::now();
  const grammar::TokenTrie trie(*tokenizer);
  Json out = {{"vocabulary", tokenizer->size()}, {"trie_us", microseconds(start)}};
  start = Clock::now();
  grammar::Grammar grammar = grammar::Grammar::compile(schema);
  out["compile_us"] = microseconds(start);
  grammar::TokenMasks masks(grammar, trie);
  for (const char* pass : {"first", "again"}) {
    std::vector<double> times;
    grammar::Expr state = grammar.start();
    for (const text::TokenId token : tokenizer->encode(text, {.add_special = false})) {
      start = Clock::now();
      const grammar::Mask& mask = masks.allowed(state);
      if (!mask[token]) fail(ErrorKind::kInvalidInput, "the schema does not allow the text");
      for (const char c : tokenizer->piece(token))
        state = grammar.next(state, static_cast<uint8_t>(c));
      times.push_back(microseconds(start));
    }
    out[pass] = statistics(std::move(times));
  }
  std::printf("%s\n", dump_json(out).c_str());
  return 0;
}

}  // namespace

int main(int count, char** arguments) {
  if (count != 2 && count != 4) {
    std::fputs("usage: bench_grammar MODEL.gguf [SCHEMA.json TEXT.json]\n", stderr);
    return 2;
  }
  try {
    return run(count, arguments);
  } catch (const cria::Error& e) {
    std::fprintf(stderr, "%s\n", e.what());
    return 1;
  }
}
