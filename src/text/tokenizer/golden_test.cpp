// Token ids of the public references: every vocabulary, every text, exactly.
#include "../../../tests/vocabulary_file.h"
#include "base/error.h"
#include "base/json.h"
#include "tests/skip.h"
#include "text/tokenizer/tokenizer.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <filesystem>
#include <sstream>

namespace cria::text {
namespace {

namespace fs = std::filesystem;
const fs::path kData = fs::path(CRIA_SHARED_DIR) / "data" / "tokenizers";

std::string slurp(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  std::stringstream text;
  text << in.rdbuf();
  return text.str();
}

fs::path model_folder() {
  // Tests only: the program reads its settings through base/settings.h.
  if (const char* folder = std::getenv("CRIA_TEST_MODELS")) return folder;
  const char* home = std::getenv("HOME");
  return fs::path(home != nullptr ? home : ".") / ".cache" / "cria-test-models";
}

// Null, with a message, when the file is not there.
std::unique_ptr<const Tokenizer> open(const fs::path& path) {
  if (!fs::exists(path)) {
    test::skip("file missing: " + path.string());
    return nullptr;
  }
  return make_tokenizer(test::VocabularyFile::read(path.string()));
}

std::string show(const std::vector<TokenId>& ids) {
  std::string out;
  for (const TokenId id : ids) out += std::to_string(id) + " ";
  return out;
}

void check_base(const Tokenizer& tokenizer, const std::string& name) {
  const std::string input = slurp(kData / "base" / (name + ".gguf.inp"));
  std::istringstream output(slurp(kData / "base" / (name + ".gguf.out")));
  const std::string separator = "\n__ggml_vocab_test__\n";
  int cases = 0;
  for (size_t at = 0; at < input.size(); ++cases) {
    const size_t end = std::min(input.find(separator, at), input.size());
    const std::string text = input.substr(at, end - at);
    at = end + separator.size();
    std::string line;
    if (!std::getline(output, line)) break;
    std::vector<TokenId> want;
    std::istringstream numbers(line);
    for (TokenId id; numbers >> id;) want.push_back(id);
    INFO(name << ": \"" << text << "\"");
    CHECK(show(tokenizer.encode(text, {.add_special = false, .parse_special = false})) ==
          show(want));
  }
  CHECK(cases > 40);
}

// Qwen 3 gave ids of Qwen 2's vocabulary to added tokens: those ids have other spellings there.
bool spells(const Tokenizer& tokenizer, const std::vector<TokenId>& ids, const std::string& text) {
  return std::all_of(ids.begin(), ids.end(), [&](TokenId id) {
    const std::string piece = tokenizer.piece(id, true);
    return piece.front() != '[' || text.find(piece) != std::string::npos;
  });
}

// Where the reference of nomic-bert-moe, a reimplementation, leaves SentencePiece: it replaces
// whole grapheme clusters by what their first character becomes (and so loses marks), and it takes
// control tokens from plain text. The text that must not be in a case:
bool reference_is_off(const std::string& name, const std::string& text) {
  if (name != "nomic-bert-moe") return false;
  return text.starts_with("e\u0301\u0302") || text.find("\u03F9\u094D") != std::string::npos ||
         text == "<pad><unk><bos><eos>";
}

void check_extended(const Tokenizer& tokenizer, const std::string& name) {
  std::istringstream lines(slurp(kData / "extended" / (name + ".jsonl")));
  int cases = 0;
  for (std::string line; std::getline(lines, line); ++cases) {
    const Json object = parse_json(line);
    const auto text = object["text"].get<std::string>();
    const bool special = object.contains("has_special") && object["has_special"].get<bool>();
    const auto want = object["ids"].get<std::vector<TokenId>>();
    if (special && !spells(tokenizer, want, text)) continue;
    if (reference_is_off(name, text)) continue;
    INFO(name << ": \"" << text << "\"");
    CHECK(show(tokenizer.encode(text, {.add_special = false, .parse_special = special})) ==
          show(want));
  }
  CHECK(cases > 300);
}

struct Golden {
  std::string vocabulary;
  const char* base;      // null: none
  const char* extended;  // null: none
};

bool have_data() {
  if (fs::exists(kData)) return true;
  test::skip("golden data missing: " + kData.string());
  return false;
}

// What llama.cpp gives for the same model files.
void check_real(const Tokenizer& tokenizer, const std::string& name) {
  const fs::path path = fs::path(CRIA_SHARED_DIR) / "data" / "real-models" / (name + ".json");
  const Json golden = parse_json(slurp(path));
  CHECK(tokenizer.size() == golden["n_vocab"].get<int64_t>());
  CHECK(tokenizer.adds_bos() == golden["add_bos"].get<bool>());
  CHECK(tokenizer.bos() == golden["bos"].get<TokenId>());
  CHECK(tokenizer.eos() == golden["eos"].get<TokenId>());
  CHECK(tokenizer.is_end(golden["eos"].get<TokenId>()));
  for (const Json& item : golden["tokenize"]) {
    const auto text = item["text"].get<std::string>();
    const auto ids = [&](const char* key) { return item[key].get<std::vector<TokenId>>(); };
    INFO(name << ": \"" << text << "\"");
    // llama.cpp doubles a BOS that the text already spells; Ollama and Cria do not.
    auto with_special = ids("ids_add_special_parse_special");
    if (with_special.size() > 1 && with_special[0] == with_special[1] &&
        with_special[0] == tokenizer.bos())
      with_special.erase(with_special.begin());
    CHECK(show(tokenizer.encode(text, {.add_special = true, .parse_special = true})) ==
          show(with_special));
    CHECK(show(tokenizer.encode(text, {.add_special = false, .parse_special = true})) ==
          show(ids("ids_parse_special")));
    CHECK(show(tokenizer.encode(text, {.add_special = false, .parse_special = false})) ==
          show(ids("ids_plain")));
    CHECK(tokenizer.decode(ids("ids_plain")) == item["detokenized_plain"].get<std::string>());
    std::string pieces, want;
    for (const TokenId id : ids("ids_plain"))
      for (const char c : tokenizer.piece(id)) pieces += fmt::format("{:02x}", c & 255);
    if (item["pieces_plain_hex"].is_array())
      for (const Json& piece : item["pieces_plain_hex"]) want += piece.get<std::string>();
    CHECK(pieces == want);
  }
}

}  // namespace

TEST_CASE("every vocabulary file gives the reference's ids") {
  if (!have_data()) return;
  for (const Golden& g : {
           Golden{"ggml-vocab-gpt-2", "ggml-vocab-gpt-2", "gpt-2"},
           Golden{"ggml-vocab-qwen2", "ggml-vocab-qwen2", "qwen2"},
           Golden{"ggml-vocab-llama-bpe", "ggml-vocab-llama-bpe", "llama-bpe"},
           Golden{"ggml-vocab-starcoder", "ggml-vocab-starcoder", "starcoder"},
           Golden{"ggml-vocab-refact", "ggml-vocab-refact", "refact"},
           Golden{"ggml-vocab-deepseek-llm", "ggml-vocab-deepseek-llm", nullptr},
           Golden{"vocab-gptoss", nullptr, "gptoss"},
           Golden{"vocab-deepseek_v3", nullptr, "deepseek_v3"},
           Golden{"ggml-vocab-llama-spm", "ggml-vocab-llama-spm", "llama-spm"},
           Golden{"ggml-vocab-phi-3", "ggml-vocab-phi-3", nullptr},
           Golden{"ggml-vocab-bert-bge", "ggml-vocab-bert-bge", "bert-bge"},
           Golden{"ggml-vocab-nomic-bert-moe", nullptr, "nomic-bert-moe"},
       }) {
    CAPTURE(g.vocabulary);
    const auto tokenizer = open(kData / "vocab" / (g.vocabulary + ".gguf"));
    REQUIRE(tokenizer != nullptr);
    if (g.base != nullptr) check_base(*tokenizer, g.base);
    if (g.extended != nullptr) check_extended(*tokenizer, g.extended);
  }
}

// Written by tools/golden/make_mistral_vocabularies.py.
TEST_CASE("the vocabularies inside mistral-common give the reference's ids") {
  if (!have_data()) return;
  for (const char* name : {"mistral-spm-v3", "mistral-tekken-240911"})
    if (const auto tokenizer = open(model_folder() / (std::string(name) + ".gguf")))
      check_extended(*tokenizer, name);
}

TEST_CASE("the vocabularies inside real models give the reference's ids") {
  if (!have_data()) return;
  if (const auto smollm = open(model_folder() / "SmolLM2-135M-Instruct.Q4_1.gguf")) {
    check_extended(*smollm, "smollm2");
    check_real(*smollm, "llamacpp-smollm2-135m-q4_1");
  }
  if (const auto gemma = open(model_folder() / "gemma-3-270m-q4_k_m.gguf")) {
    check_base(*gemma, "ggml-vocab-gemma-4");
    check_extended(*gemma, "gemma3");
    check_real(*gemma, "llamacpp-gemma3-270m-q4_k_m");
  }
}

}  // namespace cria::text
