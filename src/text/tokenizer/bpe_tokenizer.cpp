// bpe_tokenizer.cpp - byte-level BPE ("gpt2") and BPE on raw UTF-8 ("gemma4").
//
// Byte-level vocabularies spell each byte as one printable character; tokens are kept as the bytes
// they stand for, so a text is looked up as it is.
#include "text/tokenizer/blocks.h"
#include "text/tokenizer/merge_table.h"
#include "text/tokenizer/normalize.h"
#include "text/tokenizer/pretokenizer.h"
#include "text/tokenizer/token_index.h"
#include "text/tokenizer/unicode.h"
#include "text/tokenizer/vocabulary.h"

#include <atomic>

namespace cria::text {
namespace {

// GPT-2's alphabet: printable bytes are themselves, the others follow from U+0100 in order.
class ByteAlphabet {
 public:
  ByteAlphabet() {
    uint32_t next = 256;
    for (uint32_t byte = 0; byte < 256; ++byte) {
      const bool printable = (byte > 32 && byte < 127) || (byte > 160 && byte != 173);
      bytes_[printable ? byte : next++] = static_cast<int16_t>(byte);
    }
  }
  // Appends the bytes that `text` spells; the text itself when a character is not of the alphabet.
  void decode(std::string_view text, std::string& out) const {
    const size_t before = out.size();
    for (size_t i = 0; i < text.size();) {
      const CodePoint c = decode_utf8(text, i);
      if (c.value >= bytes_.size() || bytes_[c.value] < 0) {
        out.replace(before, std::string::npos, text);
        return;
      }
      out.push_back(static_cast<char>(bytes_[c.value]));
      i += c.length;
    }
  }

 private:
  static constexpr std::array<int16_t, 324> none() {
    std::array<int16_t, 324> a{};
    a.fill(-1);
    return a;
  }
  std::array<int16_t, 324> bytes_ = none();
};

VocabularyDefaults defaults_for(const VocabularySpec& spec, const PreTokenizerFlags& flags) {
  VocabularyDefaults defaults;
  defaults.add_bos = flags.add_bos || spec.model == "gemma4";
  defaults.add_sep = flags.add_sep;
  // Falcon's files name no ids; elsewhere token 11 is an ordinary word.
  if (spec.tokens.size() > 11 && spec.tokens[11] == "<|endoftext|>")
    defaults.bos = defaults.eos = 11;
  return defaults;
}

class BpeTokenizer final : public CommonTokenizer {
 public:
  BpeTokenizer(VocabularySpec spec, const VocabularyDefaults& defaults, PreTokenizer pre)
      : CommonTokenizer(std::move(spec), defaults),
        pre_(std::move(pre)),
        raw_(pre_.flags().raw),
        index_(vocabulary().spec.tokens.size()),
        merges_(vocabulary().spec.merges.size()),
        whole_(std::make_unique<std::atomic<uint8_t>[]>(vocabulary().spec.tokens.size())) {
    store_pieces();
    store_merges();
    for (uint32_t byte = 0; byte < 256; ++byte) {
      const char c = static_cast<char>(byte);
      byte_ids_[byte] = index_.find({&c, 1});
    }
    if (raw_) fallback_ids_ = vocabulary().byte_tokens();
  }

  std::string piece(TokenId id, bool special) const override {
    if (is_hidden(id, special)) return {};
    const auto i = static_cast<size_t>(id);
    return pieces_.substr(starts_[i], starts_[i + 1] - starts_[i]);
  }

 protected:
  void encode_raw(std::string_view text, bool, std::vector<TokenId>& out) const override {
    std::string changed;
    if (raw_) text = changed = replace_all(text, " ", kBlock);
    if (pre_.flags().nfc) text = changed = to_nfc(text);
    Ends ends, spare;
    pre_.split(text, ends, spare);
    MergeScratch scratch;
    uint32_t begin = 0;
    for (const uint32_t end : ends) {
      encode_part(text.substr(begin, end - begin), scratch, out);
      begin = end;
    }
  }

 private:
  enum Whole : uint8_t { kUnknown, kYes, kNo };

  void store_pieces() {
    const ByteAlphabet alphabet;
    const Vocabulary& v = vocabulary();
    std::string key;
    for (TokenId id = 0; id < v.size(); ++id) {
      starts_.push_back(pieces_.size());
      key.clear();
      if (raw_ || v.type(id) != TokenType::kNormal)
        key = v.text(id);
      else
        alphabet.decode(v.text(id), key);
      if (v.is_ordinary(id)) index_.add(key, id);
      pieces_ += raw_ ? raw_piece(id) : key;
    }
    starts_.push_back(pieces_.size());
  }

