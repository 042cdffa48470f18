// name.h - names of models and digests of blobs: types that can be built only from valid text.
#pragma once

#include <array>
#include <optional>
#include <string>
#include <string_view>

namespace cria::store {

// [scheme://][host/][namespace/]model[:tag]; missing parts take Ollama's defaults.
class ModelName {
 public:
  // nullopt when any part has characters or a length that the rules do not allow.
  static std::optional<ModelName> parse(std::string_view text);
  // Throws Error{kInvalidInput} "invalid model name".
  static ModelName require(std::string_view text);

  const std::string& scheme() const { return scheme_; }
  const std::string& host() const { return host_; }
  const std::string& space() const { return space_; }  // the namespace
  const std::string& model() const { return model_; }
  const std::string& tag() const { return tag_; }

  std::string full() const;        // host/namespace/model:tag
  std::string short_text() const;  // without the default host and namespace; always with tag
  bool same(const ModelName& other) const;  // letter case aside
  // How many leading parts (host, namespace, model, tag) are those of `other`, letter case aside.
  int same_parts(const ModelName& other) const;
  // Takes over the spelling of the first `parts` parts of `stored`.
  void adopt_spelling(const ModelName& stored, int parts);

 private:
  ModelName() = default;
  static const std::array<std::string ModelName::*, 4> kParts;  // host, namespace, model, tag
  std::string scheme_ = "https", host_ = "registry.ollama.ai", space_ = "library", model_,
              tag_ = "latest";
};

// sha256 and 64 hexadecimal digits.
class Digest {
 public:
  // "sha256:<hex>" or "sha256-<hex>"; nullopt otherwise.
  static std::optional<Digest> parse(std::string_view text);
  // Throws Error{kInvalidInput} "invalid digest format".
  static Digest require(std::string_view text);
  static Digest from_hex(const std::string& hex);  // of our own hashing

  const std::string& hex() const { return hex_; }
  std::string text() const { return "sha256:" + hex_; }
  std::string file_name() const { return "sha256-" + hex_; }
  bool operator==(const Digest&) const = default;
  auto operator<=>(const Digest&) const = default;

 private:
  explicit Digest(std::string hex) : hex_(std::move(hex)) {}
  std::string hex_;
};

}  // namespace cria::store
