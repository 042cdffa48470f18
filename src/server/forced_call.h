// forced_call.h - an answer that had to be a call: under the format that tool_choice asks for, the
// model's content is an object {name, arguments}, which becomes the call that clients expect.
#pragma once

#include "server/generate.h"

#include <map>
#include <string>

namespace cria::server {

class ForcedCall : public Responder {
 public:
  explicit ForcedCall(Responder& next) : next_(next) {}
  void on_ready() override { next_.on_ready(); }
  void on_choice(int64_t index) override {
    choice_ = index;
    next_.on_choice(index);
  }
  void on_text(const protocol::Text& text) override;
  void on_done(const protocol::Done& done) override;

 private:
  struct Held {
    std::string content;  // until it is whole
    bool called = false;  // the runner itself has seen the call
  };
  Responder& next_;
  int64_t choice_ = 0;
  std::map<int64_t, Held> held_;  // by answer
};

// The call that `content` spells, in the runner's form; null when it was cut or is none.
Json call_of_content(std::string_view content);

}  // namespace cria::server