  std::string raw_piece(TokenId id) const {
    const std::string& text = vocabulary().text(id);
    if (vocabulary().type(id) != TokenType::kByte)
      return vocabulary().is_ordinary(id) ? blocks_to_spaces(text) : text;
    const int byte = byte_of(text);
    return byte < 0 ? std::string() : std::string(1, static_cast<char>(byte));
  }

  // A merge that names no token, or makes none, can never be applied.
  void store_merges() {
    const ByteAlphabet alphabet;
    const auto& merges = vocabulary().spec.merges;
    std::string both;
    const auto append = [&](std::string_view side) {
      if (raw_)
        both += side;
      else
        alphabet.decode(side, both);
    };
    for (size_t rank = 0; rank < merges.size(); ++rank) {
      const std::string_view merge = merges[rank];
      const size_t space = merge.find(' ', 1);
      if (space == std::string_view::npos) continue;
      both.clear();
      append(merge.substr(0, space));
      const size_t middle = both.size();
      append(merge.substr(space + 1));
      const std::string_view text = both;
      const TokenId left = index_.find(text.substr(0, middle));
      const TokenId right = index_.find(text.substr(middle)), whole = index_.find(text);
      if (left >= 0 && right >= 0 && whole >= 0)
        merges_.add(left, right, {static_cast<uint32_t>(rank), whole});
    }
  }

  void encode_part(std::string_view part, MergeScratch& scratch, std::vector<TokenId>& out) const {
    if (part.size() <= index_.longest()) {
      const TokenId id = index_.find(part);
      if (id >= 0 && stays_whole(id, part, scratch)) {
        out.push_back(id);
        return;
      }
    }
    merge(part, scratch);
    for (size_t i = 0; i < scratch.symbols.size(); ++i) {
      const Symbol& symbol = scratch.symbols[i];
      if (symbol.id >= 0) {
        out.push_back(symbol.id);
        continue;
      }
      // A byte without a token is dropped; raw vocabularies have tokens for single bytes.
      if (!raw_) continue;
      const size_t end =
          i + 1 < scratch.symbols.size() ? scratch.symbols[i + 1].start : part.size();
      for (size_t at = symbol.start; at < end; ++at) {
        const TokenId id = fallback_ids_[static_cast<uint8_t>(part[at])];
        if (id >= 0 || vocabulary().spec.unk >= 0)
          out.push_back(id >= 0 ? id : vocabulary().spec.unk);
      }
    }
  }

  // Whether merging the text of token `id` ends at that token. Found out when first asked: most
  // words of a text are tokens, and then one look-up is all they cost.
  bool stays_whole(TokenId id, std::string_view text, MergeScratch& scratch) const {
    if (pre_.flags().ignore_merges) return true;
    std::atomic<uint8_t>& known = whole_[static_cast<size_t>(id)];
    uint8_t answer = known.load(std::memory_order_relaxed);
    if (answer == kUnknown) {
      merge(text, scratch);
      answer = scratch.symbols.size() == 1 && scratch.symbols[0].id == id ? kYes : kNo;
      known.store(answer, std::memory_order_relaxed);
    }
    return answer == kYes;
  }

  void merge(std::string_view part, MergeScratch& scratch) const {
    scratch.symbols.clear();
    for (size_t at = 0; at < part.size();) {
      const size_t length = raw_ ? decode_utf8(part, at).length : 1;
      const TokenId id =
          raw_ ? index_.find(part.substr(at, length)) : byte_ids_[static_cast<uint8_t>(part[at])];
      scratch.symbols.push_back({static_cast<uint32_t>(at), id, {}});
      at += length;
    }
    const auto rule = [this](const Symbol& left, const Symbol& right, uint32_t) {
      return left.id < 0 || right.id < 0 ? MergeResult{} : merges_.find(left.id, right.id);
    };
    Merger(rule, scratch, static_cast<uint32_t>(part.size())).run();
  }

  PreTokenizer pre_;
  bool raw_;
  TokenIndex index_;
  MergeTable merges_;
  std::string pieces_;          // what each token adds to the output, one after the other
  std::vector<size_t> starts_;  // into pieces_, one more than there are tokens
  std::array<TokenId, 256> byte_ids_;
  std::vector<TokenId> fallback_ids_;
  // Relaxed: every thread computes the same answer.
  std::unique_ptr<std::atomic<uint8_t>[]> whole_;
};

}  // namespace

std::unique_ptr<const Tokenizer> make_bpe_tokenizer(VocabularySpec spec) {
  PreTokenizer pre(spec.model == "gemma4" ? "gemma4" : spec.pre);
  if (pre.flags().clear_bos) spec.bos = -1;
  if (spec.model == "gemma4") spec.add_bos = 1;
  const VocabularyDefaults defaults = defaults_for(spec, pre.flags());
  return std::make_unique<BpeTokenizer>(std::move(spec), defaults, std::move(pre));
}

}  // namespace cria::text
