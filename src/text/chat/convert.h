// convert.h - a Go template that writes the same prompts as a Jinja chat template, where there is
// one.
//
// No translation of the languages: the template is rendered for marked messages, the texts between
// the marks are written down as a Go template, and that counts only when it gives the same bytes as
// the original for every probe conversation.
#pragma once

#include "base/json.h"
#include "text/chat/jinja_prompt.h"

#include <string>

namespace cria::text {

struct Conversion {
  std::string text;           // the Go template; empty when there is none
  std::string why_none;       // "tools: ...", for the log
  Json stop = Json::array();  // texts that begin another turn
};

// Never throws for what is in the template: one that cannot be parsed has no Go form.
Conversion convert_chat_template(const JinjaSource& source);

}  // namespace cria::text
