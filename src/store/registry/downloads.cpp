#include "store/registry/downloads.h"

#include "base/error.h"
#include "base/settings.h"
#include "store/registry/download.h"

#include <algorithm>
#include <condition_variable>
#include <thread>
#include <utility>

namespace cria::store {
namespace {

constexpr std::chrono::milliseconds kTick{60};

// Small enough that hashing, which goes in order, is close behind the network.
int64_t part_bytes(int64_t size) {
  const int64_t set = setting_integer("CRIA_PART_BYTES");
  return set > 0 ? set : std::clamp<int64_t>(size / 64, int64_t{8} << 20, int64_t{64} << 20);
}

}  // namespace

class Downloads::Job {
 public:
  Job(Store& store, const BlobSource& what, const TransferOptions& options)
      : source(what), store_(store), options_(options) {
    options_.stop = stop_.get_token();
    thread_ = std::jthread([this] { run(); });
  }
  // Ends the work, if it still goes on.
  ~Job() { stop_.request_stop(); }

  // True once it is done; throws what it failed with. Waits a little otherwise.
  bool wait() {
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, kTick, [&] { return done_; });
    if (failure_) std::rethrow_exception(failure_);
    return done_;
  }
  bool over() {
    const std::lock_guard lock(mutex_);
    return done_ || failure_ != nullptr;
  }
  void stop() { stop_.request_stop(); }
  int64_t completed() const { return completed_; }

  const BlobSource source;
  int waiters = 0;  // under the lock of Downloads

 private:
  void run() {
    std::exception_ptr failure;
    try {
      work();
    } catch (...) {
      failure = std::current_exception();
    }
    const std::lock_guard lock(mutex_);
    failure_ = failure;
    done_ = true;
    changed_.notify_all();
  }

  bool is_here() const {
    return store_.has_layer(
        {.media_type = {}, .digest = source.digest, .size = source.size, .from = {}, .name = {}});
  }

  void work() {
    const fs::path path = store_.blob_path(source.digest);
    while (!is_here()) {
      if (stop_.stop_requested()) fail(ErrorKind::kCancelled, "the download was cancelled");
      const auto partial = PartialBlob::open(path, source.size, part_bytes(source.size));
      if (partial == nullptr) {  // another process is at it
        completed_ =
            std::max<int64_t>(completed_, PartialBlob::completed_on_disk(path, source.size));
        std::this_thread::sleep_for(kTick);
        continue;
      }
      if (is_here()) break;  // it came before we had the lock
      ChunkSums sums;
      try {
        sums = Download(source, options_, *partial, completed_).run();
      } catch (...) {
        partial->drop_if_empty();
        throw;
      }
      partial->finish();
      store_.keep_chunk_sums(source.digest, sums);
    }
    completed_ = source.size;
  }

  Store& store_;
  TransferOptions options_;
  std::stop_source stop_;
  std::atomic<int64_t> completed_ = 0;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool done_ = false;
  std::exception_ptr failure_;
  std::jthread thread_;  // last: it uses all the others
};

std::shared_ptr<Downloads::Job> Downloads::join(const BlobSource& source,
                                                const TransferOptions& options) {
  const std::lock_guard lock(mutex_);
  std::shared_ptr<Job>& job = jobs_[source.digest];
  if (job == nullptr || job->over()) job = std::make_shared<Job>(store_, source, options);
  ++job->waiters;
  return job;
}

void Downloads::leave(const std::shared_ptr<Job>& job) {
  const std::lock_guard lock(mutex_);
  if (--job->waiters > 0) return;
  job->stop();
  const auto it = jobs_.find(job->source.digest);
  if (it != jobs_.end() && it->second == job) jobs_.erase(it);
}

void Downloads::fetch(const BlobSource& source, const TransferOptions& options,
                      const std::function<void(int64_t completed)>& on_progress) {
  const std::shared_ptr<Job> job = join(source, options);
  struct Leaver {
    Downloads& downloads;
    const std::shared_ptr<Job>& job;
    ~Leaver() { downloads.leave(job); }
  } const leaver{*this, job};
  int64_t told = -1;
  const auto tell = [&] {
    const int64_t now = std::min(job->completed(), source.size);
    if (now > told) on_progress(told = now);
  };
  while (!job->wait()) {
    if (options.stop.stop_requested()) fail(ErrorKind::kCancelled, "the pull was cancelled");
    tell();
  }
  tell();
}

}  // namespace cria::store
