#include "engine/constraint.h"

#include "base/error.h"
#include "base/log.h"

#include <algorithm>
#include <chrono>
#include <utility>
#include <vector>

namespace cria::engine {

Constraint::Constraint(std::shared_ptr<Format> format)
    : format_(std::move(format)), state_(format_->grammar.start()) {}

void Constraint::apply(std::span<float> logits) {
  std::vector<std::pair<text::TokenId, float>> ends;
  if (format_->grammar.may_end(state_))
    for (const text::TokenId id : format_->trie->ends())
      if (static_cast<size_t>(id) < logits.size())
        ends.emplace_back(id, logits[static_cast<size_t>(id)]);
  const grammar::Mask& mask = format_->masks.allowed(state_);
  if (ends.empty() && !mask.any())
    fail(ErrorKind::kUnsupported,
         "the model has no token for what the format asks for next; use another model or format");
  mask.apply(logits);
  for (const auto& [id, logit] : ends) logits[static_cast<size_t>(id)] = logit;
}

void Constraint::accept(std::string_view piece) {
  for (const char c : piece) state_ = format_->grammar.next(state_, static_cast<uint8_t>(c));
  CRIA_CHECK(state_ != grammar::kNothing, "a chosen token is one that the format allows");
  if (format_->grammar.worn()) format_->worn.store(true, std::memory_order_relaxed);
}

bool Constraint::complete() {
  return format_->grammar.may_end(state_) && !format_->masks.allowed(state_).any();
}

std::shared_ptr<Format> Formats::known(const std::string& key) {
  const std::lock_guard lock(mutex_);
  const auto found = std::ranges::find(entries_, key, &Entry::key);
  if (found == entries_.end()) return nullptr;
  if (found->format->worn.load(std::memory_order_relaxed)) {
    entries_.erase(found);  // those that use it keep it
    return nullptr;
  }
  entries_.splice(entries_.begin(), entries_, found);
  return entries_.front().format;
}

std::shared_ptr<const grammar::TokenTrie> Formats::trie() {
  std::call_once(made_trie_,
                 [&] { trie_ = std::make_shared<const grammar::TokenTrie>(tokenizer_); });
  return trie_;
}

std::optional<Constraint> Formats::constraint(
    const Json& format, const std::optional<grammar::ThinkingMarks>& thinking) {
  if (format.is_null() || (format.is_string() && format == "")) return std::nullopt;
  constexpr size_t kMostBytes = 1 << 18;
  const Json marks = thinking ? Json{thinking->open, thinking->close, thinking->inside} : Json();
  std::string key = dump_json(Json{format, marks});
  if (key.size() > kMostBytes)
    fail(ErrorKind::kTooLarge, "the format has {} bytes; at most {} are allowed", key.size(),
         kMostBytes);
  if (auto format_before = known(key)) return Constraint(std::move(format_before));
  const auto start = std::chrono::steady_clock::now();
  auto compiled = std::make_shared<Format>(grammar::Grammar::compile(format, thinking), trie());
  const std::chrono::duration<double, std::milli> took = std::chrono::steady_clock::now() - start;
  log::debug("format compiled in {:.1f} ms", took.count());
  constexpr size_t kMostFormats = 8;
  const std::lock_guard lock(mutex_);
  entries_.push_front({std::move(key), compiled});
  if (entries_.size() > kMostFormats) entries_.pop_back();
  return Constraint(std::move(compiled));
}

}  // namespace cria::engine
