// stop_filter.h - holds text back while it may still become a stop string.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace cria::engine {

// Linear in the text for each stop string, whatever both hold.
class StopFilter {
 public:
  explicit StopFilter(const std::vector<std::string>& stops);  // none of them empty
  // The text that is certainly no part of a stop string. After a stop string was completed the text
  // before it has been returned, and everything from it on is dropped.
  std::string push(std::string_view text);
  bool stopped() const { return stopped_; }
  const std::string& stop_string() const { return stop_string_; }  // that was completed
  std::string flush();  // what was held back, at the end of the output

 private:
  // Knuth, Morris and Pratt: how far the text's end spells the stop string.
  struct Pattern {
    std::string text;
    std::vector<size_t> fallback;  // per matched length, the next shorter border
    size_t matched = 0;
    void advance(char c);
  };
  std::vector<Pattern> patterns_;
  std::string held_, stop_string_;
  bool stopped_ = false;
};

}  // namespace cria::engine
