#include "engine/prompt_store.h"

#include "base/error.h"
#include "base/file.h"
#include "base/log.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>
#include <xxhash.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <memory>
#include <set>
#include <utility>

namespace cria::engine {
namespace {

constexpr int64_t kHeadBytes = 256;

int open_locked(const std::string& path) {
  std::error_code ignored;  // opening tells
  fs::create_directories(fs::path(path).parent_path(), ignored);
  const int descriptor = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (descriptor < 0)
    fail(ErrorKind::kInvalidInput, "cannot open {}: {}", path, std::strerror(errno));
  struct stat info = {};
  const bool regular = ::fstat(descriptor, &info) == 0 && S_ISREG(info.st_mode);
  if (regular && ::flock(descriptor, LOCK_EX | LOCK_NB) == 0) return descriptor;
  ::close(descriptor);
  fail(ErrorKind::kConflict, "{} is {}", path, regular ? "in use" : "not a file");
}

uint64_t chain_of(std::span<const TokenId> tokens, uint64_t parent) {
  return XXH3_64bits_withSeed(tokens.data(), tokens.size_bytes(), parent);
}

// Whole transfers by preadv or pwritev, which take at most IOV_MAX parts and may stop early.
template <class Transfer>
bool transfer(int descriptor, std::vector<iovec> parts, int64_t offset, Transfer call) {
  constexpr size_t kMostParts = 1024;
  size_t first = 0;
  while (first < parts.size()) {
    const auto count = static_cast<int>(std::min(parts.size() - first, kMostParts));
    ssize_t done = call(descriptor, parts.data() + first, count, offset);
    if (done < 0 && errno == EINTR) continue;
    if (done <= 0) return false;
    offset += done;
    for (; first < parts.size() && static_cast<size_t>(done) >= parts[first].iov_len; ++first)
      done -= static_cast<ssize_t>(parts[first].iov_len);
    if (done == 0) continue;
    parts[first].iov_base = static_cast<char*>(parts[first].iov_base) + done;
    parts[first].iov_len -= static_cast<size_t>(done);
  }
  return true;
}

}  // namespace

struct PromptStore::Head {
  uint64_t checksum = 0, chain = 0, parent = 0;
  int64_t count = 0;
  std::array<TokenId, ml::kPageTokens> tokens = {};
  std::array<std::byte, kHeadBytes - 32 - 4 * ml::kPageTokens> rest = {};

