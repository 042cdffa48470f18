#include "engine/stop_filter.h"

#include "base/error.h"

#include <algorithm>
#include <utility>

namespace cria::engine {

StopFilter::StopFilter(const std::vector<std::string>& stops) {
  for (const std::string& stop : stops) {
    CRIA_CHECK(!stop.empty(), "an empty stop string would stop everything");
    Pattern pattern{.text = stop, .fallback = std::vector<size_t>(stop.size() + 1, 0)};
    size_t border = 0;
    for (size_t i = 1; i < stop.size(); ++i) {
      while (border > 0 && stop[i] != stop[border]) border = pattern.fallback[border];
      if (stop[i] == stop[border]) ++border;
      pattern.fallback[i + 1] = border;
    }
    patterns_.push_back(std::move(pattern));
  }
}

void StopFilter::Pattern::advance(char c) {
  while (matched > 0 && text[matched] != c) matched = fallback[matched];
  if (text[matched] == c) ++matched;
}

std::string StopFilter::push(std::string_view text) {
  if (stopped_) return {};
  for (const char c : text) {
    held_.push_back(c);
    size_t complete = 0;
    for (Pattern& pattern : patterns_) {
      pattern.advance(c);
      if (pattern.matched == pattern.text.size()) complete = std::max(complete, pattern.matched);
    }
    if (complete == 0) continue;
    stopped_ = true;
    stop_string_ = held_.substr(held_.size() - complete);
    held_.resize(held_.size() - complete);
    return std::exchange(held_, {});
  }
  size_t keep = 0;
  for (const Pattern& pattern : patterns_) keep = std::max(keep, pattern.matched);
  std::string out = held_.substr(0, held_.size() - keep);
  held_.erase(0, out.size());
  return out;
}

std::string StopFilter::flush() {
  return std::exchange(held_, {});
}

}  // namespace cria::engine
