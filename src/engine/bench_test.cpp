#include "engine/bench.h"

#include "base/error.h"

#include <doctest/doctest.h>

#include <vector>

namespace cria::engine {
namespace {

std::string refusal(const std::vector<std::string>& args) {
  try {
    run_bench(args, [](const std::string& name) -> fs::path {
      fail(ErrorKind::kNotFound, "model '{}' not found", name);
    });
  } catch (const Error& e) {
    return e.what();
  }
  return "accepted";
}

TEST_CASE("bench refuses arguments that it does not understand, and asks for unknown models") {
  CHECK(refusal({}).find("usage") == 0);
  CHECK(refusal({"m", "--runs"}).find("--runs needs a value") == 0);
  CHECK(refusal({"m", "--runs", "0"}).find("\"0\" is not a number from 1 to 1000") == 0);
  CHECK(refusal({"m", "--threads", "1,,2"}).find("\"\" is not") == 0);
  CHECK(refusal({"m", "--fast"}).find("unknown flag --fast") == 0);
  CHECK(refusal({"m", "--machine"}).find("usage") == 0);
  CHECK(refusal({"m", "n"}).find("one model") == 0);
  CHECK(refusal({"m"}) == "model 'm' not found");
}

}  // namespace
}  // namespace cria::engine
