#include "text/jinja/value.h"

namespace cria::jinja {

Value Value::boolean(bool b) {
  Value v(Kind::kBool);
  v.data_.integer = b ? 1 : 0;
  return v;
}

Value Value::integer(int64_t i) {
  Value v(Kind::kInt);
  v.data_.integer = i;
  return v;
}

Value Value::number(double d) {
  Value v(Kind::kFloat);
  v.data_.number = d;
  return v;
}

Value Value::text(Kind kind, std::string_view s) {
  Value v(kind);
  v.data_.text.data = s.data();
  v.data_.text.size = s.size();
  return v;
}

Value Value::markup(std::string_view s) {
  Value v = borrowed(s);
  v.markup_ = true;
  return v;
}

Value Value::of(List* list, Sequence sequence) {
  Value v(Kind::kList);
  v.sequence_ = sequence;
  v.data_.list = list;
  return v;
}

Value Value::of(Dict* dict, Kind kind) {
  Value v(kind);
  v.data_.dict = dict;
  return v;
}

Value Value::of(Iterator* iterator) {
  Value v(Kind::kIterator);
  v.data_.iterator = iterator;
  return v;
}

Value Value::of(Function* function) {
  Value v(Kind::kFunction);
  v.data_.function = function;
  return v;
}

Value Value::of(Loop* loop) {
  Value v(Kind::kLoop);
  v.data_.loop = loop;
  return v;
}

bool Value::indexable() const {
  return list() && (sequence_ == Sequence::kList || sequence_ == Sequence::kTuple ||
                    sequence_ == Sequence::kRange || sequence_ == Sequence::kGroup);
}

bool Value::truth() const {
  switch (kind_) {
    case Kind::kMissing:
    case Kind::kUndefined:
    case Kind::kNone:
      return false;
    case Kind::kBool:
    case Kind::kInt:
      return data_.integer != 0;
    case Kind::kFloat:
      return data_.number != 0;
    case Kind::kString:
      return data_.text.size != 0;
    case Kind::kList:
      return !data_.list->items.empty();
    case Kind::kDict:
      return !data_.dict->items.empty();
    default:
      return true;
  }
}

std::string_view Value::type_name() const {
  switch (kind_) {
    case Kind::kMissing:
    case Kind::kUndefined:
      return "Undefined";
    case Kind::kNone:
      return "NoneType";
    case Kind::kBool:
      return "bool";
    case Kind::kInt:
      return "int";
    case Kind::kFloat:
      return "float";
    case Kind::kString:
      return "str";
    case Kind::kList: {
      constexpr std::string_view kNames[] = {"list",        "tuple",      "range", "dict_keys",
                                             "dict_values", "dict_items", "tuple"};
      return kNames[static_cast<size_t>(sequence_)];
    }
    case Kind::kDict:
      return "dict";
    case Kind::kNamespace:
      return "Namespace";
    case Kind::kIterator:
      return "generator";
    case Kind::kFunction:
      return "function";
    case Kind::kLoop:
      return "LoopContext";
  }
  return "";
}

bool Value::same_object(const Value& other) const {
  if (kind_ != other.kind_) return false;
  switch (kind_) {
    case Kind::kMissing:
    case Kind::kNone:
      return true;
    case Kind::kBool:
    case Kind::kInt:
      return data_.integer == other.data_.integer;
    case Kind::kFloat:
      return data_.number == other.data_.number;
    case Kind::kUndefined:
    case Kind::kString:
      return as_text() == other.as_text();
    default:
      return data_.list == other.data_.list;
  }
}

const Value* Dict::find(std::string_view key) const {
  for (const auto& [name, value] : items)
    if (name.string() && name.as_text() == key) return &value;
  return nullptr;
}

}  // namespace cria::jinja
