#include "server/vectors.h"

#include "server/generate.h"
#include "server/requests.h"

#include <chrono>
#include <utility>

namespace cria::server {
namespace {

using Clock = std::chrono::steady_clock;
// Of one answer, which is built in memory.
constexpr size_t kMaxNumbers = size_t{16} << 20;

// Takes what the runner sends; a runner may have been taken over by the file that it parsed.
void take(protocol::Vector& vector, std::vector<std::vector<float>>& into) {
  const auto index = static_cast<size_t>(vector.index);
  if (index >= into.size() || !into[index].empty() || vector.values.empty())
    fail(ErrorKind::kInternal, "the runner answers for input {}, which it was not asked for",
         vector.index);
  if (vector.values.size() > kMaxNumbers / into.size())
    fail(ErrorKind::kInvalidInput,
         "{} inputs of {} dimensions are more than one answer holds ({} numbers); send fewer "
         "inputs at a time",
         into.size(), vector.values.size(), kMaxNumbers);
  into[index] = std::move(vector.values);
}

}  // namespace

Vectors vectors_of(Service& service, const std::stop_token& gone, VectorCall call) {
  const auto start = Clock::now();
  call.use.takes_place = !call.asked.inputs.empty();
  const Lease lease = lease_for(service, call.use, call.keep_alive, gone);
  Vectors out = {.load = Clock::now() - start};
  if (call.asked.inputs.empty()) return out;
  out.values.resize(call.asked.inputs.size());
  note_sent();
  const auto answers = lease.runner().submit(std::move(call.asked));
  size_t taken = 0;
  for (;;) {
    protocol::Event event = answers->next(gone);
    if (std::holds_alternative<protocol::Begun>(event)) note_begun();
    if (auto* const vector = std::get_if<protocol::Vector>(&event)) {
      take(*vector, out.values);
      ++taken;
    }
    const auto* const done = std::get_if<protocol::Done>(&event);
    if (done == nullptr) continue;
    if (taken != out.values.size())
      fail(ErrorKind::kInternal, "the runner answered {} of {} inputs", taken, out.values.size());
    note_done(*done);
    out.tokens = done->prompt_tokens;
    out.total = Clock::now() - start;
    return out;
  }
}

}  // namespace cria::server
