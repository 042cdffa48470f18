#include "store/name.h"

#include "base/error.h"

#include <algorithm>
#include <array>
#include <cctype>

namespace cria::store {
namespace {

bool is_word(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

bool valid_part(std::string_view part, size_t longest, std::string_view further) {
  if (part.empty() || part.size() > longest || !is_word(part[0])) return false;
  return std::ranges::all_of(part.substr(1), [&](char c) {
    return is_word(c) || further.find(c) != std::string_view::npos;
  });
}

bool same_letters(std::string_view a, std::string_view b) {
  return std::ranges::equal(
      a, b, [](unsigned char x, unsigned char y) { return std::tolower(x) == std::tolower(y); });
}

// Cuts `rest` at its last `separator`; false when there is none.
bool cut_last(std::string_view& rest, char separator, std::string_view& right) {
  const size_t at = rest.rfind(separator);
  if (at == std::string_view::npos) return false;
  right = rest.substr(at + 1);
  rest = rest.substr(0, at);
  return true;
}

}  // namespace

constexpr std::array<std::string ModelName::*, 4> ModelName::kParts = {
    &ModelName::host_, &ModelName::space_, &ModelName::model_, &ModelName::tag_};

std::optional<ModelName> ModelName::parse(std::string_view text) {
  ModelName name;
  std::string_view rest = text, part;
  const size_t colon = rest.rfind(':'), slash = rest.rfind('/');
  if (colon != std::string_view::npos && (slash == std::string_view::npos || colon > slash)) {
    cut_last(rest, ':', part);
    name.tag_ = part;
  }
  if (!cut_last(rest, '/', part)) {
    name.model_ = rest;
  } else {
    name.model_ = part;
    if (!cut_last(rest, '/', part)) {
      name.space_ = rest;
    } else {
      name.space_ = part;
      if (const size_t mark = rest.find("://"); mark != std::string_view::npos) {
        name.scheme_ = rest.substr(0, mark);
        rest = rest.substr(mark + 3);
      }
      name.host_ = rest;
    }
  }
  const bool ok = (name.scheme_ == "https" || name.scheme_ == "http") &&
                  valid_part(name.host_, 350, ".:-") && valid_part(name.space_, 80, "-") &&
                  valid_part(name.model_, 80, ".-") && valid_part(name.tag_, 80, ".-");
  if (!ok) return std::nullopt;
  return name;
}

ModelName ModelName::require(std::string_view text) {
  auto name = parse(text);
  if (!name) fail(ErrorKind::kInvalidInput, "invalid model name");
  return *std::move(name);
}

std::string ModelName::full() const {
  return host_ + "/" + space_ + "/" + model_ + ":" + tag_;
}

std::string ModelName::short_text() const {
  std::string text;
  const bool default_host = same_letters(host_, "registry.ollama.ai");
  if (!default_host) text = host_ + "/";
  if (!default_host || !same_letters(space_, "library")) text += space_ + "/";
  return text + model_ + ":" + tag_;
}

bool ModelName::same(const ModelName& other) const {
  return same_parts(other) == 4;
}

int ModelName::same_parts(const ModelName& other) const {
  int count = 0;
  for (const auto part : kParts) {
    if (!same_letters(this->*part, other.*part)) break;
    ++count;
  }
  return count;
}

void ModelName::adopt_spelling(const ModelName& stored, int parts) {
  CRIA_CHECK(parts >= 0 && parts <= 4, "a name has four parts");
  for (int i = 0; i < parts; ++i) {
    const auto part = kParts[static_cast<size_t>(i)];
    this->*part = stored.*part;
  }
}

std::optional<Digest> Digest::parse(std::string_view text) {
  if (!text.starts_with("sha256:") && !text.starts_with("sha256-")) return std::nullopt;
  text.remove_prefix(7);
  if (text.size() != 64) return std::nullopt;
  std::string hex(text);
  for (char& c : hex) {
    if (std::isxdigit(static_cast<unsigned char>(c)) == 0) return std::nullopt;
    c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  }
  return Digest(std::move(hex));
}

Digest Digest::require(std::string_view text) {
  auto digest = parse(text);
  if (!digest) fail(ErrorKind::kInvalidInput, "invalid digest format");
  return *std::move(digest);
}

Digest Digest::from_hex(const std::string& hex) {
  auto digest = parse("sha256:" + hex);
  CRIA_CHECK(digest.has_value(), "64 hexadecimal digits");
  return *std::move(digest);
}

}  // namespace cria::store
