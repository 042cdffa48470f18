#include "engine/render.h"

#include "base/error.h"
#include "base/log.h"
#include "base/text.h"
#include "text/chat/chat_template.h"

#include <algorithm>
#include <utility>

namespace cria::engine {
namespace {

constexpr std::string_view kPlainTemplate = "{{ .Prompt }}";

std::string role_of(const Json& message) {
  return lower_case(json_string(message, "role").value_or("user"));
}

Json message(std::string_view role, const std::string& content) {
  Json out = Json::object();
  out["role"] = role;
  out["content"] = content;
  return out;
}

// `messages` without the first `count` that are not of the system.
Json without_oldest(const Json& messages, size_t count) {
  Json out = Json::array();
  for (const Json& row : messages)
    if (count == 0 || role_of(row) == "system")
      out.push_back(row);
    else
      --count;
  return out;
}

// Whole messages go from the front until `render` fits; system messages and the last one stay. The
// fewest that must go are found by halving: a chat of thousands of messages is rendered a dozen
// times, not thousands of times.
RenderedPrompt render_fitting(const Json& messages, const Fits& fits,
                              const std::function<std::string(const Json&)>& render) {
  RenderedPrompt out{.text = render(messages)};
  if (messages.empty() || fits(out.text)) return out;
  size_t most = 0;  // that may go
  for (size_t i = 0; i + 1 < messages.size(); ++i) most += role_of(messages[i]) != "system";
  size_t too_few = 0, enough = most;  // with all of them gone it is as short as it can be
  while (enough - too_few > 1) {
    const size_t middle = too_few + (enough - too_few) / 2;
    (fits(render(without_oldest(messages, middle))) ? enough : too_few) = middle;
  }
  out.untruncated = std::exchange(out.text, render(without_oldest(messages, enough)));
  out.truncated_messages = static_cast<int64_t>(enough);
  return out;
}

}  // namespace

Renderer::Renderer(const protocol::ModelText& model, const text::JinjaSource& file)
    : system_(model.system), first_messages_(model.messages) {
  if (!model.template_text.empty()) go_ = text::PromptTemplate::parse(model.template_text);
  const auto path = text::choose_prompt_path(go_ ? &*go_ : nullptr, model.template_text, file.text,
                                             text::go_template_wanted());
  if (path == text::PromptPath::kPlain) {
    log::warn("the model has no prompt template: prompts go to it as they are");
    go_ = text::PromptTemplate::parse(kPlainTemplate);
  }
  uses_jinja_ = path == text::PromptPath::kJinja;
  log::debug("prompts are written by {}",
             uses_jinja_ ? "the model file's own chat template" : "the model's Go template");
  if (!uses_jinja_) return;
  try {
    jinja_ = text::JinjaPrompt::parse(file);
  } catch (const Error& e) {  // raw prompts and a request's own template still work
    jinja_error_ = e.what();
    log::warn("the model file's chat template cannot be used: {}", jinja_error_);
  }
}

std::optional<text::PromptTemplate> Renderer::given_template(
    const protocol::Generate& request) const {
  if (!request.has_template) return std::nullopt;
  return text::PromptTemplate::parse(request.template_text);
}

Json Renderer::messages_of(const protocol::Generate& request) const {
  Json own = request.messages;
  if (!request.chat) own = Json::array({message("user", request.prompt)});
  if (!own.is_array()) fail(ErrorKind::kInvalidInput, "messages must be a list");
  for (const Json& row : own)
    if (!row.is_object()) fail(ErrorKind::kInvalidInput, "a message must be an object");
  if (!request.chat && request.has_system)
    own.insert(own.begin(), message("system", request.system));
  const Json& first = request.context.empty() ? first_messages_ : Json::array();
  Json all = text::with_model_messages(first, system_, own);
  return request.drop_old_thinking ? text::without_old_thinking(all) : all;
}

RenderedPrompt Renderer::operator()(const protocol::Generate& request, const Fits& fits) const {
  if (request.raw) return {.text = request.prompt};
  const std::optional<text::PromptTemplate> given = given_template(request);
  if (!request.suffix.empty()) {
    const text::PromptTemplate* with = given ? &*given : go_ ? &*go_ : nullptr;
    if (with == nullptr || !with->uses("suffix"))
      fail(ErrorKind::kInvalidInput,
           "the model's template has no .Suffix: it cannot fill in between");
    return {.text = with->render_insert(request.prompt, request.suffix, request.think)};
  }
  const bool by_jinja = uses_jinja_ && !given;
  if (by_jinja && !jinja_)
    fail(ErrorKind::kUnsupported,
         "the model file's chat template cannot be used: {}; give the model a TEMPLATE, or use raw "
         "mode",
         jinja_error_);
  const text::PromptTemplate* go = given ? &*given : go_ ? &*go_ : nullptr;
  RenderedPrompt out = render_fitting(messages_of(request), fits, [&](const Json& messages) {
    const text::ChatInput input{
        .messages = messages, .tools = request.tools, .think = request.think};
    return by_jinja ? jinja_->render(input) : go->render_chat(input);
  });
  text::AnswerMarks marks = by_jinja ? jinja_->marks() : go->marks();
  if (request.forced_call) marks.tool_tag = "{";  // the format leaves no room for another
  out.parser.emplace(marks, out.text, request.tools, request.think, request.call_pieces);
  return out;
}

std::shared_ptr<const Renderer> Renderers::known(const protocol::ModelText& model) {
  const std::lock_guard lock(mutex_);
  const auto found = std::ranges::find(kept_, model, &Kept::model);
  if (found == kept_.end()) return nullptr;
  kept_.splice(kept_.begin(), kept_, found);
  return kept_.front().renderer;
}

RenderedPrompt Renderers::operator()(const protocol::Generate& request, const Fits& fits) {
  constexpr size_t kMost = 8;
  std::shared_ptr<const Renderer> renderer = known(request.model);
  if (renderer == nullptr) {
    renderer = std::make_shared<const Renderer>(request.model, file_);
    const std::lock_guard lock(mutex_);
    kept_.push_front({.model = request.model, .renderer = renderer});
    if (kept_.size() > kMost) kept_.pop_back();
  }
  return (*renderer)(request, fits);
}

}  // namespace cria::engine
