// call_search.h - the next tool call in what a model writes, while it is being written.
//
// A call is the name of an offered tool, anywhere in the text, and the first object that is JSON.
// The text grows by small pieces, so each byte is looked at once: a search goes on where the last
// one ended.
#pragma once

#include "base/json.h"

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace cria::text {

class CallSearch {
 public:
  struct Call {
    std::string name;
    Json arguments;
    size_t end;  // of its text
  };

  explicit CallSearch(std::vector<std::string> names) : names_(std::move(names)) { reset(); }
  // `text` begins behind the last call and has grown, or stayed, since. `last`: nothing follows, so
  // a name at the end is no beginning of a longer one. A search that has found something begins
  // anew.
  std::optional<Call> next(std::string_view text, bool last);
  void reset();
  const std::vector<std::string>& names() const { return names_; }

 private:
  struct Object {  // being looked for
    size_t begin = 0, read = 0;
    size_t depth = 0;  // of open braces; 0: it has not begun
    bool in_string = false, escaped = false;
    size_t tried = 0;  // bytes of what was no JSON
    std::optional<Json> json;
    bool useless = false;  // it names a tool, but has no arguments
  };
  std::optional<size_t> first_name(std::string_view text, bool last);
  bool find_object(std::string_view text);
  bool close_object(std::string_view text);

  std::vector<std::string> names_;
  std::vector<size_t> at_;  // where each name first stands, npos: nowhere
  size_t searched_ = 0;     // bytes of the text, for names
  Object object_;
};

}  // namespace cria::text
