// strings.h - Python's view of text: characters are code points, stored as UTF-8. A byte that
// belongs to none counts as one character.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace cria::jinja {

int64_t character_count(std::string_view s);
// Characters [begin, end), both within 0 and the count.
std::string_view characters(std::string_view s, int64_t begin, int64_t end);
// Negative: from the end. Empty when there is none.
std::string_view character_at(std::string_view s, int64_t index);
std::vector<std::string_view> split_characters(std::string_view s);

bool is_space(uint32_t code_point);
std::string_view left_stripped(std::string_view s);  // of white space
std::string_view right_stripped(std::string_view s);
// Of characters in `set`, at the ends asked for.
std::string_view stripped(std::string_view s, std::string_view set, bool left, bool right);

std::string upper(std::string_view s);
std::string lower(std::string_view s);
std::string capitalized(std::string_view s);  // the first upper, the rest lower
std::string titled(std::string_view s);       // str.title: every run of letters
std::string swapped(std::string_view s);

// Non-empty, and `test` holds for the class bits (UnicodeTable) of every character.
bool all_characters(std::string_view s, bool (*test)(uint32_t code_point));
bool is_letter(uint32_t code_point);
bool is_digit(uint32_t code_point);  // decimal digits of any script
// Has cased letters, all of them upper (lower).
bool is_upper(std::string_view s);
bool is_lower(std::string_view s);

// At white space, or at `separator`; at most `most` cuts unless negative.
std::vector<std::string_view> split(std::string_view s, int64_t most);
std::vector<std::string_view> split(std::string_view s, std::string_view separator, int64_t most);
std::vector<std::string_view> split_right(std::string_view s, int64_t most);
std::vector<std::string_view> split_right(std::string_view s, std::string_view separator,
                                          int64_t most);
std::vector<std::string_view> split_lines(std::string_view s, bool keep_ends);

}  // namespace cria::jinja
