// inference.cpp - /api/generate and /api/chat: the native dialect's way to a runner and back.
#include "api/fields.h"
#include "server/generate.h"
#include "server/ollama.h"

namespace cria::server {
namespace {

using Clock = std::chrono::steady_clock;

class NativeResponder : public Responder {
 public:
  NativeResponder(http::Exchange& exchange, const Call& call, Shape shape, bool stream)
      : exchange_(exchange),
        shape_(shape),
        model_(call.model),
        empty_(call.empty),
        stream_(stream),
        debug_(call.request.debug_render_only),
        image_count_(call.request.images.size()),
        lines_(exchange),
        whole_(answer()) {}

  void on_ready() override { load_time_ = Clock::now() - start_; }

  void on_text(const protocol::Text& text) override {
    if (!stream_) return whole_.append(text);
    Answer part = answer();
    part.append(text);
    lines_.send(render(part));
  }

  void on_done(const protocol::Done& done) override {
    Answer last = stream_ || empty_ ? answer() : std::move(whole_);
    last.created_at = std::chrono::system_clock::now();
    if (debug_ && !empty_) return answer_json(exchange_, render_debug(last, done, image_count_));
    last.done = true;
    last.done_reason = done.reason;
    if (empty_) return answer_json(exchange_, render(last));
    const Timing timing = {.total = Clock::now() - start_, .load = load_time_};
    if (stream_)
      lines_.send(render(last, done, timing));
    else
      answer_json(exchange_, render(last, done, timing));
  }

 private:
  Answer answer() const {
    return {.shape = shape_, .model = model_, .created_at = std::chrono::system_clock::now()};
  }

  http::Exchange& exchange_;
  const Shape shape_;
  const std::string model_;
  const bool empty_, stream_, debug_;
  const size_t image_count_;
  const Clock::time_point start_ = Clock::now();
  api::Nanoseconds load_time_{0};
  LineStream lines_;
  Answer whole_;
};

}  // namespace

void post_generate(Service& service, http::Exchange& exchange, const std::string&) {
  api::GenerateRequest asked = api::parse_generate(api::parse_body(exchange.request().body));
  if (asked.model.empty()) fail(ErrorKind::kNotFound, "model '' not found");
  const bool stream = asked.stream;
  Call call = generate_call(std::move(asked));
  NativeResponder responder(exchange, call, Shape::kGenerate, stream);
  generate(service, exchange, std::move(call), responder);
}

void post_chat(Service& service, http::Exchange& exchange, const std::string&) {
  api::ChatRequest asked = api::parse_chat(api::parse_body(exchange.request().body));
  const bool stream = asked.stream;
  Call call = chat_call(std::move(asked));
  NativeResponder responder(exchange, call, Shape::kChat, stream);
  generate(service, exchange, std::move(call), responder);
}

}  // namespace cria::server
