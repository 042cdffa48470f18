#include "engine/stop_filter.h"

#include <doctest/doctest.h>

#include <random>

namespace cria::engine {
namespace {

TEST_CASE("text that may become a stop string is held back across pushes") {
  StopFilter filter({"<end>"});
  CHECK(filter.push("hello <e") == "hello ");
  CHECK(filter.push("n") == "");
  CHECK(filter.push("x") == "<enx");
  CHECK(filter.push("a<en") == "a");
  CHECK(filter.push("d>rest") == "");
  CHECK(filter.stopped());
  CHECK(filter.push("more") == "");
  CHECK(filter.flush() == "");
}

TEST_CASE("the end of the output gives what was held") {
  StopFilter filter({"stop"});
  CHECK(filter.push("a sto") == "a ");
  CHECK(filter.flush() == "sto");
}

TEST_CASE("of stop strings that end together the longest cuts") {
  StopFilter filter({"b", "ab"});
  CHECK(filter.push("xxab") == "xx");
  CHECK(filter.stop_string() == "ab");
}

TEST_CASE("random texts: same output as searching the whole text") {
  std::mt19937 random(5);
  for (int round = 0; round < 2000; ++round) {
    std::vector<std::string> stops;
    for (size_t i = 0; i <= random() % 3; ++i) {
      std::string stop;
      for (size_t j = 0; j <= random() % 4; ++j) stop += static_cast<char>('a' + random() % 2);
      stops.push_back(stop);
    }
    std::string text, out;
    StopFilter filter(stops);
    while (text.size() < 12) {
      std::string piece;
      for (size_t j = 0; j < random() % 4; ++j) piece += static_cast<char>('a' + random() % 3);
      text += piece;
      out += filter.push(piece);
    }
    // Expected: the first end of any stop string, cut at the longest one that ends there.
    std::string expected = text;
    bool found = false;
    for (size_t end = 1; end <= text.size() && !found; ++end) {
      size_t longest = 0;
      for (const std::string& stop : stops)
        if (text.substr(0, end).ends_with(stop)) longest = std::max(longest, stop.size());
      if (longest == 0) continue;
      found = true;
      expected = text.substr(0, end - longest);
    }
    CHECK(filter.stopped() == found);
    CHECK(out + filter.flush() == expected);
  }
}

}  // namespace
}  // namespace cria::engine
