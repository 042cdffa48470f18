// downloads.h - blobs on their way into the store: in parts, side by side, resumable, hashed as
// they come.
//
// One download per digest however many requests of this process want it; between processes a lock
// on the partial file decides who downloads, the others wait for the result. Memory does not grow
// with the blob.
#pragma once

#include "store/registry/blob_range.h"
#include "store/store.h"

#include <functional>
#include <map>
#include <memory>
#include <mutex>

namespace cria::store {

struct TransferOptions {
  bool insecure = false;         // plain http
  int64_t bytes_per_second = 0;  // 0: no limit
  std::stop_token stop;
};

// Lets a number of threads have so many bytes a second together.
class RateLimit {
 public:
  explicit RateLimit(int64_t bytes_per_second) : rate_(bytes_per_second) {}
  void take(int64_t bytes, const std::stop_token& stop);  // waits

 private:
  const int64_t rate_;
  std::mutex mutex_;
  std::chrono::steady_clock::time_point next_;
};

class Downloads {
 public:
  explicit Downloads(Store& store) : store_(store) {}

  // Returns once the blob is in the store, its digest verified. Calls `on_progress` with the bytes
  // so far, which never go back, about every 60 ms and at the end. When `options.stop` is requested
  // it throws Error{kCancelled}; the download itself ends when nobody waits for it any more, and
  // what came stays for the next one. Throws Error{kInvalidInput} "digest mismatch, ..." when the
  // registry does not have these bytes, {kUpstream} after too many failures, {kOutOfMemory}.
  void fetch(const BlobSource& source, const TransferOptions& options,
             const std::function<void(int64_t completed)>& on_progress);

 private:
  class Job;
  std::shared_ptr<Job> join(const BlobSource& source, const TransferOptions& options);
  void leave(const std::shared_ptr<Job>& job);

  Store& store_;
  std::mutex mutex_;
  std::map<Digest, std::shared_ptr<Job>> jobs_;
};

}  // namespace cria::store
