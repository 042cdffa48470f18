// tokenizer.h - text to token ids and back, for every vocabulary kind that GGUF knows.
//
// Pure: no files, no globals. Immutable after make_tokenizer; safe from several threads.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace cria::text {

using TokenId = int32_t;

enum class TokenType : int8_t { kNormal = 1, kUnknown, kControl, kUserDefined, kUnused, kByte };

// The tokenizer.ggml.* metadata as plain values; -1 for an id that the file does not name. Who
// reads a GGUF file fills it like this (keys without their prefix "tokenizer.ggml."):
//   model, pre, tokens, scores, merges, precompiled_charsmap  the same names; types = token_type
//   bos, eos, eot, eom, unk, sep, pad, cls, mask              bos_token_id, ..., unknown_token_id,
//                                       seperator_token_id (so spelt), padding_token_id, ...
//   more_eos                            eos_token_ids
//   add_bos, add_eos, add_sep           add_bos_token, add_eos_token, add_sep_token
//   add_space_prefix, remove_extra_whitespaces                the same names
//   lowercase, strip_accents            normalizer.lowercase, normalizer.strip_accents
//   trim_after_special                  no key: 1 when general.architecture is "phi3" and model
//   "llama"
//                                       (their control tokens swallow the white space after them)
// An id that does not fit in TokenId is "none": pass -1. Ids out of range are ignored, arrays of a
// wrong length are refused.
struct VocabularySpec {
  std::string model;  // "gpt2", "llama", "bert", "t5"
  std::string pre;    // pre-tokenizer name; empty: default
  std::vector<std::string> tokens;
  std::vector<float> scores;        // empty or one per token
  std::vector<int32_t> types;       // empty or one per token
  std::vector<std::string> merges;  // "a b", best first
  TokenId bos = -1, eos = -1, eot = -1, eom = -1, unk = -1, sep = -1, pad = -1, cls = -1, mask = -1;
  std::vector<TokenId> more_eos;  // eos_token_ids
  // Absent flags take the defaults of the vocabulary kind (spec engine.md 1.1).
  int add_bos = -1, add_eos = -1, add_sep = -1, add_space_prefix = -1;  // -1 absent, 0, 1
  int remove_extra_whitespaces = -1;
  std::string precompiled_charsmap;
  int lowercase = -1, strip_accents = -1;
  int trim_after_special = -1;
};

struct EncodeOptions {
  bool add_special = true;    // bos/eos/cls/sep as the vocabulary asks
  bool parse_special = true;  // spellings of control tokens in the text become those tokens
};

class Tokenizer {
 public:
  virtual ~Tokenizer() = default;
  // Linear in the length of the text, whatever it holds. Any bytes are accepted.
  virtual std::vector<TokenId> encode(std::string_view text, EncodeOptions options) const = 0;
  // The bytes that one token adds to the output; empty for control tokens unless `special`.
  // Ids out of range give "". May be a part of a UTF-8 sequence.
  virtual std::string piece(TokenId id, bool special = false) const = 0;
  virtual std::string decode(std::span<const TokenId> ids, bool special = false) const = 0;
  virtual int64_t size() const = 0;
  virtual bool is_end(TokenId id) const = 0;  // any of the end-of-generation tokens
  virtual TokenId bos() const = 0;            // -1 when there is none
  virtual TokenId eos() const = 0;
  virtual bool adds_bos() const = 0;
};

// Throws Error{kInvalidInput} when the vocabulary is inconsistent, kUnsupported for an unknown
// model or pre-tokenizer (named).
std::unique_ptr<const Tokenizer> make_tokenizer(VocabularySpec spec);

// Joins pieces to text without ever splitting a UTF-8 sequence.
class StreamDecoder {
 public:
  // Bytes that are complete after `piece`; keeps an unfinished tail of up to three bytes.
  std::string push(std::string_view piece);
  std::string flush();  // what is left, cut back to valid UTF-8

 private:
  std::string tail_;
};

}  // namespace cria::text
