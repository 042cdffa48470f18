// openai_responses_endpoint.cpp - /v1/responses and /v1/responses/input_tokens.
#include "api/fields.h"
#include "api/openai_responses.h"
#include "server/generate.h"
#include "server/openai_responses.h"
#include "server/wire.h"

namespace cria::server {
namespace {

class ResponsesResponder : public Responder {
 public:
  ResponsesResponder(http::Exchange& exchange, ResponseHead head, bool stream)
      : exchange_(exchange), stream_(exchange), events_(std::move(head)), streams_(stream) {}
  void on_text(const protocol::Text& text) override { send(events_.on_text(text)); }
  void on_done(const protocol::Done& done) override {
    send(events_.on_done(done));
    if (!streams_) answer_json(exchange_, events_.object());
  }
  void on_failure(const Error& error) { send(events_.on_failure(error.what())); }

 private:
  void send(const std::vector<Json>& events) {
    if (!streams_) return;
    for (const Json& event : events) stream_.send_named(event);
  }
  http::Exchange& exchange_;
  EventStream stream_;
  ResponseEvents events_;
  const bool streams_;
};

class CountResponder : public Responder {
 public:
  explicit CountResponder(http::Exchange& exchange) : exchange_(exchange) {}
  void on_text(const protocol::Text&) override {}
  void on_done(const protocol::Done& done) override {
    answer_json(exchange_,
                {{"object", "response.input_tokens"}, {"input_tokens", done.prompt_tokens}});
  }

 private:
  http::Exchange& exchange_;
};

}  // namespace

// The prompt is rendered and tokenised, whole, in the runner, which then generates nothing.
void post_openai_count(Service& service, http::Exchange& exchange, const std::string&) {
  api::OpenAiResponses asked =
      api::parse_openai_responses(api::parse_body(exchange.request().body));
  asked.debug_render_only = true;
  asked.truncate = false;
  asked.format = {};
  asked.forced_call = false;
  CountResponder responder(exchange);
  generate(service, exchange, chat_call(std::move(asked)), responder);
}

void post_openai_responses(Service& service, http::Exchange& exchange, const std::string&) {
  api::OpenAiResponses asked =
      api::parse_openai_responses(api::parse_body(exchange.request().body));
  ResponsesResponder responder(
      exchange,
      {.model = asked.model, .single_call = asked.single_call, .echo = std::move(asked.echo)},
      asked.stream);
  const bool stream = asked.stream;
  try {
    Call call = chat_call(std::move(asked));
    call.request.call_pieces = stream;
    generate(service, exchange, std::move(call), responder);
  } catch (const Error& e) {
    // A stream that has begun ends with an event of its own kind.
    if (!exchange.started() || e.kind() == ErrorKind::kCancelled) throw;
    responder.on_failure(e);
  }
}

}  // namespace cria::server
