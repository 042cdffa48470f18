// runtime.h - what one render of a template may use up, and what it has made.
//
// A template is hostile: every loop, string and list is charged here before it exists.
#pragma once

#include "base/error.h"
#include "base/json.h"
#include "text/jinja/template.h"
#include "text/jinja/value.h"

#include <ctime>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace cria::jinja {

struct Routine;
struct Macro;
struct Frame;

// Something that can be called: a routine of ours, on `self` when it is a method, or a macro with
// the scope around it.
struct Function {
  std::string_view name;
  const Routine* routine = nullptr;
  Value self;
  const Macro* macro = nullptr;
  Frame* scope = nullptr;
};

// The variable `loop`.
struct Loop {
  List* items = nullptr;
  size_t count = 0, index = 0;
  List* changed = nullptr;  // what loop.changed saw last
};

class Runtime {
 public:
  explicit Runtime(const Limits& limits) : limits_(limits), memory_left_(limits.max_memory) {}
  Runtime(const Runtime&) = delete;
  Runtime& operator=(const Runtime&) = delete;

  Position at;  // of what runs now
  std::optional<std::tm> now;

  // Throws Error{kInvalidInput} "jinja:LINE:COLUMN: ...".
  template <class... Args>
  [[noreturn]] void error(fmt::format_string<Args...> text, Args&&... args) const {
    fail(ErrorKind::kInvalidInput, "jinja:{}:{}: {}", at.line, at.column,
         fmt::format(text, std::forward<Args>(args)...));
  }
  // Both throw Error{kTooLarge}.
  void step(size_t work = 1);
  void charge(size_t bytes);

  Value text(std::string_view s);  // a copy
  Value character(uint32_t code_point);
  List& list(size_t reserve = 0);
  void append(List& list, const Value& value);
  void insert(List& list, size_t before, const Value& value);
  Dict& dict();
  Function& function(const Function& function);
  Loop& loop(const Loop& loop);
  Value iterator(List& items);
  Value value(const Json& json);  // its texts stay where they are

  // Of a dict; null when it has no such key. `key` may be any value that Python can hash.
  Value* find(Dict& dict, const Value& key);
  void set(Dict& dict, const Value& key, const Value& value);

  const Limits& limits() const { return limits_; }

 private:
  char* allocate(size_t bytes);

  Limits limits_;
  int64_t steps_ = 0;
  size_t memory_left_;
  std::vector<std::unique_ptr<char[]>> blocks_;
  char* free_ = nullptr;
  size_t free_bytes_ = 0;
  std::deque<List> lists_;
  std::deque<Dict> dicts_;
  std::deque<Function> functions_;
  std::deque<Iterator> iterators_;
  std::deque<Loop> loops_;
};

// A text under construction, held below the limit on output.
class Text {
 public:
  explicit Text(Runtime& rt) : rt_(rt) {}
  void put(std::string_view s);
  void fill(std::string_view s, size_t times);
  std::string& string() { return text_; }
  std::string_view view() const { return text_; }
  size_t size() const { return text_.size(); }
  Value value() { return rt_.text(text_); }
  Runtime& runtime() { return rt_; }

 private:
  Runtime& rt_;
  std::string text_;
};

// Counts how deep a recursion is; one that follows the data or the program must end somewhere.
class Deeper {
 public:
  Deeper(const Runtime& rt, int& depth, int limit) : depth_(depth) {
    if (depth >= limit) rt.error("nested deeper than {} levels", limit);
    ++depth_;
  }
  ~Deeper() { --depth_; }
  Deeper(const Deeper&) = delete;
  Deeper& operator=(const Deeper&) = delete;

 private:
  int& depth_;
};

}  // namespace cria::jinja
