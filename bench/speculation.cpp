// speculation.cpp - what guessed tokens gain: the same requests with and without them, in turn.
//
//   bench_speculation FILE THREADS [PAIRS] [TOKENS] [CASE]
//
// Cases that repeat their prompt (editing, quoting, summarising) and stories, which do not; greedy
// and sampled. Both sides share one loaded model and find the prompt in the prefix cache; the
// ratio is of tokens per second of output. The answers must be equal, or the program fails.
#include "measure.h"

#include "base/error.h"
#include "engine/engine.h"
#include "engine/render.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

namespace {

using namespace cria;

const std::string kCode = R"(import json
import pathlib


class Inventory:
    """Items of a shop, kept in a JSON file."""

    def __init__(self, path):
        self.path = pathlib.Path(path)
        self.items = {}
        if self.path.exists():
            self.items = json.loads(self.path.read_text())

    def add(self, name, count, price):
        if count < 0 or price < 0:
            raise ValueError("count and price must not be negative")
        entry = self.items.setdefault(name, {"count": 0, "price": price})
        entry["count"] += count
        entry["price"] = price

    def remove(self, name, count):
        entry = self.items.get(name)
        if entry is None or entry["count"] < count:
            raise KeyError(name)
        entry["count"] -= count
        if entry["count"] == 0:
            del self.items[name]

    def total(self):
        return sum(entry["count"] * entry["price"] for entry in self.items.values())

    def save(self):
        self.path.write_text(json.dumps(self.items, indent=2))
)";

const std::string kArticle =
    "The Harbour Bridge Authority announced on Monday that the old swing bridge at Port Ellis will "
    "be closed to all traffic from the first of March until the end of October. Engineers found "
    "cracks in two of the main girders during an inspection in December, and the authority decided "
    "that repairs could not wait for another year. Buses on the lines 4 and 17 will be diverted "
    "over the new tunnel, and a free ferry for pedestrians and cyclists will cross the harbour "
    "every fifteen minutes between six in the morning and ten at night. The repairs are expected "
    "to cost 23 million euros, of which the regional government pays two thirds. Shop owners on "
    "the northern bank fear that they will lose customers during the summer; their association "
    "asked the city council for a temporary reduction of rents. The mayor, Anna Lindqvist, said "
    "that the council will discuss the request at its meeting on the 12th of February. The bridge, "
    "which was opened in 1931, carries about eleven thousand vehicles a day.";

struct Case {
  const char* name;
  std::string prompt;
};

std::vector<Case> cases() {
  return {
      {"edit code", "Here is a Python file:\n```python\n" + kCode +
                        "```\nRename the method `total` to `total_value` and write the whole file "
                        "again, everything else unchanged."},
      {"correct text",
       "Write this text again, with the word \"bridge\" replaced by \"viaduct\" and "
       "nothing else changed:\n\n" +
           kArticle},
      {"summarise",
       "Summarise the following article in three sentences, keeping close to its own "
       "words:\n\n" +
           kArticle},
      {"quote",
       "List the facts of this article as bullet points, in its own words:\n\n" + kArticle},
      {"story", "Tell me a story about a lighthouse keeper who finds a letter in a bottle."},
      {"explain", "Explain how a refrigerator works, for a child of ten years."},
  };
}

struct Answer {
  std::string text;
  protocol::Done done;
};

struct Side {
  engine::Engine engine;
  Answer answer;
  Side(engine::LoadedEngine& loaded, const engine::Renderer& renderer,
       engine::Speculation speculation)
      : engine((loaded.speculation = speculation, loaded),
               [&renderer](const protocol::Generate& request, const engine::Fits& fits) {
                 return renderer(request, fits);
               },
               [this](const protocol::Event& event) {
                 if (const auto* text = std::get_if<protocol::Text>(&event))
                   answer.text += text->content;
                 else if (const auto* done = std::get_if<protocol::Done>(&event))
                   answer.done = *done;
                 else if (const auto* failure = std::get_if<protocol::Failure>(&event))
                   fail(failure->kind, "{}", failure->message);
               }) {}
  Answer ask(const std::string& prompt, const Json& options) {
    answer = {};
    protocol::Generate request{.id = 1, .chat = true};
    request.messages = Json::array({{{"role", "user"}, {"content", prompt}}});
    request.options = options;
    engine.submit(request);
    while (engine.busy()) engine.step();
    return answer;
  }
};

double speed(const protocol::Done& done) {
  return static_cast<double>(done.generated_tokens - 1) * 1e9 /
         static_cast<double>(std::max<int64_t>(done.generate_ns, 1));
}

void compare(Side& plain, Side& guessing, const Case& test, const Json& options, int pairs) {
  std::vector<double> before, after, ratios;
  protocol::Done done;
  for (int i = 0; i <= pairs; ++i) {
    const Answer a = plain.ask(test.prompt, options), b = guessing.ask(test.prompt, options);
    if (a.text != b.text) fail(ErrorKind::kInternal, "{}: the answers differ", test.name);
    if (i == 0) continue;  // warms up
    before.push_back(speed(a.done));
    after.push_back(speed(b.done));
    ratios.push_back(after.back() / before.back());
    done = b.done;
  }
  std::printf(
      "%-13s %-8s %7lld %9.1f %9.1f %7.2f %11s %9lld %9lld\n", test.name,
      options["temperature"] == 0 ? "greedy" : "sampled",
      static_cast<long long>(done.generated_tokens), median(before), median(after), median(ratios),
      fmt::format("{:.2f}-{:.2f}", *std::ranges::min_element(ratios),
                  *std::ranges::max_element(ratios))
          .c_str(),
      static_cast<long long>(done.guessed_tokens), static_cast<long long>(done.right_guesses));
  std::fflush(stdout);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3)
    return std::fprintf(stderr, "usage: %s FILE THREADS [PAIRS] [TOKENS] [CASE]\n", argv[0]), 2;
  try {
    const int pairs = argc > 3 ? std::atoi(argv[3]) : 5;
    const int tokens = argc > 4 ? std::atoi(argv[4]) : 200;
    engine::LoadedEngine loaded = engine::load_engine(
        formats::open_gguf(argv[1]), {.num_ctx = 2048, .threads = std::atoi(argv[2])});
    const protocol::ModelText text;
    const engine::Renderer renderer(text, loaded.chat_template);
    Side plain(loaded, renderer, engine::Speculation::kOff),
        guessing(loaded, renderer, engine::Speculation::kWhereItPays);
    std::printf("%-13s %-8s %7s %9s %9s %7s %11s %9s %9s\n", "case", "", "tokens", "plain t/s",
                "t/s", "ratio", "range", "guessed", "right");
    for (const Case& test : cases()) {
      if (argc > 5 && std::string_view(test.name) != argv[5]) continue;
      for (const double temperature : {0.0, 0.8})
        compare(plain, guessing, test,
                {{"temperature", temperature}, {"seed", 1}, {"num_predict", tokens}}, pairs);
    }
    return 0;
  } catch (const Error& e) {
    std::fprintf(stderr, "%s\n", e.what());
    return 1;
  }
}
