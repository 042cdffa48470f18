// answer.h - prints an answer while it arrives: thinking, text, word wrap, statistics.
#pragma once

#include "base/json.h"
#include "cli/api_client.h"
#include "cli/interrupt.h"

#include <string>

namespace cria::cli {

struct AnswerStyle {
  bool word_wrap = true;
  bool hide_thinking = false;
  bool verbose = false;
};

struct Answer {
  std::string content, thinking;
  bool cancelled = false;
};

// Posts `request` to /api/generate or /api/chat and prints to stdout. Ctrl-C closes the request.
Answer print_answer(const ApiClient& client, const std::string& path, const Json& request,
                    const AnswerStyle& style);

}  // namespace cria::cli
