#include "engine/chat_format.h"

#include <algorithm>
#include <array>

namespace cria::engine {
namespace {

const std::array<ChatFormat, 6>& formats() {
  static const std::array<ChatFormat, 6> kFormats = {{
      {"chatml",
       {"<|im_start|>"},
       "<|im_start|>system\n",
       "<|im_end|>\n",
       "<|im_start|>user\n",
       "<|im_end|>\n",
       "<|im_start|>assistant\n",
       "<|im_end|>\n"},
      {"llama3",
       {"<|start_header_id|>"},
       "<|start_header_id|>system<|end_header_id|>\n\n",
       "<|eot_id|>",
       "<|start_header_id|>user<|end_header_id|>\n\n",
       "<|eot_id|>",
       "<|start_header_id|>assistant<|end_header_id|>\n\n",
       "<|eot_id|>"},
      {"gemma",
       {"<start_of_turn>"},
       "",
       "",
       "<start_of_turn>user\n",
       "<end_of_turn>\n",
       "<start_of_turn>model\n",
       "<end_of_turn>\n"},
      {"mistral", {"[INST]"}, "", "", "[INST] ", "[/INST]", " ", "</s>"},
      {"phi3",
       {"<|user|>", "<|end|>"},
       "<|system|>\n",
       "<|end|>\n",
       "<|user|>\n",
       "<|end|>\n",
       "<|assistant|>\n",
       "<|end|>\n"},
      {"zephyr",
       {"<|user|>"},
       "<|system|>\n",
       "</s>\n",
       "<|user|>\n",
       "</s>\n",
       "<|assistant|>\n",
       "</s>\n"},
  }};
  return kFormats;
}

}  // namespace

const ChatFormat* find_chat_format(std::string_view template_text) {
  for (const ChatFormat& format : formats()) {
    const auto present = [&](std::string_view m) {
      return template_text.find(m) != std::string_view::npos;
    };
    if (std::ranges::all_of(format.markers, present)) return &format;
  }
  return nullptr;
}

std::string known_chat_formats() {
  std::string out;
  for (const ChatFormat& format : formats()) {
    if (!out.empty()) out += ", ";
    out += format.name;
  }
  return out;
}

std::string render_chat(const ChatFormat& format, std::span<const ChatTurn> turns) {
  std::string out, carried;  // carried: system text that waits for a user turn
  const auto add = [&](std::string_view before, std::string_view content, std::string_view after) {
    out.append(before).append(content).append(after);
  };
  for (const ChatTurn& turn : turns) {
    if (turn.role == "assistant") {
      add(format.before_assistant, turn.content, format.after_assistant);
    } else if (turn.role == "system" || turn.role == "developer") {
      if (format.before_system.empty())
        carried += turn.content + "\n\n";
      else
        add(format.before_system, turn.content, format.after_system);
    } else {
      add(format.before_user, carried + turn.content, format.after_user);
      carried.clear();
    }
  }
  if (!carried.empty())
    add(format.before_user, carried.substr(0, carried.size() - 2), format.after_user);
  // Mistral's answers begin behind the blank that its tokens carry themselves.
  if (format.before_assistant != " ") out += format.before_assistant;
  return out;
}

}  // namespace cria::engine
