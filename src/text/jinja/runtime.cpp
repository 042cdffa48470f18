#include "text/jinja/runtime.h"

#include "text/jinja/operators.h"
#include "text/tokenizer/unicode.h"

#include <algorithm>
#include <cstring>

namespace cria::jinja {

namespace {
constexpr size_t kBlockBytes = size_t{32} << 10;
constexpr size_t kBytesPerStep = 64;  // long texts cost time, too
constexpr int kMaxJsonDepth = 200;
}  // namespace

void Runtime::step(size_t work) {
  steps_ += static_cast<int64_t>(std::max<size_t>(work, 1));
  if (steps_ > limits_.max_steps)
    fail(ErrorKind::kTooLarge, "jinja:{}:{}: the template takes more than {} steps", at.line,
         at.column, limits_.max_steps);
}

void Runtime::charge(size_t bytes) {
  if (bytes > memory_left_)
    fail(ErrorKind::kTooLarge, "jinja:{}:{}: the template makes more than {} bytes of values",
         at.line, at.column, limits_.max_memory);
  memory_left_ -= bytes;
  if (bytes >= kBytesPerStep) step(bytes / kBytesPerStep);
}

char* Runtime::allocate(size_t bytes) {
  charge(bytes);
  if (bytes > free_bytes_) {
    const size_t size = std::max(bytes, kBlockBytes);
    blocks_.push_back(std::make_unique_for_overwrite<char[]>(size));
    if (size > bytes + free_bytes_) {  // the larger rest is the better one to go on with
      free_ = blocks_.back().get() + bytes;
      free_bytes_ = size - bytes;
    }
    return blocks_.back().get();
  }
  free_bytes_ -= bytes;
  return std::exchange(free_, free_ + bytes);
}

Value Runtime::text(std::string_view s) {
  if (s.empty()) return Value::borrowed("");
  char* copy = allocate(s.size());
  std::memcpy(copy, s.data(), s.size());
  return Value::borrowed({copy, s.size()});
}

Value Runtime::character(uint32_t code_point) {
  std::string s;
  append_utf8(s, code_point);
  return text(s);
}

List& Runtime::list(size_t reserve) {
  charge(sizeof(List) + reserve * sizeof(Value));
  List& made = lists_.emplace_back();
  made.items.reserve(reserve);
  return made;
}

void Runtime::append(List& list, const Value& value) {
  if (list.items.size() == list.items.capacity()) charge((list.items.size() + 1) * sizeof(Value));
  list.items.push_back(value);
}

void Runtime::insert(List& list, size_t before, const Value& value) {
  charge((list.items.size() + 1) * sizeof(Value));
  list.items.insert(list.items.begin() + static_cast<std::ptrdiff_t>(before), value);
}

Dict& Runtime::dict() {
  charge(sizeof(Dict));
  return dicts_.emplace_back();
}

Function& Runtime::function(const Function& function) {
  charge(sizeof(Function));
  return functions_.emplace_back(function);
}

Loop& Runtime::loop(const Loop& loop) {
  charge(sizeof(Loop));
  return loops_.emplace_back(loop);
}

Value Runtime::iterator(List& items) {
  charge(sizeof(Iterator));
  return Value::of(&iterators_.emplace_back(Iterator{&items}));
}

Value* Runtime::find(Dict& dict, const Value& key) {
  step(1 + dict.items.size() / 16);
  if (key.string()) return const_cast<Value*>(dict.find(key.as_text()));
  check_hashable(*this, key);
  for (auto& [name, value] : dict.items)
    if (equal(*this, name, key)) return &value;
  return nullptr;
}

void Runtime::set(Dict& dict, const Value& key, const Value& value) {
  if (Value* found = find(dict, key)) {
    *found = value;
    return;
  }
  if (dict.items.size() == dict.items.capacity())
    charge((dict.items.size() + 1) * 2 * sizeof(Value));
  dict.items.emplace_back(key, value);
}

Value Runtime::value(const Json& json) {
  int depth = 0;
  const auto convert = [&](const auto& self, const Json& j) -> Value {
    const Deeper deeper(*this, depth, kMaxJsonDepth);
    switch (j.type()) {
      case Json::value_t::boolean:
        return Value::boolean(j.get<bool>());
      case Json::value_t::number_integer:
        return Value::integer(j.get<int64_t>());
      case Json::value_t::number_unsigned: {
        // Python's integers have no end; ours become floats there.
        const auto number = j.get<uint64_t>();
        return number <= uint64_t{INT64_MAX} ? Value::integer(static_cast<int64_t>(number))
                                             : Value::number(static_cast<double>(number));
      }
      case Json::value_t::number_float:
        return Value::number(j.get<double>());
      case Json::value_t::string:
        return Value::borrowed(j.get_ref<const std::string&>());
      case Json::value_t::array: {
        List& made = list(j.size());
        for (const Json& item : j) made.items.push_back(self(self, item));
        return Value::of(&made);
      }
      case Json::value_t::object: {
        Dict& made = dict();
        charge(j.size() * 2 * sizeof(Value));
        made.items.reserve(j.size());
        for (const auto& [key, item] : j.get_ref<const Json::object_t&>())
          made.items.emplace_back(Value::borrowed(key), self(self, item));
        return Value::of(&made);
      }
      default:
        return Value::none();
    }
  };
  return convert(convert, json);
}

void Text::put(std::string_view s) {
  if (s.size() > rt_.limits().max_output - text_.size())
    fail(ErrorKind::kTooLarge, "jinja:{}:{}: the template writes more than {} bytes", rt_.at.line,
         rt_.at.column, rt_.limits().max_output);
  text_.append(s);
}

void Text::fill(std::string_view s, size_t times) {
  if (s.empty()) return;
  if (times > rt_.limits().max_output / s.size()) times = rt_.limits().max_output / s.size() + 1;
  for (; times > 0; --times) put(s);
}

}  // namespace cria::jinja
