// vocabulary_file.h - reads a VocabularySpec out of a GGUF file, for tests and benchmarks of text/,
// which may not include formats/. It trusts its files: never use it in the program.
#pragma once

#include "text/tokenizer/tokenizer.h"

#include <cstdlib>
#include <cstring>
#include <fstream>
#include <map>
#include <stdexcept>

namespace cria::test {

class VocabularyFile {
 public:
  static text::VocabularySpec read(const std::string& path) {
    VocabularyFile file(path);
    return std::move(file.spec_);
  }

 private:
  explicit VocabularyFile(const std::string& path) : in_(path, std::ios::binary) {
    if (!in_ || number<uint32_t>() != 0x46554747) throw std::runtime_error("no GGUF: " + path);
    number<uint32_t>();
    number<uint64_t>();
    for (auto left = number<uint64_t>(); left > 0; --left) {
      const std::string key = string();
      constexpr std::string_view kPrefix = "tokenizer.ggml.";
      const auto type = number<uint32_t>();
      value(key.rfind(kPrefix, 0) == 0 ? key.substr(kPrefix.size()) : "", type);
    }
  }

  template <class T>
  T number() {
    T value;
    in_.read(reinterpret_cast<char*>(&value), sizeof(T));
    return value;
  }
  std::string string() {
    std::string s(number<uint64_t>(), '\0');
    in_.read(s.data(), static_cast<std::streamsize>(s.size()));
    return s;
  }
  // A scalar of any numeric type.
  double scalar(uint32_t type) {
    switch (type) {
      case 0:
        return number<uint8_t>();
      case 1:
        return number<int8_t>();
      case 2:
        return number<uint16_t>();
      case 3:
        return number<int16_t>();
      case 4:
        return number<uint32_t>();
      case 5:
        return number<int32_t>();
      case 6:
        return static_cast<double>(number<float>());
      case 7:
        return number<uint8_t>();
      case 10:
        return static_cast<double>(number<uint64_t>());
      case 11:
        return static_cast<double>(number<int64_t>());
      case 12:
        return number<double>();
      default:
        throw std::runtime_error("unknown GGUF type");
    }
  }
  void value(const std::string& key, uint32_t type) {
    if (type == 8) {
      const std::string s = string();
      if (key == "model") spec_.model = s;
      if (key == "pre") spec_.pre = s;
    } else if (type == 9) {
      const auto element = number<uint32_t>();
      array(key, element, number<uint64_t>());
    } else {
      integer(key, scalar(type));
    }
  }
  void array(const std::string& key, uint32_t type, uint64_t count) {
    if (type == 9 || !in_) throw std::runtime_error("nested array or end of file");
    for (uint64_t i = 0; i < count; ++i) {
      if (type == 8) {
        std::string s = string();
        if (key == "tokens")
          spec_.tokens.push_back(std::move(s));
        else if (key == "merges")
          spec_.merges.push_back(std::move(s));
        continue;
      }
      const double x = scalar(type);
      if (key == "scores") spec_.scores.push_back(static_cast<float>(x));
      if (key == "token_type") spec_.types.push_back(static_cast<int32_t>(x));
      if (key == "eos_token_ids") spec_.more_eos.push_back(static_cast<int32_t>(x));
      if (key == "precompiled_charsmap")
        spec_.precompiled_charsmap.push_back(static_cast<char>(static_cast<int>(x)));
    }
  }
  void integer(const std::string& key, double x) {
    const std::map<std::string, int32_t*> fields{
        {"bos_token_id", &spec_.bos},
        {"eos_token_id", &spec_.eos},
        {"eot_token_id", &spec_.eot},
        {"eom_token_id", &spec_.eom},
        {"unknown_token_id", &spec_.unk},
        {"seperator_token_id", &spec_.sep},
        {"padding_token_id", &spec_.pad},
        {"cls_token_id", &spec_.cls},
        {"mask_token_id", &spec_.mask},
        {"add_bos_token", &spec_.add_bos},
        {"add_eos_token", &spec_.add_eos},
        {"add_sep_token", &spec_.add_sep},
        {"add_space_prefix", &spec_.add_space_prefix},
        {"remove_extra_whitespaces", &spec_.remove_extra_whitespaces},
        {"normalizer.lowercase", &spec_.lowercase},
        {"normalizer.strip_accents", &spec_.strip_accents}};
    const auto field = fields.find(key);
    if (field != fields.end()) *field->second = x < 2147483648.0 ? static_cast<int32_t>(x) : -1;
  }

  std::ifstream in_;
  text::VocabularySpec spec_;
};

}  // namespace cria::test
