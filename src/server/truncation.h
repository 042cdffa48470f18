// truncation.h - how answers say what the model did not see of a request: nothing is cut silently.
#pragma once

#include "base/json.h"
#include "protocol/protocol.h"

#include <cstdint>
#include <string>
#include <string_view>

namespace cria::server {

// Of an answer whose prompt, or some of whose inputs (server/vectors), were cut. A context that
// runs over is not yet known when it is sent.
inline constexpr std::string_view kTruncatedHeader = "X-Cria-Truncated";
std::string truncated_header(const protocol::Truncation& truncated);  // "messages=2, tokens=613"

// What the answers to one prompt went without.
class Losses {
 public:
  Losses() = default;
  explicit Losses(const protocol::Truncation& truncated, int64_t shifted = 0)
      : truncated_(truncated), shifted_(shifted) {}
  explicit Losses(const protocol::Done& done) { add(done); }
  void add(const protocol::Done& done);
  // Puts `truncated` {messages, tokens} and `shifted`, a number of tokens, into a native answer;
  // each only where there is something to say.
  void tell(Json& answer) const;
  // The same as fields of `cria`, in answers whose other fields another maker names.
  void tell_as_ours(Json& answer) const;

 private:
  protocol::Truncation truncated_;
  int64_t shifted_ = 0;
};

}  // namespace cria::server
