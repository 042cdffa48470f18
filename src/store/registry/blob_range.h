// blob_range.h - reading bytes of a blob at a registry, with everything that the answer says
// checked against what the manifest says.
#pragma once

#include "store/manifest.h"
#include "store/registry/registry.h"

#include <cstdint>
#include <functional>
#include <stop_token>
#include <string_view>

namespace cria::store {

inline constexpr int64_t kMaxBlob = int64_t{1} << 43;  // 8 TiB: what says more is no model

struct BlobSource {
  ModelName name;   // whose registry has it
  std::string url;  // there
  Digest digest;
  int64_t size = 0;  // as the manifest says
};

struct BlobRange {
  int64_t offset = 0, length = 0;
  // What to do when the server ignores ranges: read from the blob's first byte on, or give up.
  bool accept_whole = true;
};

// Gets bytes in order, without a gap; only of the range asked for.
using RangeSink = std::function<void(std::string_view bytes)>;

// One attempt. False, with nothing delivered, when the server ignores ranges and `range` does not
// accept that. Error{kUpstream} is worth another attempt; any other is not: the blob is not there
// (kNotFound), is of another size than the source's (kInvalidInput), ... What was delivered before
// an error is good.
bool fetch_range(Registry& registry, const BlobSource& source, const BlobRange& range,
                 const RangeSink& sink, const std::stop_token& stop);

}  // namespace cria::store
