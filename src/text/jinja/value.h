// value.h - what a Jinja template computes with: Python's values, as far as chat templates know
// them.
//
// A value owns nothing and is copied freely. What it points to belongs to the Runtime that made it,
// or to the JSON the caller gave, and is freed with that, all at once: cycles and deep nesting need
// no care.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

namespace cria::jinja {

struct Position {
  int line = 1, column = 1;  // 1-based, column in bytes
};

enum class Kind : uint8_t {
  kMissing,    // an argument that was not given; no program sees it
  kUndefined,  // text: the name that was looked for
  kNone,
  kBool,
  kInt,
  kFloat,
  kString,
  kList,  // and other sequences, told apart by Sequence
  kDict,
  kNamespace,
  kIterator,  // can be gone through once
  kFunction,
  kLoop,
};

enum class Sequence : uint8_t { kList, kTuple, kRange, kKeys, kValues, kItems, kGroup };

struct List;
struct Dict;
struct Iterator;
struct Function;
struct Loop;

class Value {
 public:
  Value() = default;
  static Value undefined(std::string_view name) { return text(Kind::kUndefined, name); }
  static Value none() { return Value(Kind::kNone); }
  static Value boolean(bool b);
  static Value integer(int64_t i);
  static Value number(double d);
  static Value borrowed(std::string_view s) { return text(Kind::kString, s); }  // not copied
  // Text that needs no escaping: what is added to it by "+" gets escaped, as in the original. The
  // filters safe and escape make it; it does not survive other filters and methods.
  static Value markup(std::string_view s);
  static Value of(List* list, Sequence sequence = Sequence::kList);
  static Value of(Dict* dict, Kind kind = Kind::kDict);
  static Value of(Iterator* iterator);
  static Value of(Function* function);
  static Value of(Loop* loop);

  Kind kind() const { return kind_; }
  bool is(Kind kind) const { return kind_ == kind; }
  bool missing() const { return kind_ == Kind::kMissing; }
  bool undefined() const { return kind_ == Kind::kUndefined; }
  bool none_or_missing() const { return kind_ == Kind::kMissing || kind_ == Kind::kNone; }
  bool string() const { return kind_ == Kind::kString; }
  bool markup() const { return string() && markup_; }
  bool list() const { return kind_ == Kind::kList; }
  bool dict() const { return kind_ == Kind::kDict; }
  bool integral() const { return kind_ == Kind::kInt || kind_ == Kind::kBool; }
  bool numeric() const { return integral() || kind_ == Kind::kFloat; }
  Sequence sequence() const { return sequence_; }
  bool indexable() const;  // list, tuple, range: not the views of a dict

  bool as_bool() const { return data_.integer != 0; }
  int64_t as_int() const { return data_.integer; }  // of a bool, too
  double as_float() const {                         // of any number
    return kind_ == Kind::kFloat ? data_.number : static_cast<double>(data_.integer);
  }
  std::string_view as_text() const { return {data_.text.data, data_.text.size}; }
  List& as_list() const { return *data_.list; }
  Dict& as_dict() const { return *data_.dict; }
  Iterator& as_iterator() const { return *data_.iterator; }
  Function& as_function() const { return *data_.function; }
  Loop& as_loop() const { return *data_.loop; }

  bool truth() const;
  std::string_view type_name() const;          // Python's: "str"
  bool same_object(const Value& other) const;  // Python's `is`

 private:
  explicit Value(Kind kind) : kind_(kind) {}
  static Value text(Kind kind, std::string_view s);

  union Data {
    int64_t integer;
    double number;
    struct {
      const char* data;
      size_t size;
    } text;
    List* list;
    Dict* dict;
    Iterator* iterator;
    Function* function;
    Loop* loop;
  };
  Data data_ = {};
  Kind kind_ = Kind::kMissing;
  Sequence sequence_ = Sequence::kList;
  bool markup_ = false;
};

struct List {
  std::vector<Value> items;
  std::array<int64_t, 3> range = {};  // start, stop and step of a range, for printing
};

// In the order of insertion. Small, as messages and tools are: a lookup goes through all entries.
struct Dict {
  std::vector<std::pair<Value, Value>> items;
  const Value* find(std::string_view key) const;
};

struct Iterator {
  List* items;
  size_t next = 0;
};

}  // namespace cria::jinja
