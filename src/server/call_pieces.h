// call_pieces.h - the tool calls of one answer as streams tell them: who is called, then the text
// of the arguments in pieces.
#pragma once

#include "base/json.h"
#include "protocol/protocol.h"

#include <cstdint>
#include <string>
#include <vector>

namespace cria::server {

struct CallPiece {
  int64_t number = 0;     // of the call in this answer, from 0
  bool begins = false;    // says who is called
  std::string id, name;   // where it begins
  std::string arguments;  // what comes next of their text
  bool last = false;      // they are whole; a call without such a piece broke off
};

class CallPieces {
 public:
  // `single`: what follows the first whole call is dropped.
  explicit CallPieces(bool single = false) : single_(single) {}
  // A call that the runner tells whole is one piece.
  std::vector<CallPiece> add(const protocol::Text& text);
  bool called() const { return called_; }  // there was a whole call

 private:
  bool single_, called_ = false;
  int64_t begun_ = 0;
};

}  // namespace cria::server
