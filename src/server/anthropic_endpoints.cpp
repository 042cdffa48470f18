// anthropic_endpoints.cpp - /v1/messages and /v1/messages/count_tokens.
#include "api/anthropic.h"
#include "api/fields.h"
#include "server/anthropic.h"
#include "server/generate.h"
#include "server/wire.h"

namespace cria::server {
namespace {

class EventResponder : public Responder {
 public:
  EventResponder(http::Exchange& exchange, AnthropicHead head)
      : stream_(exchange), events_(std::move(head)) {}
  void on_text(const protocol::Text& text) override { send(events_.on_text(text)); }
  void on_done(const protocol::Done& done) override { send(events_.on_done(done)); }

 private:
  void send(const std::vector<Json>& events) {
    for (const Json& event : events) stream_.send_named(event);
  }
  EventStream stream_;
  MessageEvents events_;
};

class MessageResponder : public Responder {
 public:
  MessageResponder(http::Exchange& exchange, AnthropicHead head)
      : exchange_(exchange), message_(std::move(head)) {}
  void on_text(const protocol::Text& text) override { message_.on_text(text); }
  void on_done(const protocol::Done& done) override {
    answer_json(exchange_, message_.on_done(done));
  }

 private:
  http::Exchange& exchange_;
  MessageObject message_;
};

class CountResponder : public Responder {
 public:
  explicit CountResponder(http::Exchange& exchange) : exchange_(exchange) {}
  void on_text(const protocol::Text&) override {}
  void on_done(const protocol::Done& done) override {
    answer_json(exchange_, {{"input_tokens", done.prompt_tokens}});
  }

 private:
  http::Exchange& exchange_;
};

void run(Service& service, http::Exchange& exchange, api::AnthropicMessages asked,
         Responder& responder) {
  const bool stream = asked.stream;
  Call call = chat_call(std::move(asked));
  call.drops_think = true;
  call.request.call_pieces = stream;
  generate(service, exchange, std::move(call), responder);
}

}  // namespace

void post_anthropic_messages(Service& service, http::Exchange& exchange, const std::string&) {
  api::AnthropicMessages asked =
      api::parse_anthropic_messages(api::parse_body(exchange.request().body));
  AnthropicHead head = {.id = new_id("msg_"),
                        .model = asked.model,
                        .single_call = asked.single_call,
                        .stop_sequences = asked.stop_sequences};
  if (asked.stream) {
    EventResponder responder(exchange, std::move(head));
    run(service, exchange, std::move(asked), responder);
  } else {
    MessageResponder responder(exchange, std::move(head));
    run(service, exchange, std::move(asked), responder);
  }
}

// The prompt is rendered and tokenised, whole, in the runner, which then generates nothing.
void post_anthropic_count(Service& service, http::Exchange& exchange, const std::string&) {
  api::AnthropicMessages asked =
      api::parse_anthropic_count(api::parse_body(exchange.request().body));
  asked.debug_render_only = true;
  asked.truncate = false;
  asked.format = {};
  asked.forced_call = false;
  CountResponder responder(exchange);
  run(service, exchange, std::move(asked), responder);
}

}  // namespace cria::server
