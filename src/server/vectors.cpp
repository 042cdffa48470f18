#include "server/vectors.h"

#include "base/log.h"
#include "server/generate.h"
#include "server/requests.h"
#include "server/truncation.h"

#include <chrono>
#include <utility>

namespace cria::server {
namespace {

using Clock = std::chrono::steady_clock;
// Of one answer, which is built in memory.
constexpr size_t kMaxNumbers = size_t{16} << 20;

// Takes what the runner sends; a runner may have been taken over by the file that it parsed.
void take(protocol::Vector& vector, Vectors& vectors) {
  std::vector<std::vector<float>>& into = vectors.values;
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
  vectors.truncated[index] = vector.truncated_tokens;
}

}  // namespace

Vectors vectors_of(Service& service, const std::stop_token& gone, VectorCall call) {
  const auto start = Clock::now();
  call.use.takes = call.asked.inputs.empty() ? Takes::kNothing : Takes::kShare;
  const Lease lease = lease_for(service, call.use, call.keep_alive, gone);
  Vectors out = {.load = Clock::now() - start};
  if (call.asked.inputs.empty()) return out;
  out.values.resize(call.asked.inputs.size());
  out.truncated.resize(out.values.size());
  note_sent();
  const auto answers = lease.runner().submit(std::move(call.asked));
  size_t taken = 0;
  for (;;) {
    protocol::Event event = answers->next(gone);
    if (std::holds_alternative<protocol::Begun>(event)) note_begun();
    if (auto* const vector = std::get_if<protocol::Vector>(&event)) {
      take(*vector, out);
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

Json report_truncated(http::Exchange& exchange, const Vectors& vectors) {
  Json inputs = Json::array();
  int64_t tokens = 0;
  for (size_t i = 0; i < vectors.truncated.size(); ++i) {
    const int64_t lost = vectors.truncated[i];
    if (lost == 0) continue;
    inputs.push_back({{"index", i}, {"tokens", lost}});
    tokens += lost;
  }
  if (inputs.empty()) return {};
  log::warn("{} of {} inputs are longer than the context and lose their ends, {} tokens",
            inputs.size(), vectors.truncated.size(), tokens);
  exchange.add_header(std::string(kTruncatedHeader),
                      fmt::format("inputs={}, tokens={}", inputs.size(), tokens));
  return {{"inputs", std::move(inputs)}, {"tokens", tokens}};
}

}  // namespace cria::server
