// printf.cpp - Go's Printf, Print and Println. A wrong verb or count never fails: it shows in the
// text.
#include "text/template/format.h"
#include "text/template/literal.h"
#include "text/template/printer.h"

#include <charconv>
#include <optional>

namespace cria::text {

namespace {

using Kind = Value::Kind;

constexpr int kMaxWidth = 1'000'000;  // Go ignores a larger one

// Walks a format: flags, [n] indexes, * and numbers, verbs.
class Formatter {
 public:
  Formatter(Output& out, std::string_view format, std::span<const Value> values)
      : out_(out), format_(format), values_(values) {}

  void run() {
    while (at_ < format_.size()) {
      const size_t percent = std::min(format_.find('%', at_), format_.size());
      out_.put(format_.substr(at_, percent - at_));
      at_ = percent + 1;
      if (percent < format_.size()) one();
    }
    if (!reordered_ && next_ < values_.size()) extra();
  }

 private:
  void one() {
    Printer p(out_);
    good_index_ = true;
    indexed_ = false;
    flags(p);
    index();
    if (more() && format_[at_] == '*') {
      ++at_;
      p.width = argument_number("%!(BADWIDTH)");
      if (p.width && *p.width < 0) {
        p.width = -*p.width;
        p.minus = true;
      }
      indexed_ = false;
    } else {
      p.width = number();
      if (indexed_ && p.width) good_index_ = false;  // %[3]2d
    }
    if (at_ + 1 < format_.size() && format_[at_] == '.') {
      ++at_;
      if (indexed_) good_index_ = false;
      index();
      if (more() && format_[at_] == '*') {
        ++at_;
        p.precision = argument_number("%!(BADPREC)", 0);
        indexed_ = false;
      } else {
        p.precision = number().value_or(0);
      }
    }
    if (!indexed_) index();
    verb(p);
  }

  void verb(Printer& p) {
    if (!more()) return out_.put("%!(NOVERB)");
    const char32_t v = next_utf8(format_, at_);
    std::string name = "%!";
    append_utf8(name, v);
    if (v == '%') return out_.put("%");
    if (!good_index_) return out_.put(name + "(BADINDEX)");
    if (next_ >= values_.size()) return out_.put(name + "(MISSING)");
    if (v == 'v' || v == 'w') {
      p.go_syntax = std::exchange(p.sharp, false);
      p.field_names = std::exchange(p.plus, false);
    }
    p.value(values_[next_++], v);
  }

  void flags(Printer& p) {
    for (; more(); ++at_) {
      switch (format_[at_]) {
        case '#':
          p.sharp = true;
          break;
        case '0':
          p.zero = true;
          break;
        case '+':
          p.plus = true;
          break;
        case '-':
          p.minus = true;
          break;
        case ' ':
          p.space = true;
          break;
        default:
          return;
      }
    }
  }

  std::optional<int> number() {
    int n = 0;
    const size_t begin = at_;
    for (; more() && format_[at_] >= '0' && format_[at_] <= '9'; ++at_) {
      if (n > kMaxWidth) {  // as Go: a crazy number ends the format
        at_ = format_.size();
        return std::nullopt;
      }
      n = n * 10 + (format_[at_] - '0');
    }
    return at_ == begin ? std::nullopt : std::optional(n);
  }

  std::optional<int> argument_number(std::string_view complaint, int64_t least = -kMaxWidth) {
    const bool usable = next_ < values_.size() && values_[next_].kind() == Kind::kInt;
    const int64_t n = usable ? values_[next_].as_int() : 0;
    if (next_ < values_.size()) ++next_;
    if (usable && n >= least && n <= kMaxWidth) return static_cast<int>(n);
    out_.put(complaint);
    return std::nullopt;
  }

  void index() {
    if (!more() || format_[at_] != '[') return;
    reordered_ = indexed_ = true;
    const size_t close = format_.find(']', at_);
    if (close == std::string_view::npos) {
      good_index_ = false;
      ++at_;
      return;
    }
    const std::string_view digits = format_.substr(at_ + 1, close - at_ - 1);
    size_t n = 0;
    const auto [end, ec] = std::from_chars(digits.data(), digits.data() + digits.size(), n);
    at_ = close + 1;
    if (ec == std::errc() && end == digits.data() + digits.size() && n >= 1 &&
        n <= values_.size()) {
      next_ = n - 1;
    } else {
      good_index_ = false;
    }
  }

  void extra() {
    out_.put("%!(EXTRA ");
    for (size_t i = next_; i < values_.size(); ++i) {
      if (i > next_) out_.put(", ");
      if (values_[i].absent()) {
        out_.put("<nil>");
      } else {
        out_.put(values_[i].type_name() + "=");
        Printer(out_).value(values_[i], 'v');
      }
    }
    out_.put(")");
  }

  bool more() const { return at_ < format_.size(); }

  Output& out_;
  std::string_view format_;
  std::span<const Value> values_;
  size_t at_ = 0, next_ = 0;
  bool reordered_ = false, indexed_ = false, good_index_ = true;
};

}  // namespace

void print_value(Output& out, const Value& value) {
  if (value.absent()) return out.put("<no value>");
  Printer(out).value(value, 'v');
}

void print(Output& out, std::span<const Value> values) {
  for (size_t i = 0; i < values.size(); ++i) {
    const auto is_string = [](const Value& v) { return v.kind() == Kind::kString; };
    if (i > 0 && !is_string(values[i]) && !is_string(values[i - 1])) out.put(" ");
    Printer(out).value(values[i], 'v');
  }
}

void println(Output& out, std::span<const Value> values) {
  for (size_t i = 0; i < values.size(); ++i) {
    if (i > 0) out.put(" ");
    Printer(out).value(values[i], 'v');
  }
  out.put("\n");
}

void printf(Output& out, std::string_view format, std::span<const Value> values) {
  Formatter(out, format, values).run();
}

}  // namespace cria::text
