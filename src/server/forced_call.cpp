#include "server/forced_call.h"

#include "base/error.h"

#include <utility>

namespace cria::server {

Json call_of_content(std::string_view content) {
  Json object;
  try {
    object = parse_json(content);
  } catch (const Error&) {
    return {};  // the answer was cut: it stays what it is, a text
  }
  const Json* const name = json_find(object, "name");
  const Json* const arguments = json_find(object, "arguments");
  if (name == nullptr || !name->is_string() || arguments == nullptr || !arguments->is_object())
    return {};
  return {{"function", {{"index", 0}, {"name", *name}, {"arguments", *arguments}}}};
}

void ForcedCall::on_text(const protocol::Text& text) {
  protocol::Text rest = text;
  Held& held = held_[choice_];
  held.content += std::exchange(rest.content, {});
  held.called = held.called || !rest.tool_calls.empty();
  if (!rest.thinking.empty() || !rest.tool_calls.empty() || !rest.logprobs.empty())
    next_.on_text(rest);
}

void ForcedCall::on_done(const protocol::Done& done) {
  Held held = std::exchange(held_[choice_], {});
  protocol::Text last = {.prompt_tokens = done.prompt_tokens};
  Json call = held.called ? Json() : call_of_content(held.content);
  if (call.is_null())
    last.content = std::move(held.content);
  else
    last.tool_calls.push_back(std::move(call));
  if (!last.content.empty() || !last.tool_calls.empty()) next_.on_text(last);
  next_.on_done(done);
}

}  // namespace cria::server
