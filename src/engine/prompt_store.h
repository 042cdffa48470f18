// prompt_store.h - the prefix cache's pages in a file, so that they outlive the runner.
//
// The file is a slot for every page of the KV memory: a head, then the page as it lies in memory.
// A slot stands for itself: `chain` names all tokens from the beginning of the text to the page's
// end, and what computed them; a checksum covers the rest. So nothing has to be written in order,
// a page goes to its slot when it has changed, and a write that was cut off loses that page alone.
//
//   u64 checksum (XXH3 of all that follows in the slot), u64 chain, u64 parent's chain,
//   i64 count of tokens, i32 tokens[32], zeros up to 256 bytes, the page
#pragma once

#include "engine/sequence.h"

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace cria::engine {

class PromptStore {
 public:
  // Opens or makes the file; throws Error when that fails, or when another runner has it open.
  explicit PromptStore(const std::string& path);
  ~PromptStore();
  PromptStore(const PromptStore&) = delete;
  PromptStore& operator=(const PromptStore&) = delete;

  // Puts what the file has into `memory`, which is unused so far and outlives this, and is what
  // save writes from then on. `identity` says what computed the pages: those of another are not
  // taken. Returns the number of pages; what is damaged is passed over.
  int64_t load(KvMemory& memory, std::string_view identity, int64_t vocabulary);
  // Writes pages that are new, about `most_bytes` of them. True when nothing is left to write. A
  // full disk ends saving with a line in the log.
  bool save(int64_t most_bytes);

 private:
  struct Head;
  struct Slot;
  std::multimap<uint64_t, Slot> read_slots(int64_t vocabulary) const;
  bool read(int32_t page, Head& head) const;
  bool read_page(int32_t page, const Head& head) const;
  bool write(int32_t page, Head head);

  const int descriptor_;
  KvMemory* memory_ = nullptr;
  int64_t slot_bytes_ = 0;
  uint64_t root_ = 0;              // the chain of no tokens
  std::vector<uint64_t> in_file_;  // chain of each slot, 0: unknown
  bool broken_ = false;
};

}  // namespace cria::engine