  std::span<const TokenId> key() const {
    return std::span(tokens).first(static_cast<size_t>(count));
  }
  bool full() const { return count == ml::kPageTokens; }
  bool consistent(int64_t vocabulary) const {
    if (count < 1 || count > ml::kPageTokens || chain != chain_of(key(), parent)) return false;
    return std::ranges::all_of(key(), [&](TokenId id) { return id >= 0 && id < vocabulary; });
  }
  uint64_t sum(const ml::PageParts& page) const {
    const std::unique_ptr<XXH3_state_t, decltype(&XXH3_freeState)> state(XXH3_createState(),
                                                                         XXH3_freeState);
    XXH3_64bits_reset(state.get());
    const auto whole = std::as_bytes(std::span(this, 1));
    XXH3_64bits_update(state.get(), whole.data() + sizeof checksum, whole.size() - sizeof checksum);
    for (const auto& part : page) XXH3_64bits_update(state.get(), part.data(), part.size());
    return XXH3_64bits_digest(state.get());
  }
};

PromptStore::PromptStore(const std::string& path) : descriptor_(open_locked(path)) {
  static_assert(sizeof(Head) == kHeadBytes);
}

PromptStore::~PromptStore() {
  ::close(descriptor_);
}

bool PromptStore::read(int32_t page, Head& head) const {
  return transfer(descriptor_, {{&head, sizeof head}}, page * slot_bytes_, ::preadv);
}

bool PromptStore::read_page(int32_t page, const Head& head) const {
  const ml::PageParts parts = memory_->store().page_parts(page);
  std::vector<iovec> to;
  for (const auto& part : parts) to.push_back({part.data(), part.size()});
  return transfer(descriptor_, std::move(to), page * slot_bytes_ + kHeadBytes, ::preadv) &&
         head.checksum == head.sum(parts);
}

bool PromptStore::write(int32_t page, Head head) {
  const ml::PageParts parts = memory_->store().page_parts(page);
  head.checksum = head.sum(parts);
  std::vector<iovec> from = {{&head, sizeof head}};
  for (const auto& part : parts) from.push_back({part.data(), part.size()});
  in_file_[static_cast<size_t>(page)] = 0;
  if (transfer(descriptor_, std::move(from), page * slot_bytes_, ::pwritev)) {
    in_file_[static_cast<size_t>(page)] = head.chain;
    return true;
  }
  log::warn("prompts are not kept on disk any more: {}", std::strerror(errno));
  broken_ = true;
  return false;
}

struct PromptStore::Slot {
  int32_t page;
  Head head;
};

// Heads that hold together, by the chain of what they follow.
std::multimap<uint64_t, PromptStore::Slot> PromptStore::read_slots(int64_t vocabulary) const {
  std::multimap<uint64_t, Slot> by_parent;
  std::set<uint64_t> known;  // one slot for each chain, so that no page takes another's place
  for (int32_t page = 0; std::cmp_less(page, in_file_.size()); ++page) {
    Slot slot{.page = page, .head = {}};
    if (!read(page, slot.head)) break;
    if (slot.head.consistent(vocabulary) && known.insert(slot.head.chain).second)
      by_parent.emplace(slot.head.parent, slot);
  }
  return by_parent;
}

int64_t PromptStore::load(KvMemory& memory, std::string_view identity, int64_t vocabulary) {
  memory_ = &memory;
  slot_bytes_ = kHeadBytes;
  for (const auto& part : memory.store().page_parts(0)) slot_bytes_ += std::ssize(part);
  root_ = XXH3_64bits(identity.data(), identity.size());
  const auto pages = static_cast<int32_t>(memory.pool().size());
  in_file_.assign(static_cast<size_t>(pages), 0);
  // What a larger memory has left behind.
  struct stat info = {};
  if (::fstat(descriptor_, &info) == 0 && info.st_size > pages * slot_bytes_ &&
      ::ftruncate(descriptor_, pages * slot_bytes_) != 0)
    log::debug("the file of prompts keeps its size: {}", std::strerror(errno));

  const std::multimap<uint64_t, Slot> by_parent = read_slots(vocabulary);
  // A page of the pool has to be the one of its slot, so all up to the last one that is wanted are
  // taken and some given back.
  int32_t end = 0;
  for (const auto& [parent, slot] : by_parent) end = std::max(end, slot.page + 1);
  std::vector<int32_t> taken;
  while (std::cmp_less(taken.size(), end)) taken.push_back(memory.pool().take().value());
  int64_t found = 0;
  // Depth first, with the path of the slot that is looked at: it is what insert wants.
  struct Place {
    const Slot* slot;
    size_t depth;
  };
  std::vector<Place> open;
  std::vector<TokenId> tokens;
  std::vector<int32_t> path;
  const auto open_children = [&](uint64_t chain, size_t depth) {
    const auto [first, last] = by_parent.equal_range(chain);
    for (auto it = first; it != last; ++it) open.push_back({&it->second, depth});
    return first != last;
  };
  open_children(root_, 0);
  while (!open.empty()) {
    const auto [slot, depth] = open.back();
    open.pop_back();
    path.resize(depth);
    tokens.resize(depth * static_cast<size_t>(ml::kPageTokens));
    const bool whole = read_page(slot->page, slot->head);
    if (whole) {
      ++found;
      in_file_[static_cast<size_t>(slot->page)] = slot->head.chain;
      path.push_back(slot->page);
      tokens.insert(tokens.end(), slot->head.key().begin(), slot->head.key().end());
    }
    const bool goes_on = whole && slot->head.full() && open_children(slot->head.chain, depth + 1);
    if (!goes_on && !path.empty()) memory.cache().insert(tokens, path);
  }
  // The first pages are taken first, which keeps the file short.
  for (auto page = taken.rbegin(); page != taken.rend(); ++page) memory.pool().release(*page);
  return found;
}

bool PromptStore::save(int64_t most_bytes) {
  if (broken_ || memory_ == nullptr) return true;
  std::map<int32_t, uint64_t> chains = {{-1, root_}};
  bool all = true;
  memory_->cache().visit([&](int32_t page, int32_t parent, std::span<const TokenId> tokens) {
    const uint64_t chain = chain_of(tokens, chains.at(parent));
    chains[page] = chain;
    if (!all || broken_ || in_file_[static_cast<size_t>(page)] == chain) return;
    Head head = {.chain = chain, .parent = chains.at(parent), .count = std::ssize(tokens)};
    std::ranges::copy(tokens, head.tokens.begin());
    write(page, head);
    most_bytes -= slot_bytes_;
    all = most_bytes > 0;
  });
  return all || broken_;
}

}  // namespace cria::engine
