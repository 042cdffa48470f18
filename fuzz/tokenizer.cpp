// tokenizer.cpp - hostile vocabularies meet hostile texts. The input is text: lines of the
// vocabulary up to a line "--", then the text to encode.
//   m MODEL | p PRE | t TYPE TOKEN | s SCORE (a float's bits, hex) | g MERGE | i FIELD VALUE | c
//   CHARSMAP
#include "text/tokenizer/tokenizer.h"
#include "base/error.h"

#include <bit>
#include <cstdlib>

namespace {

using cria::text::VocabularySpec;

// Escapes \n, \0 and \\ so that any byte can stand in a line.
std::string unescape(std::string_view s) {
  std::string out;
  for (size_t i = 0; i < s.size(); ++i) {
    if (s[i] != '\\' || i + 1 == s.size()) {
      out.push_back(s[i]);
      continue;
    }
    ++i;
    out.push_back(s[i] == 'n' ? '\n' : s[i] == '0' ? '\0' : s[i]);
  }
  return out;
}

void set_field(VocabularySpec& spec, size_t field, int value) {
  int* const fields[] = {&spec.bos,
                         &spec.eos,
                         &spec.eot,
                         &spec.eom,
                         &spec.unk,
                         &spec.sep,
                         &spec.pad,
                         &spec.cls,
                         &spec.mask,
                         &spec.add_bos,
                         &spec.add_eos,
                         &spec.add_sep,
                         &spec.add_space_prefix,
                         &spec.remove_extra_whitespaces,
                         &spec.lowercase,
                         &spec.strip_accents,
                         &spec.trim_after_special};
  if (field < std::size(fields))
    *fields[field] = value;
  else
    spec.more_eos.push_back(value);
}

void read_line(VocabularySpec& spec, std::string_view line) {
  if (line.size() < 2) return;
  const std::string rest = unescape(line.substr(2));
  char* end = nullptr;
  switch (line[0]) {
    case 'm':
      spec.model = rest;
      break;
    case 'p':
      spec.pre = rest;
      break;
    case 't':
      if (rest.empty()) break;
      spec.types.push_back(rest[0] - '0');
      spec.tokens.push_back(rest.size() > 2 ? rest.substr(2) : "");
      break;
    case 's':
      spec.scores.push_back(
          std::bit_cast<float>(static_cast<uint32_t>(std::strtoul(rest.c_str(), nullptr, 16))));
      break;
    case 'g':
      spec.merges.push_back(rest);
      break;
    case 'c':
      spec.precompiled_charsmap += rest;
      break;
    case 'i': {
      const auto field = std::strtoul(rest.c_str(), &end, 10);
      set_field(spec, field, static_cast<int>(std::strtol(end, nullptr, 10)));
      break;
    }
    default:
      break;
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string_view input(reinterpret_cast<const char*>(data), size);
  VocabularySpec spec;
  while (!input.empty()) {
    const size_t end = std::min(input.find('\n'), input.size());
    const std::string_view line = input.substr(0, end);
    input.remove_prefix(std::min(input.size(), end + 1));
    if (line == "--") break;
    read_line(spec, line);
  }
  try {
    const bool bytes = spec.model == "gpt2";
    const auto tokenizer = cria::text::make_tokenizer(std::move(spec));
    for (const bool special : {false, true}) {
      const auto ids = tokenizer->encode(input, {.add_special = special, .parse_special = special});
      for (const auto id : ids)
        if (id < 0 || id >= tokenizer->size()) std::abort();
      const std::string text = tokenizer->decode(ids, special);
      // A token stands for bytes of the text, so nothing can be made up.
      if (bytes && !special && text.size() > 3 * input.size()) std::abort();
      cria::text::StreamDecoder stream;
      std::string joined;
      for (const auto id : ids) joined += stream.push(tokenizer->piece(id, special));
      joined += stream.flush();
    }
  } catch (const cria::Error&) {
  }
  return 0;
}
