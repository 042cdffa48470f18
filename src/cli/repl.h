// repl.h - the interactive prompt: chat turns, slash commands, """ blocks.
#pragma once

#include "base/json.h"
#include "cli/answer.h"
#include "cli/api_client.h"

#include <string>
#include <vector>

namespace cria::cli {

struct Session {
  std::string model;
  std::string parent;             // what /save builds from
  Json options = Json::object();  // set by /set parameter
  Json messages = Json::array();
  Json stored = Json::array();     // the model's own MESSAGE lines
  Json info = Json::object();      // the answer of /api/show
  Json format, think, keep_alive;  // null: as the model has it
  std::string system;
  AnswerStyle style;
};

int run_repl(const ApiClient& client, Session session);

// "/set parameter stop a b" -> {"/set", "parameter", "stop", "a", "b"}.
std::vector<std::string> split_words(const std::string& line);
bool has_capability(const Json& info, std::string_view name);
bool takes_files(const Json& info);  // images or sounds

}  // namespace cria::cli
