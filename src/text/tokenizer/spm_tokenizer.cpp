// spm_tokenizer.cpp - SentencePiece BPE with scores and byte fallback ("llama").
#include "text/tokenizer/blocks.h"
#include "text/tokenizer/merge.h"
#include "text/tokenizer/token_index.h"
#include "text/tokenizer/unicode.h"
#include "text/tokenizer/vocabulary.h"

#include <array>
#include <atomic>
#include <bit>

namespace cria::text {
namespace {

// Ranks order as scores do, the best score lowest; never kNoRank.
uint32_t rank_of(float score) {
  const auto bits = std::bit_cast<uint32_t>(score + 0.0f);  // -0 ranks like 0
  const uint32_t ascending = bits >> 31 != 0 ? ~bits : bits | 0x80000000u;
  return std::min(~ascending, kNoRank - 1);
}

// A merge hashes the whole text of its result: longer tokens are never made from text, so that a
// file cannot make that cost the square of the text's length.
constexpr size_t kMaxToken = 512;

class SpmTokenizer final : public CommonTokenizer {
 public:
  explicit SpmTokenizer(VocabularySpec spec)
      : CommonTokenizer(std::move(spec),
                        {.bos = 1, .eos = 2, .unk = 0, .add_bos = true, .add_space_prefix = true}),
        index_(vocabulary().spec.tokens.size()),
        byte_ids_(vocabulary().byte_tokens()),
        whole_(std::make_unique<std::atomic<uint8_t>[]>(vocabulary().spec.tokens.size())) {
    for (TokenId id = 0; id < vocabulary().size(); ++id) {
      if (!vocabulary().is_ordinary(id) || vocabulary().text(id).size() > kMaxToken) continue;
      const std::string& text = vocabulary().text(id);
      index_.add(text, id);
      for (size_t at = word_end(text, 0); at < text.size(); at = word_end(text, at))
        joins_[static_cast<uint8_t>(text[at - 1])] = true;
    }
  }

  std::string piece(TokenId id, bool special) const override {
    if (is_hidden(id, special)) return {};
    const TokenType type = vocabulary().type(id);
    const std::string& text = vocabulary().text(id);
    if (type == TokenType::kByte) {
      const int byte = byte_of(text);
      if (byte >= 0) return std::string(1, static_cast<char>(byte));
    }
    if (type == TokenType::kControl || type == TokenType::kUnknown) return text;
    return blocks_to_spaces(text);
  }

  // The space that encode put before the text is taken away again.
  std::string decode(std::span<const TokenId> ids, bool special) const override {
    std::string out = CommonTokenizer::decode(ids, special);
    if (!vocabulary().add_space_prefix) return out;
    for (const TokenId id : ids) {
      if (is_hidden(id, false)) continue;
      const std::string first = piece(id, special);
      const size_t at = special ? out.find(first) : 0;
      if (!first.empty() && first[0] == ' ' && at < out.size()) out.erase(at, 1);
      break;
    }
    return out;
  }

 protected:
  void encode_raw(std::string_view raw, bool after_special,
                  std::vector<TokenId>& out) const override {
    std::string text = replace_all(raw, " ", kBlock);
    if (vocabulary().add_space_prefix && after_special) text.insert(0, kBlock);
    MergeScratch scratch;
    for (size_t begin = 0; begin < text.size();) {
      size_t end = word_end(text, begin);
      while (end < text.size() && joins_[static_cast<uint8_t>(text[end - 1])])
        end = word_end(text, end);
      encode_part(std::string_view(text).substr(begin, end - begin), scratch, out);
      begin = end;
    }
  }

 private:
  enum Whole : uint8_t { kUnknown, kYes, kNo };

  // A word is a run of U+2581 and what follows up to the next one.
  static size_t word_end(std::string_view text, size_t begin) {
    size_t at = begin;
    while (starts_with_block(text, at)) at += kBlock.size();
    return std::min(text.find(kBlock, at), text.size());
  }

  void encode_part(std::string_view part, MergeScratch& scratch, std::vector<TokenId>& out) const {
    const TokenId id = part.size() <= index_.longest() ? index_.find(part) : -1;
    if (id >= 0 && stays_whole(id, part, scratch)) {
      out.push_back(id);
      return;
    }
    merge(part, scratch);
    for (size_t i = 0; i < scratch.symbols.size(); ++i) {
      const Symbol& symbol = scratch.symbols[i];
      const size_t end =
          i + 1 < scratch.symbols.size() ? scratch.symbols[i + 1].start : part.size();
      if (symbol.id >= 0)
        out.push_back(symbol.id);
      else
        append_bytes(part.substr(symbol.start, end - symbol.start), out);
    }
  }

  void append_bytes(std::string_view bytes, std::vector<TokenId>& out) const {
    const auto id_of = [&](char c) { return byte_ids_[static_cast<uint8_t>(c)]; };
    if (std::all_of(bytes.begin(), bytes.end(), [&](char c) { return id_of(c) >= 0; })) {
      for (const char c : bytes) out.push_back(id_of(c));
    } else if (vocabulary().spec.unk >= 0) {
      out.push_back(vocabulary().spec.unk);
    }
  }

  bool stays_whole(TokenId id, std::string_view text, MergeScratch& scratch) const {
    std::atomic<uint8_t>& known = whole_[static_cast<size_t>(id)];
    uint8_t answer = known.load(std::memory_order_relaxed);
    if (answer == kUnknown) {
      merge(text, scratch);
      answer = scratch.symbols.size() == 1 ? kYes : kNo;
      known.store(answer, std::memory_order_relaxed);
    }
    return answer == kYes;
  }

  void merge(std::string_view part, MergeScratch& scratch) const {
    scratch.symbols.clear();
    for (size_t at = 0; at < part.size();) {
      const size_t length = decode_utf8(part, at).length;
      const TokenId id = index_.find(part.substr(at, length));
      scratch.symbols.push_back({static_cast<uint32_t>(at), id, {}});
      at += length;
    }
    const auto rule = [&](const Symbol& left, const Symbol&, uint32_t end) -> MergeResult {
      if (end - left.start > index_.longest()) return {};
      const TokenId id = index_.find(part.substr(left.start, end - left.start));
      if (id < 0) return {};
      return {rank_of(vocabulary().score(id)), id};
    };
    Merger(rule, scratch, static_cast<uint32_t>(part.size())).run();
  }

  TokenIndex index_;
  std::vector<TokenId> byte_ids_;
  // Bytes that stand before a U+2581 inside some token. After any other byte no token crosses from
  // one word into the next, so words are independent: Gemma has one such token, Llama none.
  std::array<bool, 256> joins_{};
  // Whether merging the text of a token ends at it, found out when first asked. Relaxed: every
  // thread computes the same answer.
  std::unique_ptr<std::atomic<uint8_t>[]> whole_;
};

}  // namespace

std::unique_ptr<const Tokenizer> make_spm_tokenizer(VocabularySpec spec) {
  return std::make_unique<SpmTokenizer>(std::move(spec));
}

}  // namespace cria::text
