#include "text/template/value.h"

#include <algorithm>

namespace cria::text {

Value Value::nil() {
  Value v;
  v.kind_ = Kind::kNil;
  return v;
}

Value Value::boolean(bool b) {
  Value v;
  v.kind_ = Kind::kBool;
  v.data_ = b;
  return v;
}

Value Value::integer(int64_t i) {
  Value v;
  v.kind_ = Kind::kInt;
  v.data_ = i;
  return v;
}

Value Value::number(double d) {
  Value v;
  v.kind_ = Kind::kFloat;
  v.data_ = d;
  return v;
}

Value Value::string(std::string s) {
  Value v;
  v.kind_ = Kind::kString;
  v.data_ = std::make_shared<const std::string>(std::move(s));
  return v;
}

Value Value::list(ValueList items, TextForm form) {
  Value v;
  v.kind_ = Kind::kList;
  v.form_ = form;
  const size_t n = items.size();
  v.data_ = List{std::make_shared<const ValueList>(std::move(items)), 0, n};
  return v;
}

Value Value::map(ValueMap items, TextForm form) {
  std::sort(items.begin(), items.end(),
            [](const auto& a, const auto& b) { return a.first < b.first; });
  ValueMap unique;
  unique.reserve(items.size());
  for (auto& item : items) {
    if (!unique.empty() && unique.back().first == item.first) {
      unique.back() = std::move(item);
    } else {
      unique.push_back(std::move(item));
    }
  }
  Value v;
  v.kind_ = Kind::kMap;
  v.form_ = form;
  v.data_ = std::make_shared<const ValueMap>(std::move(unique));
  return v;
}

Value Value::structure(StructValue s) {
  Value v;
  v.kind_ = Kind::kStruct;
  v.form_ = s.form;
  v.data_ = std::make_shared<const StructValue>(std::move(s));
  return v;
}

Value Value::from_json(const Json& json) {
  switch (json.type()) {
    case Json::value_t::boolean:
      return boolean(json.get<bool>());
    case Json::value_t::number_integer:
    case Json::value_t::number_unsigned:
    case Json::value_t::number_float:
      return number(json.get<double>());
    case Json::value_t::string:
      return string(json.get_ref<const std::string&>());
    case Json::value_t::array: {
      ValueList items;
      items.reserve(json.size());
      for (const Json& item : json) items.push_back(from_json(item));
      return list(std::move(items));
    }
    case Json::value_t::object: {
      ValueMap items;
      items.reserve(json.size());
      for (const auto& [key, item] : json.items()) items.emplace_back(key, from_json(item));
      return map(std::move(items));
    }
    default:
      return nil();
  }
}

size_t Value::list_size() const {
  const List& l = std::get<List>(data_);
  return l.end - l.begin;
}

const Value& Value::list_at(size_t i) const {
  const List& l = std::get<List>(data_);
  return (*l.items)[l.begin + i];
}

Value Value::list_slice(size_t begin, size_t end) const {
  Value v = *this;
  List& l = std::get<List>(v.data_);
  const size_t base = l.begin;
  l.begin = base + begin;
  l.end = base + end;
  return v;
}

const Value* Value::find(std::string_view key) const {
  const ValueMap& m = as_map();
  auto it = std::lower_bound(m.begin(), m.end(), key,
                             [](const auto& item, std::string_view k) { return item.first < k; });
  return it != m.end() && it->first == key ? &it->second : nullptr;
}

bool Value::truth() const {
  switch (kind_) {
    case Kind::kMissing:
    case Kind::kNil:
      return false;
    case Kind::kBool:
      return as_bool();
    case Kind::kInt:
      return as_int() != 0;
    case Kind::kFloat:
      return as_float() != 0;
    case Kind::kString:
      return !as_string().empty();
    case Kind::kList:
      return list_size() != 0;
    case Kind::kMap:
      return !as_map().empty();
    case Kind::kStruct:
      return true;
  }
  return false;
}

std::string Value::type_name() const {
  switch (kind_) {
    case Kind::kMissing:
    case Kind::kNil:
      return "<nil>";
    case Kind::kBool:
      return "bool";
    case Kind::kInt:
      return "int";
    case Kind::kFloat:
      return "float64";
    case Kind::kString:
      return "string";
    case Kind::kList:
      return "[]interface {}";
    case Kind::kMap:
      return "map[string]interface {}";
    case Kind::kStruct:
      return as_struct().type;
  }
  return "";
}

}  // namespace cria::text
