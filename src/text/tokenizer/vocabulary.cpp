#include "text/tokenizer/vocabulary.h"

#include "base/error.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <unordered_set>

namespace cria::text {
namespace {

// Tokens that end a turn in one family or another, known by their spelling alone.
constexpr std::string_view kEndTexts[] = {
    "<|eot_id|>",      "<|im_end|>",
    "<|end|>",         "<|return|>",
    "<|call|>",        "<end_of_turn>",
    "<|endoftext|>",   "<|eom_id|>",
    "<EOT>",           "_<EOT>",
    "<|end_of_text|>", "<end_of_utterance>",
    "[EOT]",           "<｜end▁of▁sentence｜>",
};
// Padding, repository and file separators of fill-in-the-middle models end an answer too.
constexpr std::string_view kFillEndTexts[] = {"<|fim_pad|>", "<fim-pad>",     "<fim_pad>",
                                              "<PAD>",       "<|repo_name|>", "<fim-repo>",
                                              "<REPO>",      "<reponame>",    "<|file_sep|>"};
// Harmony's structure is part of the output: its parser needs to see it.
constexpr std::string_view kHarmonyTexts[] = {"<|channel|>", "<|message|>", "<|start|>",
                                              "<|constrain|>"};

template <size_t N>
bool is_one_of(std::string_view text, const std::string_view (&list)[N]) {
  return std::find(std::begin(list), std::end(list), text) != std::end(list);
}

bool flag(int value, bool fallback) {
  return value < 0 ? fallback : value != 0;
}

}  // namespace

Vocabulary::Vocabulary(VocabularySpec given, const VocabularyDefaults& defaults)
    : spec(std::move(given)),
      add_bos(flag(spec.add_bos, defaults.add_bos)),
      add_eos(flag(spec.add_eos, defaults.add_eos)),
      add_sep(flag(spec.add_sep, defaults.add_sep)),
      add_space_prefix(flag(spec.add_space_prefix, defaults.add_space_prefix)) {
  check_arrays();
  check_ids(defaults);
  find_ends();
}

void Vocabulary::check_arrays() {
  const size_t count = spec.tokens.size();
  if (count == 0) fail(ErrorKind::kInvalidInput, "the vocabulary has no tokens");
  if (count > size_t{1} << 26)
    fail(ErrorKind::kInvalidInput, "the vocabulary has {} tokens, the limit is 2^26", count);
  const auto check = [&](std::string_view what, size_t length) {
    if (length != 0 && length != count)
      fail(ErrorKind::kInvalidInput, "the vocabulary has {} tokens but {} {}", count, length, what);
  };
  check("scores", spec.scores.size());
  check("token types", spec.types.size());
  types_.assign(count, TokenType::kNormal);
  for (size_t i = 0; i < spec.types.size(); ++i) {
    const int32_t type = spec.types[i];
    if (type >= 1 && type <= 6) types_[i] = static_cast<TokenType>(type);
  }
  // A score that is no number would break every ordering: such a token is the last choice.
  for (float& score : spec.scores)
    if (!std::isfinite(score)) score = std::numeric_limits<float>::lowest();
}

// Files in use name ids that do not exist (4294967295 for "none"), so these are dropped, not
// refused.
void Vocabulary::check_ids(const VocabularyDefaults& defaults) {
  const auto settle = [&](TokenId& id, TokenId fallback) {
    if (id < 0) id = fallback;
    if (!contains(id)) id = -1;
  };
  settle(spec.bos, defaults.bos);
  settle(spec.eos, defaults.eos);
  settle(spec.unk, defaults.unk);
  settle(spec.sep, defaults.sep);
  settle(spec.pad, defaults.pad);
  settle(spec.mask, defaults.mask);
  for (TokenId* id : {&spec.eot, &spec.eom, &spec.cls}) settle(*id, -1);
  std::erase_if(spec.more_eos, [&](TokenId id) { return !contains(id); });
}

void Vocabulary::find_ends() {
  TokenId harmony_return = -1, harmony_call = -1, harmony_end = -1;
  ends_.assign(types_.size(), false);
  const auto mark = [&](TokenId id) {
    if (id >= 0) ends_[static_cast<size_t>(id)] = true;
  };
  for (TokenId id = 0; id < size(); ++id) {
    const std::string& s = text(id);
    if (s == "<|return|>") harmony_return = id;
    if (s == "<|call|>") harmony_call = id;
    if (s == "<|end|>") harmony_end = id;
    const bool ends = is_one_of(s, kEndTexts);
    if (ends || is_one_of(s, kFillEndTexts)) mark(id);
    if (ends) types_[static_cast<size_t>(id)] = TokenType::kControl;
    if (ends && spec.eot < 0) spec.eot = id;
  }
  mark(spec.eos);
  mark(spec.eot);
  mark(spec.eom);
  for (const TokenId id : spec.more_eos) mark(id);
  if (harmony_return < 0 || harmony_call < 0) return;
  // In Harmony <|end|> ends a message, and more messages of the same answer follow.
  if (harmony_end >= 0) ends_[static_cast<size_t>(harmony_end)] = false;
  for (TokenId id = 0; id < size(); ++id)
    if (is_one_of(text(id), kHarmonyTexts))
      types_[static_cast<size_t>(id)] = TokenType::kUserDefined;
}

int byte_of(std::string_view text) {
  const auto digit = [](char c) {
    return c >= '0' && c <= '9' ? c - '0' : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
  };
  if (text.size() != 6 || text.substr(0, 3) != "<0x" || text[5] != '>') return -1;
  const int high = digit(text[3]), low = digit(text[4]);
  return high < 0 || low < 0 ? -1 : high * 16 + low;
}

std::vector<TokenId> Vocabulary::byte_tokens() const {
  std::vector<TokenId> ids(256, -1);
  for (TokenId id = size() - 1; id >= 0; --id)
    if (const int byte = byte_of(text(id)); byte >= 0) ids[static_cast<size_t>(byte)] = id;
  return ids;
}

std::vector<TokenId> CommonTokenizer::encode(std::string_view text, EncodeOptions options) const {
  // Pieces are addressed with 32 bits.
  if (text.size() >= size_t{1} << 31)
    fail(ErrorKind::kTooLarge, "the text has {} bytes, the tokenizer takes less than 2 GiB",
         text.size());
  std::vector<TokenId> out;
  const auto& spec = vocabulary_.spec;
  bool after_special = true;
  for (Fragment& fragment : specials_.partition(text, options.parse_special)) {
    if (fragment.token < 0 && !out.empty() && after_special && trims_after(out.back()))
      fragment.raw.remove_prefix(
          std::min(fragment.raw.find_first_not_of(" \t\r\n"), fragment.raw.size()));
    if (fragment.token >= 0)
      out.push_back(fragment.token);
    else if (!fragment.raw.empty())
      encode_raw(fragment.raw, after_special, out);
    after_special = fragment.token >= 0;
  }
  if (!options.add_special) return out;
  // A prompt may spell out what would be added: never double it.
  if (adds_bos() && (out.empty() || out.front() != spec.bos)) out.insert(out.begin(), spec.bos);
  TokenId last = -1;
  if (vocabulary_.add_sep) last = spec.sep;
  if (vocabulary_.add_eos && spec.eos >= 0) last = spec.eos;
  if (last >= 0 && (out.empty() || out.back() != last)) out.push_back(last);
  return out;
}

bool CommonTokenizer::trims_after(TokenId id) const {
  const auto& spec = vocabulary_.spec;
  return spec.trim_after_special == 1 && id != spec.bos && id != spec.unk &&
         vocabulary_.text(id) != "<|endoftext|>";
}

std::string CommonTokenizer::decode(std::span<const TokenId> ids, bool special) const {
  std::string out;
  for (const TokenId id : ids) out += piece(id, special);
  return out;
}

bool CommonTokenizer::is_hidden(TokenId id, bool special) const {
  if (!vocabulary_.contains(id)) return true;
  const TokenType type = vocabulary_.type(id);
  return !special && (type == TokenType::kControl || type == TokenType::kUnknown);
}

}  // namespace cria::text
