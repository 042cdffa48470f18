// value.h - what a template computes with: Go's view of JSON, and of the structs Ollama passes.
//
// Values are immutable and cheap to copy. Numbers that come from JSON are floats, as Go decodes
// them; integers come from literals, len and range. A missing map key gives "no value", a JSON null
// "nil": Go tells them apart when a field of them is read.
#pragma once

#include "base/json.h"

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace cria::text {

class Value;
using ValueList = std::vector<Value>;
using ValueMap = std::vector<std::pair<std::string, Value>>;  // sorted by key, no duplicates

struct StructValue;

// How a list, map or struct prints itself; elements inside keep their own form.
enum class TextForm : uint8_t {
  kGo,            // [a b], map[k:v], {f1 f2}
  kJson,          // as its JSON
  kPropertyType,  // a list of type names: a single one prints (and is JSON) bare
};

class Value {
 public:
  enum class Kind : uint8_t { kMissing, kNil, kBool, kInt, kFloat, kString, kList, kMap, kStruct };

  Value() = default;  // missing
  static Value nil();
  static Value boolean(bool b);
  static Value integer(int64_t i);
  static Value number(double d);
  static Value string(std::string s);
  static Value list(ValueList items, TextForm form = TextForm::kGo);
  static Value map(ValueMap items,
                   TextForm form = TextForm::kGo);  // sorts; of equal keys one stays
  static Value structure(StructValue s);
  static Value from_json(const Json& json);

  Kind kind() const { return kind_; }
  TextForm form() const { return form_; }
  bool absent() const { return kind_ == Kind::kMissing || kind_ == Kind::kNil; }
  bool as_bool() const { return std::get<bool>(data_); }
  int64_t as_int() const { return std::get<int64_t>(data_); }
  double as_float() const { return std::get<double>(data_); }
  const std::string& as_string() const { return *std::get<Text>(data_); }
  size_t list_size() const;
  const Value& list_at(size_t i) const;
  Value list_slice(size_t begin, size_t end) const;  // shares the items
  const ValueMap& as_map() const { return *std::get<Map>(data_); }
  const StructValue& as_struct() const { return *std::get<Struct>(data_); }
  const Value* find(std::string_view key) const;  // of a map; null when there is no such key

  bool truth() const;
  std::string type_name() const;  // Go's: "map[string]interface {}"

 private:
  using Text = std::shared_ptr<const std::string>;
  using Map = std::shared_ptr<const ValueMap>;
  using Struct = std::shared_ptr<const StructValue>;
  struct List {
    std::shared_ptr<const ValueList> items;
    size_t begin, end;
  };
  Kind kind_ = Kind::kMissing;
  TextForm form_ = TextForm::kGo;
  std::variant<std::monostate, bool, int64_t, double, Text, List, Map, Struct> data_;
};

struct StructField {
  std::string name;  // .Name
  std::string json;  // key in JSON
  bool omit_empty;   // left out of JSON when empty
  Value value;
};

struct StructValue {
  std::string type;  // for messages: "api.Message"
  std::vector<StructField> fields;
  TextForm form = TextForm::kGo;
};

}  // namespace cria::text
