#include "store/registry/download.h"

#include "base/error.h"
#include "base/log.h"
#include "base/settings.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace cria::store {
namespace {

constexpr size_t kWorkers = 8;
constexpr int kTries = 6;
constexpr int64_t kSaveEvery = 64 << 10;
constexpr size_t kPiece = size_t{1} << 20;

// Trying again cannot help.
bool is_final(ErrorKind kind) {
  return kind != ErrorKind::kUpstream && kind != ErrorKind::kBusy;
}

}  // namespace

void RateLimit::take(int64_t bytes, const std::stop_token& stop) {
  if (rate_ <= 0) return;
  std::chrono::steady_clock::time_point until;
  {
    const std::lock_guard lock(mutex_);
    const auto now = std::chrono::steady_clock::now();
    next_ = std::max(next_, now) + std::chrono::nanoseconds(bytes * 1'000'000'000 / rate_);
    until = next_;
  }
  while (!stop.stop_requested() && std::chrono::steady_clock::now() < until)
    std::this_thread::sleep_for(std::min<std::chrono::nanoseconds>(
        until - std::chrono::steady_clock::now(), std::chrono::milliseconds(50)));
}

Download::Download(const BlobSource& source, const TransferOptions& options, PartialBlob& partial,
                   std::atomic<int64_t>& completed)
    : source_(source),
      partial_(partial),
      completed_(completed),
      registry_(source.name, {.insecure = options.insecure,
                              .stall_timeout = setting_duration("CRIA_STALL_TIMEOUT")}),
      limit_(options.bytes_per_second),
      forward_(options.stop, [this] { stop_.request_stop(); }),
      taken_(partial.parts().size()) {}

ChunkSums Download::run() {
  fetch_all();
  if (hashed_->digest != source_.digest && !mend())
    fail(ErrorKind::kInvalidInput,
         "digest mismatch, file must be downloaded again: want {}, got {}", source_.digest.text(),
         hashed_->digest.text());
  return std::move(hashed_->sums);
}

void Download::fetch_all() {
  int64_t have = 0;
  for (const Part& part : partial_.parts()) have += part.completed;
  completed_ = have;
  {
    std::jthread hasher([this] { hash_as_it_comes(); });
    {
      std::vector<std::jthread> workers;
      for (size_t i = 0; i < std::min(kWorkers, partial_.parts().size()); ++i)
        workers.emplace_back([this] { work(); });
    }
    hasher.join();  // not the destructor, which would ask it to stop
  }
  if (failure_) std::rethrow_exception(failure_);
}

void Download::fail_all(std::exception_ptr why) {
  {
    const std::lock_guard lock(mutex_);
    if (!failure_) failure_ = std::move(why);
  }
  stop_.request_stop();
  changed_.notify_all();
}

std::optional<size_t> Download::take_part() {
  const std::lock_guard lock(mutex_);
  if (failure_) return std::nullopt;
  for (size_t i = 0; i < taken_.size(); ++i) {
    if (taken_[i] || partial_.parts()[i].whole()) continue;
    taken_[i] = true;
    return i;
  }
  return std::nullopt;
}

void Download::work() {
  try {
    while (const auto index = take_part()) fetch_with_retries(*index);
  } catch (...) {
    fail_all(std::current_exception());
  }
}

// Waits longer from try to try, and not at the same times as others that failed with us.
void Download::pause(int attempt) {
  const auto delay = setting_duration("CRIA_RETRY_DELAY") * (1 << attempt);
  std::unique_lock lock(mutex_);
  changed_.wait_for(lock, stop_.get_token(), std::min(delay, std::chrono::milliseconds(32'000)),
                    [] { return false; });
}

void Download::fetch_with_retries(size_t index) {
  for (int attempt = 0;;) {
    int64_t before = 0;
    int cut = 0;
    {
      const std::lock_guard lock(mutex_);
      if (index >= taken_.size()) return;  // the parts were joined meanwhile
      before = partial_.parts()[index].completed;
      cut = cut_;
    }
    try {
      fetch_part(index);
      const std::lock_guard lock(mutex_);
      if (cut_ != cut) return;  // one part now, which somebody takes
      if (partial_.parts()[index].whole()) return;
      fail(ErrorKind::kUpstream, "{}: ended at byte {} of {}", source_.url,
           partial_.parts()[index].completed, partial_.parts()[index].size);
    } catch (const Error& e) {
      const std::unique_lock lock(mutex_);
      if (cut_ != cut) return;
      if (is_final(e.kind()) || stop_.stop_requested()) throw;
      if (partial_.parts()[index].completed > before) {
        attempt = 0;  // it goes on, so this is no failure to count
        log::debug("{}: part {} asked again: {}", source_.digest.text(), index, e.what());
        continue;
      }
      if (++attempt >= kTries) fail(e.kind(), "max retries exceeded: {}", e.what());
      log::warn("{}: part {}, try {}: {}", source_.digest.text(), index, attempt, e.what());
    }
    pause(attempt - 1);
  }
}

void Download::fetch_part(size_t index) {
  BlobRange range;
  int cut = 0;
  {
    const std::lock_guard lock(mutex_);
    if (index >= taken_.size()) return;
    const Part& part = partial_.parts()[index];
    cut = cut_;
    range = {.offset = part.offset + part.completed,
             .length = part.size - part.completed,
             .accept_whole = cut > 0};
  }
  const auto sink = [&](std::string_view bytes) {
    limit_.take(std::ssize(bytes), stop_.get_token());
    store_bytes(index, cut, bytes);
  };
  if (fetch_range(registry_, source_, range, sink, stop_.get_token())) return;
  const std::lock_guard lock(mutex_);
  if (cut_ > 0) return;
  log::debug("{}: no parts to be had: one stream for all", source_.url);
  partial_.join_parts();
  taken_.assign(1, false);
  ++cut_;
}

void Download::store_bytes(size_t index, int cut, std::string_view bytes) {
  int64_t offset = 0;
  {
    const std::lock_guard lock(mutex_);
    if (cut != cut_ || failure_) fail(ErrorKind::kCancelled, "the part is fetched no more");
    const Part& part = partial_.parts()[index];
    offset = part.offset + part.completed;
  }
  partial_.write(offset, std::as_bytes(std::span(bytes)));
  const auto count = std::ssize(bytes);
  {
    const std::lock_guard lock(mutex_);
    if (cut != cut_) return;
    Part& part = partial_.parts()[index];
    part.completed += count;
    if (part.whole() || part.completed / kSaveEvery != (part.completed - count) / kSaveEvery)
      partial_.save(index);
  }
  completed_ += count;
  changed_.notify_all();
}

// How many bytes are there from the beginning without a gap. With the lock held.
int64_t Download::ready_bytes() {
  int64_t ready = 0;
  for (const Part& part : partial_.parts()) {
    ready += part.completed;
    if (!part.whole()) break;
  }
  return ready;
}

// On a thread of its own, so that hashing and the network do not wait for one another.
void Download::hash_as_it_comes() {
  try {
    BlobHash hash;
    std::vector<std::byte> piece(kPiece);
    for (int64_t hashed = 0; hashed < source_.size;) {
      int64_t ready = 0;
      {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [&] { return failure_ || (ready = ready_bytes()) > hashed; });
        if (failure_) return;
      }
      while (hashed < ready) {
        if (stop_.stop_requested()) fail(ErrorKind::kCancelled, "the download was cancelled");
        const auto bytes = std::span(piece).first(
            static_cast<size_t>(std::min<int64_t>(ready - hashed, std::ssize(piece))));
        partial_.read(hashed, bytes);
        hash.update(bytes);
        hashed += std::ssize(bytes);
      }
    }
    hashed_ = hash.finish();
  } catch (...) {
    fail_all(std::current_exception());
  }
}

void Download::hash_again() {
  BlobHash hash;
  std::vector<std::byte> piece(kPiece);
  for (int64_t at = 0; at < source_.size;) {
    const auto bytes = std::span(piece).first(
        static_cast<size_t>(std::min<int64_t>(source_.size - at, std::ssize(piece))));
    partial_.read(at, bytes);
    hash.update(bytes);
    at += std::ssize(bytes);
  }
  hashed_ = hash.finish();
}

// The bytes are not those of the digest: asks for the parts once more, one at a time, and compares.
// A part that comes differently replaces what is here, until the digest fits.
bool Download::mend() {
  log::warn("{}: the bytes do not fit; looking for the part that is wrong", source_.digest.text());
  const std::vector<Part> parts = partial_.parts();
  for (const Part& part : parts) {
    if (!mend_part(part)) continue;
    hash_again();
    if (hashed_->digest == source_.digest) return true;
  }
  return false;
}

// True when something has changed.
bool Download::mend_part(const Part& part) {
  bool changed = false;
  for (int attempt = 0;; ++attempt) {
    int64_t at = part.offset;
    std::vector<std::byte> here;
    const auto compare = [&](std::string_view bytes) {
      limit_.take(std::ssize(bytes), stop_.get_token());
      here.resize(bytes.size());
      partial_.read(at, here);
      if (std::memcmp(here.data(), bytes.data(), bytes.size()) != 0) {
        changed = true;
        partial_.write(at, std::as_bytes(std::span(bytes)));
      }
      at += std::ssize(bytes);
    };
    try {
      fetch_range(registry_, source_, {.offset = part.offset, .length = part.size}, compare,
                  stop_.get_token());
      return changed;
    } catch (const Error& e) {
      if (is_final(e.kind()) || attempt + 1 >= kTries || stop_.stop_requested()) throw;
    }
    pause(attempt);
  }
}

}  // namespace cria::store
