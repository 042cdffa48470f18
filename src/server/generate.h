// generate.h - the way of a checked request to a runner and back, the same for every dialect: a
// dialect parses its own wire form to a Call and writes what a Responder is told.
#pragma once

#include "server/service.h"

#include <stop_token>
#include <string_view>
#include <vector>

namespace cria::server {

// What is to be generated, and by which model.
struct Call {
  std::string model;        // as asked
  std::string_view action;  // "chat" or "generate": what a model that only embeds does not support
  Json options = Json::object();  // over those of the model
  Json think;                     // null, bool or a level
  bool drops_think = false;       // a model that cannot think is asked without thinking
  std::optional<api::Nanoseconds> keep_alive;
  std::vector<std::string> needs;  // capabilities
  bool empty = false;              // nothing to generate: load or unload only
  int64_t count = 1;               // answers
  protocol::Generate request;      // without think and options
};
Call chat_call(api::ChatRequest asked);
Call generate_call(api::GenerateRequest asked);

// The writer of an answer.
class Responder {
 public:
  virtual ~Responder() = default;
  virtual void on_ready() {}  // the model is loaded
  // What follows is about this one of the answers, which may come in turns.
  virtual void on_choice(int64_t /*index*/) {}
  virtual void on_text(const protocol::Text& text) = 0;
  // The end of one answer, of which there are `count`. An empty call ends with reason "load" or
  // "unload".
  virtual void on_done(const protocol::Done& done) = 0;
};

// The model's parameters with those of the request over them.
Json merged_options(const Model& model, const Json& given);
// What a runner of this model is loaded with. Of the options, which are the merged ones, that is
// num_thread; most are limits of a request and go with it.
ModelUse use_of(Service& service, const Model& model, const Json& options,
                const std::stop_token& gone);
// The option num_ctx, 0: the default.
int64_t num_ctx_of(const Json& options);
// A runner for this request, whose wait for it is noted.
Lease lease_for(Service& service, const ModelUse& use, std::optional<api::Nanoseconds> keep_alive,
                const std::stop_token& gone);
// With the status that clients know for what a runner reports.
Error as_client_error(const Error& error);

// Answers `exchange` by the responder, under a header that says what the prompt lost. Throws Error
// with the kinds and texts that clients know, also in the middle of an answer.
void generate(Service& service, http::Exchange& exchange, Call call, Responder& responder);

}  // namespace cria::server
