// embedder.h - texts to vectors: many requests, one model, one step at a time.
//
// A model that sees the whole text at once (an encoder) gets each text in one step, with as many
// others beside it as fit; a decoder reads long ones over several steps. A text's vector does not
// depend on what else is in its steps. A model that ranks gets pairs of a query and a text, and
// gives each a score, in the same way.
#pragma once

#include "engine/generation.h"
#include "engine/loader.h"
#include "engine/prepare.h"
#include "protocol/protocol.h"

#include <chrono>
#include <cstdint>
#include <list>
#include <span>
#include <vector>

namespace cria::engine {

class Embedder {
 public:
  // `loaded` outlives the embedder; `emit` gets the events of all requests.
  Embedder(LoadedEngine& loaded, Emit emit);

  void submit(PreparedTexts request);
  // Drops a request; false when there is none with this id.
  bool cancel(uint64_t id);
  bool busy() const { return !requests_.empty(); }
  // Whether texts have begun, that is: hold pages. Together they never hold more than one sequence
  // may, so that a runner that generates as well counts them as one of those that it runs.
  bool begun() const { return pages_held_ > 0; }
  // Whether one could begin but for pages, all of which answers hold.
  bool wants_pages() const { return !texts_.empty() && !begun(); }
  // Runs one step and answers what it ended. A request that fails ends with a Failure. `begins`:
  // inputs may begin.
  void step(bool begins = true);

 private:
  using Clock = std::chrono::steady_clock;
  struct Request {
    protocol::Embed asked;
    std::vector<PreparedTexts::Text> texts;
    Clock::time_point start;
    size_t next = 0, finished = 0;  // inputs
    int64_t tokens = 0, truncated = 0;
  };
  // An input that was begun.
  struct Text {
    Request* request;
    int64_t index;
    std::vector<TokenId> tokens;
    int64_t truncated = 0;       // tokens that did not fit
    int64_t second = 0;          // where the second text of a pair begins, 0: there is none
    std::vector<int32_t> pages;  // for all its tokens, or none yet
    int64_t stored = 0;          // tokens that were computed
    std::vector<double> sums;    // of hidden states
  };
  struct Share {  // of a step
    Text* text;
    int64_t rows;
    size_t outputs;
  };

  void admit();
  bool admit_next(Request& request);
  bool reserve(Text& text);
  std::vector<Share> choose_rows();
  void run(std::vector<Share>& shares);
  void collect(Share& share, std::span<const float> hidden);
  std::vector<float> vector_of(const Text& text) const;
  void finish(Text& text);
  void drop(const Request& request);
  void give_back(const Text& text);
  void fail_request(const Request& request, ErrorKind kind, const std::string& message);

  LoadedEngine& loaded_;
  const bool beside_logits_;  // hidden states are asked for; the rest of the memory is not ours
  const int64_t most_pages_;
  int64_t pages_held_ = 0;
  Emit emit_;
  std::list<Request> requests_;  // the first is the next to begin an input
  std::list<Text> texts_;        // oldest first
  std::vector<int32_t> ids_, positions_, segments_, outputs_;
  std::vector<float> hidden_;
};

}  // namespace cria::engine
