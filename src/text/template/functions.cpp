#include "text/template/functions.h"

#include "base/error.h"
#include "text/template/format.h"
#include "text/template/lexer.h"
#include "text/template/literal.h"

#include <algorithm>
#include <chrono>
#include <ctime>
#include <limits>

namespace cria::text {

namespace {

using Kind = Value::Kind;
using Arguments = std::span<const Value>;

constexpr size_t kAny = std::numeric_limits<size_t>::max();

[[noreturn]] void call_error(const Call& call, std::string_view why) {
  template_error(call.at, fmt::format("error calling {}: {}", call.name, why));
}

bool is_basic(const Value& v) {
  return v.kind() == Kind::kBool || v.kind() == Kind::kInt || v.kind() == Kind::kFloat ||
         v.kind() == Kind::kString;
}

bool same(const Value& a, const Value& b) {
  switch (a.kind()) {
    case Kind::kBool:
      return a.as_bool() == b.as_bool();
    case Kind::kInt:
      return a.as_int() == b.as_int();
    case Kind::kFloat:
      return a.as_float() == b.as_float();
    default:
      return a.as_string() == b.as_string();
  }
}

bool equal(const Call& call, const Value& a, const Value& b) {
  if (a.absent() || b.absent()) return a.absent() && b.absent();
  if (!is_basic(a) && !is_basic(b))
    call_error(call, fmt::format("non-comparable type {}", a.type_name()));
  if (a.kind() != b.kind()) call_error(call, "incompatible types for comparison");
  return same(a, b);
}

Value eq(const Call& call, Arguments a) {
  if (a.size() < 2) call_error(call, "missing argument for comparison");
  for (const Value& other : a.subspan(1)) {
    if (equal(call, a[0], other)) return Value::boolean(true);
  }
  return Value::boolean(false);
}

Value ne(const Call& call, Arguments a) {
  return Value::boolean(!equal(call, a[0], a[1]));
}

bool less(const Call& call, const Value& a, const Value& b) {
  if (!is_basic(a) || !is_basic(b)) call_error(call, "invalid type for comparison");
  if (a.kind() != b.kind()) call_error(call, "incompatible types for comparison");
  switch (a.kind()) {
    case Kind::kInt:
      return a.as_int() < b.as_int();
    case Kind::kFloat:
      return a.as_float() < b.as_float();
    case Kind::kString:
      return a.as_string() < b.as_string();
    default:
      call_error(call, "invalid type for comparison");
  }
}

Value lt(const Call& call, Arguments a) {
  return Value::boolean(less(call, a[0], a[1]));
}
Value le(const Call& call, Arguments a) {
  return Value::boolean(less(call, a[0], a[1]) || equal(call, a[0], a[1]));
}
Value gt(const Call& call, Arguments a) {
  return Value::boolean(!less(call, a[0], a[1]) && !equal(call, a[0], a[1]));
}
Value ge(const Call& call, Arguments a) {
  return Value::boolean(!less(call, a[0], a[1]));
}

Value not_(const Call&, Arguments a) {
  return Value::boolean(!a[0].truth());
}

size_t position(const Call& call, const Value& index, size_t limit) {
  if (index.absent()) call_error(call, "cannot index slice/array with nil");
  if (index.kind() != Kind::kInt) {
    call_error(call, fmt::format("cannot index slice/array with type {}", index.type_name()));
  }
  if (index.as_int() < 0 || static_cast<uint64_t>(index.as_int()) > limit) {
    call_error(call, fmt::format("index out of range: {}", index.as_int()));
  }
  return static_cast<size_t>(index.as_int());
}

Value index_one(const Call& call, const Value& item, const Value& index) {
  if (item.kind() == Kind::kList || item.kind() == Kind::kString) {
    const bool list = item.kind() == Kind::kList;
    const size_t size = list ? item.list_size() : item.as_string().size();
    const size_t i = position(call, index, size);
    if (i >= size) call_error(call, fmt::format("index out of range: {}", i));
    if (list) return item.list_at(i);
    return Value::integer(static_cast<unsigned char>(item.as_string()[i]));
  }
  if (item.kind() == Kind::kMap) {
    if (index.kind() != Kind::kString) {
      call_error(call, fmt::format("value has type {}; should be string", index.type_name()));
    }
    const Value* found = item.find(index.as_string());
    return found ? *found : Value::nil();
  }
  if (item.absent()) call_error(call, "index of nil pointer");
  call_error(call, fmt::format("can't index item of type {}", item.type_name()));
}

Value index(const Call& call, Arguments a) {
  if (a[0].absent()) call_error(call, "index of untyped nil");
  Value item = a[0];
  for (const Value& i : a.subspan(1)) item = index_one(call, item, i);
  return item;
}

Value slice(const Call& call, Arguments a) {
  if (a[0].absent()) call_error(call, "slice of untyped nil");
  const bool list = a[0].kind() == Kind::kList;
  if (!list && a[0].kind() != Kind::kString) {
    call_error(call, fmt::format("can't slice item of type {}", a[0].type_name()));
  }
  if (!list && a.size() == 4) call_error(call, "cannot 3-index slice a string");
  const size_t size = list ? a[0].list_size() : a[0].as_string().size();
  const size_t begin = a.size() > 1 ? position(call, a[1], size) : 0;
  const size_t end = a.size() > 2 ? position(call, a[2], size) : size;
  const size_t capacity = a.size() > 3 ? position(call, a[3], size) : size;
  if (begin > end) call_error(call, fmt::format("invalid slice index: {} > {}", begin, end));
  if (end > capacity) call_error(call, fmt::format("invalid slice index: {} > {}", end, capacity));
  return list ? a[0].list_slice(begin, end)
              : Value::string(a[0].as_string().substr(begin, end - begin));
}

Value len(const Call& call, Arguments a) {
  const auto count = [](size_t n) { return Value::integer(static_cast<int64_t>(n)); };
  switch (a[0].kind()) {
    case Kind::kString:
      return count(a[0].as_string().size());
    case Kind::kList:
      return count(a[0].list_size());
    case Kind::kMap:
      return count(a[0].as_map().size());
    case Kind::kMissing:
    case Kind::kNil:
      call_error(call, "len of nil pointer");
    default:
      call_error(call, fmt::format("len of type {}", a[0].type_name()));
  }
}

Value call_(const Call& call, Arguments a) {
  if (a[0].absent()) call_error(call, "call of nil");
  call_error(call, fmt::format("non-function of type {}", a[0].type_name()));
}

Value print_(const Call& call, Arguments a) {
  Output out(call.limit);
  print(out, a);
  return Value::string(out.take());
}

Value println_(const Call& call, Arguments a) {
  Output out(call.limit);
  println(out, a);
  return Value::string(out.take());
}

Value printf_(const Call& call, Arguments a) {
  Output out(call.limit);
  printf(out, a[0].as_string(), a.subspan(1));
  return Value::string(out.take());
}

// What html, js and urlquery escape: their arguments as print shows them.
std::string joined(const Call& call, Arguments a) {
  ValueList shown(a.begin(), a.end());
  for (Value& v : shown) {
    if (v.absent()) v = Value::string("<no value>");
  }
  Output out(call.limit);
  print(out, shown);
  return out.take();
}

Value html(const Call& call, Arguments a) {
  Output out(call.limit);
  for (char c : joined(call, a)) {
    switch (c) {
      case '<':
        out.put("&lt;");
        break;
      case '>':
        out.put("&gt;");
        break;
      case '&':
        out.put("&amp;");
        break;
      case '"':
        out.put("&#34;");
        break;
      case '\'':
        out.put("&#39;");
        break;
      case '\0':
        out.put("\xef\xbf\xbd");
        break;
      default:
        out.put(std::string_view(&c, 1));
    }
  }
  return Value::string(out.take());
}

Value js(const Call& call, Arguments a) {
  Output out(call.limit);
  const std::string s = joined(call, a);
  for (size_t i = 0; i < s.size();) {
    const size_t begin = i;
    const char32_t c = next_utf8(s, i);
    if (c == '\\' || c == '\'' || c == '"') {
      out.put("\\");
      out.put(s.substr(begin, 1));
    } else if (c == '<' || c == '>' || c == '&' || c == '=' || c < 0x20 ||
               (c >= 0x80 && !is_printable(c))) {
      out.put(fmt::format("\\u{:04X}", static_cast<uint32_t>(c)));
    } else {
      out.put(std::string_view(s).substr(begin, i - begin));
    }
  }
  return Value::string(out.take());
}

Value urlquery(const Call& call, Arguments a) {
  Output out(call.limit);
  for (char c : joined(call, a)) {
    const bool plain = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                       c == '-' || c == '_' || c == '.' || c == '~';
    if (plain) {
      out.put(std::string_view(&c, 1));
    } else if (c == ' ') {
      out.put("+");
    } else {
      out.put(fmt::format("%{:02X}", static_cast<unsigned char>(c)));
    }
  }
  return Value::string(out.take());
}

Value json(const Call& call, Arguments a) {
  Output out(call.limit);
  put_json(out, a[0]);
  return Value::string(out.take());
}

Value date(int days) {
  std::time_t t = std::time(nullptr);
  std::tm local{};
  localtime_r(&t, &local);
  local.tm_mday += days;
  local.tm_hour = 12;  // far from any change of daylight saving time
  local.tm_isdst = -1;
  std::mktime(&local);
  return Value::string(
      fmt::format("{:04}-{:02}-{:02}", local.tm_year + 1900, local.tm_mon + 1, local.tm_mday));
}

Value current_date(const Call&, Arguments) {
  return date(0);
}
Value yesterday_date(const Call&, Arguments) {
  return date(-1);
}

const Value* struct_field(const Value& v, std::string_view name) {
  if (v.kind() != Kind::kStruct) return nullptr;
  for (const StructField& f : v.as_struct().fields) {
    if (f.name == name) return &f.value;
  }
  return nullptr;
}

std::string_view typescript_name(std::string_view type) {
  if (type == "string" || type == "boolean" || type == "null") return type;
  if (type == "number" || type == "integer") return "number";
  if (type == "array") return "any[]";
  if (type == "object") return "Record<string, any>";
  return "any";
}

std::string typescript(const Value& property) {
  std::string text;
  const auto add = [&](std::string_view part) {
    if (!text.empty()) text += " | ";
    text += part;
  };
  const Value* any_of = struct_field(property, "AnyOf");
  if (any_of && any_of->kind() == Kind::kList && any_of->list_size() > 0) {
    for (size_t i = 0; i < any_of->list_size(); ++i) add(typescript(any_of->list_at(i)));
    return text;
  }
  const Value* type = struct_field(property, "Type");
  if (!type || type->kind() != Kind::kList || type->list_size() == 0) return "any";
  for (size_t i = 0; i < type->list_size(); ++i) {
    const Value& t = type->list_at(i);
    add(t.kind() == Kind::kString ? typescript_name(t.as_string()) : "any");
  }
  return text;
}

Value to_typescript_type(const Call&, Arguments a) {
  return Value::string(typescript(a[0]));
}

constexpr Function kFunctions[] = {
    {"and", 1, kAny, false, nullptr},
    {"call", 1, kAny, false, call_},
    {"currentDate", 0, kAny, false, current_date},
    {"eq", 1, kAny, false, eq},
    {"ge", 2, 2, false, ge},
    {"gt", 2, 2, false, gt},
    {"html", 0, kAny, false, html},
    {"index", 1, kAny, false, index},
    {"js", 0, kAny, false, js},
    {"json", 1, 1, false, json},
    {"le", 2, 2, false, le},
    {"len", 1, 1, false, len},
    {"lt", 2, 2, false, lt},
    {"ne", 2, 2, false, ne},
    {"not", 1, 1, false, not_},
    {"or", 1, kAny, false, nullptr},
    {"print", 0, kAny, false, print_},
    {"printf", 1, kAny, true, printf_},
    {"println", 0, kAny, false, println_},
    {"slice", 1, 4, false, slice},
    {"toTypeScriptType", 1, 1, false, to_typescript_type},
    {"urlquery", 0, kAny, false, urlquery},
    {"yesterdayDate", 0, kAny, false, yesterday_date},
};

}  // namespace

const Function* find_function(std::string_view name) {
  for (const Function& f : kFunctions) {
    if (f.name == name) return &f;
  }
  return nullptr;
}

}  // namespace cria::text
