// openai_endpoints.cpp - /v1/chat/completions and /v1/completions.
#include "api/fields.h"
#include "api/openai.h"
#include "server/generate.h"
#include "server/openai_completion.h"
#include "server/wire.h"

namespace cria::server {
namespace {

template <class Chunks>
class ChunkResponder : public Responder {
 public:
  template <class Head>
  ChunkResponder(http::Exchange& exchange, Head head)
      : stream_(exchange), chunks_(std::move(head)) {}
  void on_choice(int64_t index) override { chunks_.on_choice(index); }
  void on_text(const protocol::Text& text) override { send(chunks_.on_text(text)); }
  void on_done(const protocol::Done& done) override { send(chunks_.on_done(done)); }
  void end() {
    send(chunks_.end());
    stream_.end();
  }

 private:
  void send(const std::vector<Json>& chunks) {
    for (const Json& chunk : chunks) stream_.send(chunk);
  }
  EventStream stream_;
  Chunks chunks_;
};

template <class Object>
class ObjectResponder : public Responder {
 public:
  template <class Head>
  ObjectResponder(http::Exchange& exchange, Head head)
      : exchange_(exchange), object_(std::move(head)) {}
  void on_choice(int64_t index) override { object_.on_choice(index); }
  void on_text(const protocol::Text& text) override { object_.on_text(text); }
  void on_done(const protocol::Done& done) override { object_.on_done(done); }
  void end() { answer_json(exchange_, object_.end()); }

 private:
  http::Exchange& exchange_;
  Object object_;
};

template <class AnyResponder>
void run(Service& service, http::Exchange& exchange, Call call, AnyResponder responder) {
  generate(service, exchange, std::move(call), responder);
  responder.end();
}

}  // namespace

void post_openai_chat(Service& service, http::Exchange& exchange, const std::string&) {
  api::OpenAiChat asked = api::parse_openai_chat(api::parse_body(exchange.request().body));
  OpenAiHead head = {.id = new_id("chatcmpl-"),
                     .created = unix_time(),
                     .model = asked.model,
                     .include_usage = asked.include_usage,
                     .single_call = asked.single_call};
  const bool stream = asked.stream;
  const int64_t count = asked.count;
  Call call = chat_call(std::move(asked));
  call.request.call_pieces = stream;
  call.count = count;
  if (stream)
    run(service, exchange, std::move(call), ChunkResponder<ChatChunks>(exchange, std::move(head)));
  else
    run(service, exchange, std::move(call), ObjectResponder<ChatObject>(exchange, std::move(head)));
}

void post_openai_completion(Service& service, http::Exchange& exchange, const std::string&) {
  api::OpenAiCompletion asked =
      api::parse_openai_completion(api::parse_body(exchange.request().body));
  CompletionHead head;
  head.id = new_id("cmpl-");
  head.created = unix_time();
  head.model = asked.model;
  head.include_usage = asked.include_usage;
  if (asked.echo) head.echo = asked.prompt;
  const bool stream = asked.stream;
  const int64_t count = asked.count;
  Call call = generate_call(std::move(asked));
  call.count = count;
  if (stream)
    run(service, exchange, std::move(call),
        ChunkResponder<CompletionChunks>(exchange, std::move(head)));
  else
    run(service, exchange, std::move(call),
        ObjectResponder<CompletionObject>(exchange, std::move(head)));
}

}  // namespace cria::server
