// openai_endpoints.cpp - /v1/chat/completions.
#include "api/fields.h"
#include "api/openai.h"
#include "server/forced_call.h"
#include "server/openai.h"
#include "server/wire.h"

namespace cria::server {
namespace {

template <class Chunks>
class ChunkResponder : public Responder {
 public:
  ChunkResponder(http::Exchange& exchange, OpenAiHead head)
      : stream_(exchange), chunks_(std::move(head)) {}
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
  ObjectResponder(http::Exchange& exchange, OpenAiHead head)
      : exchange_(exchange), object_(std::move(head)) {}
  void on_text(const protocol::Text& text) override { object_.on_text(text); }
  void on_done(const protocol::Done& done) override { object_.on_done(done); }
  void end() { answer_json(exchange_, object_.end()); }

 private:
  http::Exchange& exchange_;
  Object object_;
};

template <class AnyResponder>
void answer(Service& service, http::Exchange& exchange, Call call, OpenAiHead head,
            bool forced_call) {
  AnyResponder responder(exchange, std::move(head));
  ForcedCall forced(responder);
  generate(service, exchange.gone(), std::move(call),
           forced_call ? static_cast<Responder&>(forced) : responder);
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
  const bool stream = asked.stream, forced = asked.forced_call;
  const int64_t count = asked.count;
  Call call = chat_call(std::move(asked));
  call.count = count;
  if (stream)
    answer<ChunkResponder<ChatChunks>>(service, exchange, std::move(call), std::move(head), forced);
  else
    answer<ObjectResponder<ChatObject>>(service, exchange, std::move(call), std::move(head),
                                        forced);
}

}  // namespace cria::server
