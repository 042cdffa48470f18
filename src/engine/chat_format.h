// chat_format.h - the prompt formats that chat models share, told apart by the markers in their
// templates.
//
// A handful of formats serves most published models; a template's marker names the format, and the
// table here writes it. What only a full template engine can do (tools, thinking switches, default
// system texts) is not in it.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace cria::engine {

struct ChatTurn {
  std::string role, content;
};

struct ChatFormat {
  std::string_view name;
  std::vector<std::string_view> markers;         // all of them stand in the template
  std::string_view before_system, after_system;  // both empty: the first user turn carries it
  std::string_view before_user, after_user;
  std::string_view before_assistant, after_assistant;
};

// Null when the template has no known marker.
const ChatFormat* find_chat_format(std::string_view template_text);
std::string known_chat_formats();  // "chatml, llama3, ..."

// All turns, and the beginning of the answer.
std::string render_chat(const ChatFormat& format, std::span<const ChatTurn> turns);

}  // namespace cria::engine
