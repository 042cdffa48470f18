// download.h - one blob from one registry into its partial file. Internal to downloads.cpp.
#pragma once

#include "store/chunk_sums.h"
#include "store/registry/downloads.h"
#include "store/registry/partial.h"

#include <atomic>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <optional>
#include <thread>

namespace cria::store {

class Download {
 public:
  // `completed` is kept up to date while it runs.
  Download(const BlobSource& source, const TransferOptions& options, PartialBlob& partial,
           std::atomic<int64_t>& completed);
  // Until all bytes are there and are those of the digest. Gives the checksums of their chunks.
  ChunkSums run();

 private:
  void fetch_all();
  void work();
  std::optional<size_t> take_part();
  void fetch_with_retries(size_t index);
  void fetch_part(size_t index);
  void store_bytes(size_t index, int cut, std::string_view bytes);
  void hash_as_it_comes();
  int64_t ready_bytes();
  void hash_again();
  bool mend();
  bool mend_part(const Part& part);
  void pause(int attempt);
  void fail_all(std::exception_ptr why);

  const BlobSource source_;
  std::stop_source stop_;  // before what uses its token; also stopped by the caller's
  PartialBlob& partial_;
  std::atomic<int64_t>& completed_;
  Registry registry_;
  RateLimit limit_;
  std::stop_callback<std::function<void()>> forward_;

  std::mutex mutex_;
  std::condition_variable_any changed_;
  std::vector<bool> taken_;
  int cut_ = 0;  // 1: the server does not send parts, so there is one now
  std::exception_ptr failure_;
  std::optional<HashedBlob> hashed_;  // of all bytes
};

}  // namespace cria::store
