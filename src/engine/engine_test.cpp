// Properties of whole requests on a small real model. Without the model's file nothing is tested; a
// MESSAGE line says so.
#include "engine/engine.h"

#include "base/error.h"
#include "base/file.h"
#include "engine/engine_for_tests.h"
#include "tests/model_files.h"

#include <doctest/doctest.h>

#include <fcntl.h>
#include <unistd.h>

#include <filesystem>
#include <utility>

namespace cria::engine {
namespace {

using test::have_model, test::kSmall, test::test_model;
constexpr const char* kBigHead = "gemma-3-270m-q4_k_m.gguf";  // of kQ8_0

struct Fixture : EngineFixture {
  explicit Fixture(LoadSettings settings, const char* model = kSmall)
      : EngineFixture(test_model(model), std::move(settings)) {}
};

TEST_CASE("greedy answers do not depend on chunking, company, or a warm cache") {
  if (!have_model()) return;
  std::string expected;
  {
    Fixture whole({.num_ctx = 512, .num_batch = 256});
    expected = whole.ask(kStory, kGreedy).text;
    CHECK(expected.size() > 20);
    const Answer warm = whole.ask(kStory, kGreedy);
    CHECK(warm.text == expected);
    CHECK(warm.done.cached_tokens == warm.done.prompt_tokens - 1);
    CHECK(warm.done.generated_tokens == 24);
    CHECK(warm.done.reason == "length");
  }
  Fixture chunked({.num_ctx = 512, .num_batch = 7, .parallel = 3});
  const uint64_t a = chunked.submit(kStory, kGreedy);
  const uint64_t b = chunked.submit("Once upon a time", kGreedy);
  const uint64_t c = chunked.submit(kStory + " he", kGreedy);
  chunked.finish();
  CHECK(chunked.answers[a].text == expected);
  Fixture alone({.num_ctx = 512});
  CHECK(chunked.answers[b].text == alone.ask("Once upon a time", kGreedy).text);
  CHECK(chunked.answers[c].text == alone.ask(kStory + " he", kGreedy).text);
  CHECK(chunked.held_by_requests() == 0);
}

TEST_CASE("answers are the same from weights that are read late") {
  if (!test::have_cached_model()) return;
  Fixture early({.num_ctx = 512});
  CHECK(early.loaded.plan->unread_bytes() == 0);
  for (const std::string& prompt : {std::string("Once upon a time"), kStory, kStory + kStory}) {
    Fixture late({.num_ctx = 512, .late_weights = true});
    CHECK(late.loaded.plan->unread_bytes() > 50'000'000);
    const uint64_t id = late.submit(prompt, kGreedy);
    late.engine->step();
    CHECK(late.answers[id].tokens == 1);  // prompts of a hundred tokens are one step, too
    CHECK(late.loaded.plan->unread_bytes() > 50'000'000);
    late.finish();
    CHECK(late.loaded.plan->unread_bytes() == 0);
    CHECK(late.answers[id].text == early.ask(prompt, kGreedy).text);
  }
  const std::string longer = kStory + kStory + kStory;
  Fixture late({.num_ctx = 512, .late_weights = true});
  const uint64_t id = late.submit(longer, kGreedy);
  while (late.loaded.plan->unread_bytes() > 0) {  // for the rest of the prompt
    late.engine->step();
    CHECK(late.answers[id].tokens == 0);
  }
  late.finish();
  CHECK(late.answers[id].text == early.ask(longer, kGreedy).text);
}

TEST_CASE(
    "weights are read at once where the memory has no room for the file's cache beside them") {
  if (!test::have_cached_model()) return;
  const auto unread = [](int64_t available) {
    return load_engine(formats::open_gguf(test_model(kSmall)),
                       {.num_ctx = 256, .available_memory = available, .late_weights = true})
        .plan->unread_bytes();
  };
  CHECK(unread(int64_t{200} << 20) == 0);
  CHECK(unread(int64_t{400} << 20) > 0);
}

TEST_CASE("weights that the system has not in its cache are read at once") {
  if (!test::have_cached_model()) return;
  const std::filesystem::path path = std::filesystem::temp_directory_path() /
                                     ("cria_cold_" + std::to_string(::getpid()) + ".gguf");
  std::filesystem::copy_file(test_model(kSmall), path);
  const LoadSettings late{.num_ctx = 256, .late_weights = true};
  CHECK(load_engine(formats::open_gguf(path), late).plan->unread_bytes() > 0);
  const auto file = File::open(path);
  REQUIRE(::fsync(file->descriptor()) == 0);
  REQUIRE(::posix_fadvise(file->descriptor(), 0, 0, POSIX_FADV_DONTNEED) == 0);
  if (file->is_cached(file->size() / 2))
    MESSAGE("files in " << path.parent_path().string() << " stay in memory");
  else
    CHECK(load_engine(formats::open_gguf(path), late).plan->unread_bytes() == 0);
  std::filesystem::remove(path);
}

TEST_CASE("a cancelled request gives its pages back at once, and the others go on") {
  if (!have_model()) return;
  Fixture f({.num_ctx = 256, .num_batch = 16, .parallel = 2});
  const uint64_t doomed = f.submit(kStory, R"({"temperature":0})");
  const uint64_t other = f.submit("Once upon a time", kGreedy);
  for (int i = 0; i < 3; ++i) f.engine->step();
  f.engine->cancel(doomed);
  CHECK(f.answers[doomed].ended);
  f.finish();
  CHECK(f.answers[other].done.generated_tokens == 24);
  CHECK(f.held_by_requests() == 0);
}

TEST_CASE("an answer goes on past the context with shift, and ends there without") {
  if (!have_model()) return;
  Fixture f({.num_ctx = 64});
  const Answer shifted =
      f.ask("Count: one, two, three, four", R"({"temperature":0,"num_predict":100})");
  CHECK(shifted.failure.empty());
  CHECK(shifted.done.generated_tokens == 100);
  CHECK(shifted.done.shifted_tokens == 2 * ((64 - 4) / 2));
  protocol::Generate fixed{
      .id = 77, .prompt = "Count: one, two, three, four", .raw = true, .shift = false};
  fixed.options = parse_json(R"({"temperature":0,"num_predict":100})");
  f.engine->submit(fixed);
  f.finish();
  CHECK(f.answers[77].done.reason == "length");
  CHECK(f.answers[77].done.prompt_tokens + f.answers[77].done.generated_tokens == 65);
  CHECK(f.answers[77].done.shifted_tokens == 0);
}

TEST_CASE("a prompt that is too long is cut, or refused with both numbers") {
  if (!have_model()) return;
  Fixture f({.num_ctx = 32});
  const int64_t whole_tokens = std::ssize(f.loaded.tokenizer->encode(kStory, {}));
  const protocol::Done cut = f.ask(kStory, R"({"num_predict":1})").done;
  CHECK(cut.prompt_tokens == 32 - (32 - 4) / 2);
  CHECK(cut.truncated.tokens == whole_tokens - cut.prompt_tokens);
  CHECK(cut.truncated.messages == 0);
  CHECK_FALSE(f.ask("Short", R"({"num_predict":1})").done.truncated.any());
  protocol::Generate whole{.id = 50, .prompt = kStory, .raw = true, .truncate = false};
  f.engine->submit(whole);
  f.finish();
  CHECK(f.answers[50].failure.find("num_ctx is 32") != std::string::npos);
}

TEST_CASE("messages that a chat loses are counted, with all their tokens") {
  if (!have_model()) return;
  const auto ask = [](Fixture& f, bool truncate) {
    protocol::Generate request{.id = 1, .chat = true, .truncate = truncate};
    request.options = parse_json(R"({"num_predict":1})");
    for (const char* role : {"system", "user", "assistant", "user"})
      request.messages.push_back({{"role", role}, {"content", kStory}});
    f.engine->submit(request);
    f.finish();
    return f.answers[1];
  };
  Fixture large({.num_ctx = 1024}), small({.num_ctx = 224});
  const protocol::Done whole = ask(large, true).done, cut = ask(small, true).done;
  CHECK_FALSE(whole.truncated.any());
  CHECK(whole.prompt_tokens > 224);
  CHECK(cut.truncated.messages == 1);
  CHECK(cut.truncated.tokens == whole.prompt_tokens - cut.prompt_tokens);
  const std::string refused = ask(small, false).failure;
  CHECK(refused.find(fmt::format("{} tokens, but num_ctx is 224", whole.prompt_tokens)) !=
        std::string::npos);
}

TEST_CASE("greedy tokens are those of the float reference while it is sure of them") {
  const fs::path path =
      fs::path(CRIA_SHARED_DIR) / "data/real-models/smollm2-135m-instruct-q4_1.json";
  if (!have_model()) return;
  if (!fs::exists(path)) {
    test::skip("no " + path.string());
    return;
  }
  Fixture f({.num_ctx = 2048});
  const Json golden = parse_json(read_text_file(path, 64 << 20));
  int64_t compared = 0;
  for (const Json& row : golden["prompts"]) {
    const auto expected = row["greedy_24"].get<std::vector<TokenId>>();
    const auto margins = row["greedy_margins"].get<std::vector<double>>();
    protocol::Generate request{.id = ++f.last_id, .truncate = false};
    request.context = row["input_ids"].get<std::vector<int32_t>>();
    request.options = parse_json(kGreedy);
    f.plain = true;  // the ids are the whole prompt
    f.engine->submit(request);
    f.finish();
    const std::vector<int32_t>& got = f.answers[request.id].done.context;
    const size_t first = request.context.size();
    // Rounding to 8 bits may turn a close call; from there on the texts differ.
    for (size_t i = 0; i < expected.size() && margins[i] > 0.5 && first + i < got.size(); ++i) {
      CHECK(got[first + i] == expected[i]);
      ++compared;
    }
  }
  CHECK(compared >= 10);
}

TEST_CASE("stop strings cut across tokens and are not sent") {
  if (!have_model()) return;
  Fixture f({.num_ctx = 256});
  const std::string full = f.ask("Once upon a time", kGreedy).text;
  const std::string stop = full.substr(10, 9);
  const Json options = {{"temperature", 0}, {"num_predict", 24}, {"stop", {stop}}};
  const Answer cut = f.ask("Once upon a time", dump_json(options).c_str());
  CHECK(cut.text == full.substr(0, full.find(stop)));
  CHECK(cut.done.reason == "stop");
}

TEST_CASE("a chat is answered in the model's format and ends by itself") {
  if (!have_model()) return;
  Fixture f({.num_ctx = 256});
  protocol::Generate request{.id = 5, .chat = true};
  request.messages = parse_json(R"([{"role":"user","content":"What is the capital of France?"}])");
  request.options = parse_json(R"({"temperature":0,"num_predict":60})");
  request.logprobs = true;
  request.top_logprobs = 2;
  f.engine->submit(request);
  f.finish();
  const Answer& answer = f.answers[5];
  CHECK(answer.text.find("Paris") != std::string::npos);
  CHECK(answer.done.reason == "stop");
  std::string joined;
  for (const Json& entry : answer.logprobs) {
    joined += entry["token"].get<std::string>();
    CHECK(entry["logprob"].get<double>() <= 0);
    REQUIRE(entry["top_logprobs"].size() == 2);
    CHECK(entry["top_logprobs"][0]["token"] == entry["token"]);  // greedy
  }
  CHECK(joined == answer.text);
}

TEST_CASE("tokens are the same whether all logits are computed, as for logprobs, or the best") {
  if (!have_model(kBigHead)) return;
  Fixture f({.num_ctx = 256}, kBigHead);
  for (const char* options :
       {R"({"temperature":0,"num_predict":40})", R"({"seed":7,"num_predict":40})",
        R"({"seed":8,"temperature":1.5,"top_k":64,"top_p":1,"num_predict":40})",
        R"({"seed":9,"repeat_penalty":1.3,"presence_penalty":0.5,"num_predict":40})"}) {
    CAPTURE(options);
    protocol::Generate request{.id = ++f.last_id, .prompt = kStory, .raw = true};
    request.options = parse_json(options);
    request.logprobs = true;
    f.engine->submit(request);
    f.finish();
    const Answer best = f.ask(kStory, options), all = f.answers[request.id];
    CHECK(all.failure.empty());
    CHECK(best.text == all.text);
    CHECK(std::ssize(all.logprobs) > 0);
    for (const Json& entry : all.logprobs) CHECK(entry["logprob"].get<double>() <= 0);
  }
}

TEST_CASE("the context of an answer continues the conversation") {
  if (!have_model()) return;
  Fixture f({.num_ctx = 256});
  const Answer first = f.ask("My name is Ada. Say hello.", kGreedy, false);
  REQUIRE(first.done.context.size() > 10);
  protocol::Generate next{.id = 60, .prompt = "What is my name?"};
  next.context = first.done.context;
  next.options = parse_json(kGreedy);
  f.engine->submit(next);
  f.finish();
  CHECK(f.answers[60].done.cached_tokens >= static_cast<int64_t>(first.done.context.size()) - 2);
  next.id = 61;
  next.context = {1, 1 << 30};
  f.engine->submit(next);
  f.finish();
  CHECK(f.answers[61].failure.find("context holds token 1073741824") != std::string::npos);
}

TEST_CASE("an answer obeys its format, in company and at any temperature") {
  if (!have_model()) return;
  Fixture f({.num_ctx = 512, .parallel = 4, .speculation = Speculation::kAlways});
  const std::vector<std::string> formats = {
      R"json({"type":"regex","regex":"(yes|no), [a-z]{3,9}\\."})json",
      R"json({"type":"gbnf","grammar":"root ::= \"<\" [0-9]{4} \">\" | \"none\""})json",
      R"json({"type":"object","required":["n","s","l"],"properties":{
          "n":{"type":"integer","minimum":5,"maximum":77},"s":{"type":"string","maxLength":8},
          "l":{"type":"array","items":{"enum":["a","b"]},"maxItems":3}}})json"};
  std::map<uint64_t, Json> asked;
  for (const char* options :
       {R"({"temperature":0,"num_predict":200})",
        R"({"temperature":1.5,"top_k":0,"top_p":1,"seed":1,"num_predict":200})",
        R"({"temperature":5,"top_k":0,"top_p":1,"seed":2,"num_predict":200})"})
    for (const std::string& format : formats) {
      protocol::Generate request{.id = ++f.last_id,
                                 .prompt = kStory,
                                 .raw = true,
                                 .format = parse_json(format),
                                 .logprobs = f.last_id % 2 == 0};
      request.options = parse_json(options);
      asked[request.id] = request.format;
      f.engine->submit(request);
    }
  const uint64_t free = f.submit(kStory, kGreedy);
  f.finish();
  for (const auto& [id, format] : asked) {
    INFO(dump_json(format), " ", f.answers[id].text, f.answers[id].failure);
    CHECK(f.answers[id].done.reason == "stop");
    CHECK(grammar::Grammar::compile(format).accepts(f.answers[id].text));
    CHECK(f.answers[id].done.guessed_tokens == 0);
    if (id % 2 == 0)
      CHECK(std::ssize(f.answers[id].logprobs) == f.answers[id].done.generated_tokens);
  }
  Fixture alone({.num_ctx = 512});
  CHECK(f.answers[free].text == alone.ask(kStory, kGreedy).text);
}

TEST_CASE("a format ends with the token limit or a stop string as other answers do") {
  if (!have_model()) return;
  Fixture f({.num_ctx = 256});
  const auto ask = [&](const char* options) {
    protocol::Generate request{.id = ++f.last_id, .prompt = kStory, .raw = true};
    request.format = parse_json(R"({"type":"regex","regex":"ab+c{200}"})");
    request.options = parse_json(options);
    f.engine->submit(request);
    f.finish();
    return f.answers[f.last_id];
  };
  const Answer cut = ask(R"({"temperature":0,"num_predict":3})");
  CHECK(cut.done.reason == "length");
  CHECK(cut.text.starts_with("ab"));
  CHECK(ask(R"({"temperature":0,"num_predict":3,"stop":["b"]})").text == "a");
}

TEST_CASE("errors of a request are its own") {
  if (!have_model()) return;
  Fixture f({.num_ctx = 128});
  CHECK(f.ask("x", R"({"top_k":"many"})").failure.find("top_k") != std::string::npos);
  protocol::Generate request{.id = 70, .prompt = "x", .images = {"png"}};
  f.engine->submit(request);
  request = {.id = 71, .prompt = "x", .format = parse_json(R"({"not":{}})")};
  f.engine->submit(request);
  request = {.id = 72, .chat = true, .messages = parse_json("[7]")};
  f.engine->submit(request);
  request = {.id = 73};
  f.engine->submit(request);
  f.finish();
  CHECK(f.answers[70].failure == "this model does not support images");
  CHECK(f.answers[71].failure == "invalid JSON schema in format: \"not\" at # is not supported");
  CHECK(f.answers[72].failure == "a message must be an object");
  CHECK(f.answers[73].done.reason == "load");
  CHECK(f.ask("x", kGreedy).done.generated_tokens > 0);
}

TEST_CASE("a model that does not fit in memory is refused with the numbers") {
  if (!have_model()) return;
  try {
    load_engine(formats::open_gguf(test_model()), {.available_memory = 50 << 20});
    FAIL("it was loaded");
  } catch (const Error& e) {
    CHECK(e.kind() == ErrorKind::kOutOfMemory);
    CHECK(e.shortage().value_or(Shortage()).needed > 50 << 20);
    CHECK(std::string(e.what()).find("50.0 MiB") != std::string::npos);
  }
}

TEST_CASE("a refusal for want of memory names the setting that asks for so much") {
  if (!have_model()) return;
  const auto file = formats::open_gguf(test_model());
  const auto refusal = [&](LoadSettings settings) {
    settings.available_memory = int64_t{600} << 20;
    try {
      load_engine(file, settings);
    } catch (const Error& e) {
      return std::string(e.what());
    }
    return std::string();
  };
  CHECK(refusal({.parallel = 1}).empty());
  CHECK(refusal({.parallel = 0}).empty());
  const std::string places = refusal({.parallel = 64});
  CHECK(places.find("4096 for each of 64 places") != std::string::npos);
  CHECK(places.ends_with("try a smaller OLLAMA_NUM_PARALLEL (it is 64), or none"));
  CHECK(refusal({.num_ctx = 8192, .kv_type = "f32"}).empty());
  CHECK(refusal({.num_ctx = 8192, .parallel = 5})
            .ends_with("try a smaller OLLAMA_NUM_PARALLEL (it is 5), or none"));
}

TEST_CASE("num_ctx is a limit of one request: two with different ones run side by side") {
  if (!have_model()) return;
  Fixture f({.num_ctx = 256, .parallel = 3});
  CHECK(f.loaded.context == 256);
  CHECK(f.loaded.longest == 8192);  // what it was trained on
  const auto submit = [&](int64_t num_ctx) {
    protocol::Generate request{.id = ++f.last_id, .prompt = kStory, .raw = true, .shift = false};
    request.options = parse_json(
        R"({"temperature":0,"num_predict":400,"logit_bias":{"0":-100,"2":-100}})");  // no end
    if (num_ctx != 0) request.options["num_ctx"] = num_ctx;
    f.engine->submit(request);
    return f.last_id;
  };
  const uint64_t narrow = submit(100), usual = submit(0), wide = submit(320);
  f.finish();
  const auto tokens = [&](uint64_t id) {
    CHECK(f.answers[id].done.reason == "length");
    return f.answers[id].done.prompt_tokens + f.answers[id].done.generated_tokens;
  };
  CHECK(tokens(narrow) == 101);
  CHECK(tokens(usual) == 257);
  CHECK(tokens(wide) == 321);
  CHECK(f.answers[wide].text.starts_with(f.answers[usual].text));
  CHECK(f.answers[usual].text.starts_with(f.answers[narrow].text));
  CHECK(f.loaded.context_for(100'000) == 8192);  // as Ollama: cut to what it was trained on
}

TEST_CASE("a num_ctx beyond the KV cache is refused with both numbers") {
  if (!have_model()) return;
  Fixture f({.kv_memory = 40 << 20});
  CHECK(f.loaded.memory->store().bytes() <= 48 << 20);  // whole huge pages
  CHECK(f.loaded.context == f.loaded.longest);
  CHECK(f.loaded.context % ml::kPageTokens == 0);
  const std::string said = f.ask("x", R"({"num_ctx":5000})").failure;
  CHECK(said.find("num_ctx is 5000") != std::string::npos);
  CHECK(said.find(std::to_string(f.loaded.longest) + " tokens") != std::string::npos);
  CHECK(f.ask("x", R"({"num_ctx":1000,"num_predict":2})").done.generated_tokens == 2);
}

TEST_CASE("requests that need more pages than there are take turns, and say what they say alone") {
  if (!have_model()) return;
  constexpr const char* kLong = R"({"temperature":0,"num_predict":220,"repeat_penalty":1.2})";
  const std::vector<std::string> prompts = {kStory, "Once upon a time", kStory + " he", "One, two"};
  for (const Speculation speculation : {Speculation::kOff, Speculation::kAlways}) {
    Fixture alone({.num_ctx = 384, .speculation = speculation});
    Fixture crowded({.parallel = 5, .kv_memory = 10 << 20, .speculation = speculation});
    REQUIRE(crowded.loaded.longest < 512);
    std::vector<uint64_t> ids;
    for (const std::string& prompt : prompts) ids.push_back(crowded.submit(prompt, kLong));
    const uint64_t texts = crowded.embed({kStory, "short"});
    bool paused = false;
    while (crowded.engine->busy()) {
      crowded.engine->step();
      paused = paused || crowded.loaded.memory->pool().free() == 0;
    }
    CHECK(paused);
    CHECK(crowded.answers[texts].failure.empty());
    for (size_t i = 0; i < prompts.size(); ++i) {
      CHECK(crowded.answers[ids[i]].failure.empty());
      CHECK(crowded.answers[ids[i]].done.generated_tokens == 220);
      CHECK(crowded.answers[ids[i]].text == alone.ask(prompts[i], kLong).text);
    }
    CHECK(crowded.held_by_requests() == 0);
  }
}

TEST_CASE("answers that outgrow their context share too few pages, and all go on") {
  if (!have_model()) return;
  Fixture f({.parallel = 4, .kv_memory = 6 << 20});
  std::vector<uint64_t> ids;
  for (int i = 0; i < 4; ++i)
    ids.push_back(f.submit(
        kStory, R"({"temperature":0,"num_ctx":128,"num_predict":300,"repeat_penalty":1.2})"));
  f.finish();
  for (const uint64_t id : ids) {
    CHECK(f.answers[id].failure.empty());
    CHECK(f.answers[id].done.generated_tokens == 300);
    CHECK(f.answers[id].text == f.answers[ids[0]].text);
  }
  CHECK(f.held_by_requests() == 0);
}

TEST_CASE("the default context is what the model and the memory allow") {
  if (!have_model()) return;
  const auto file = formats::open_gguf(test_model());
  int64_t weights = 0;
  for (const formats::TensorInfo& tensor : file->tensors) weights += tensor.bytes;
  const int64_t page = Fixture({.num_ctx = 256}).loaded.memory->store().page_bytes();
  const auto with_room_for = [&](int64_t tokens) {
    return load_engine(
        file, {.available_memory = weights + weights / 10 + (tokens / ml::kPageTokens + 1) * page});
  };
  CHECK(load_engine(file, {}).context == 8192);
  const int64_t little = with_room_for(14'000).context;  // half is left to others
  CHECK(little <= 7008);
  CHECK(little > 6000);
  CHECK(with_room_for(4096).context == 4096);
  CHECK_THROWS_AS(with_room_for(3000), Error);
  CHECK(load_engine(file, {.num_ctx = 512}).context == 512);
}

TEST_CASE("without a wish there are as many places as the memory has pages for, up to sixteen") {
  if (!have_model()) return;
  const auto file = formats::open_gguf(test_model());
  CHECK(load_engine(file, {.parallel = 0}).parallel == 16);
  CHECK(load_engine(file, {.parallel = 0, .kv_memory = 30 << 20}).parallel == 1);
  const int64_t some = load_engine(file, {.parallel = 0, .kv_memory = 300 << 20}).parallel;
  CHECK(some > 3);
  CHECK(some < 12);
  CHECK(load_engine(file, {.parallel = 40}).parallel == 40);
}

TEST_CASE("num_batch is a limit of one request and changes no answer") {
  if (!have_model()) return;
  Fixture f({.num_ctx = 512});
  const std::string expected = f.ask(kStory, kGreedy).text;
  Fixture narrow({.num_ctx = 512});
  const uint64_t id = narrow.submit(kStory, R"({"temperature":0,"num_predict":24,"num_batch":8})");
  int steps = 0;
  for (; narrow.engine->busy(); ++steps) narrow.engine->step();
  CHECK(steps >= narrow.answers[id].done.prompt_tokens / 8 + 23);
  CHECK(narrow.answers[id].text == expected);
}

TEST_CASE("the type of the KV cache is chosen by name, and an unknown one is refused") {
  if (!have_model()) return;
  Fixture half({.num_ctx = 4096});
  Fixture small({.num_ctx = 4096, .kv_type = "Q8_0"});
  const auto ratio = static_cast<double>(small.loaded.memory->store().bytes()) /
                     static_cast<double>(half.loaded.memory->store().bytes());
  CHECK(ratio == doctest::Approx(34.0 / 64).epsilon(0.03));  // whole huge pages
  CHECK(small.ask("The capital of France is", kGreedy).done.generated_tokens > 0);
  CHECK_THROWS_WITH_AS(
      load_engine(formats::open_gguf(test_model()), {.kv_type = "q4_0"}),
      "OLLAMA_KV_CACHE_TYPE=q4_0: the KV cache can be f16, q8_0 (half the memory of f16) or f32",
      Error);
}

TEST_CASE("one engine generates and embeds, side by side and in turn, as it does alone") {
  if (!have_model()) return;
  for (const int64_t parallel : {1, 3}) {
    CAPTURE(parallel);
    Fixture f({.num_ctx = 256, .parallel = parallel});
    const std::vector<float> vector = f.answers[(f.embed({kStory}), f.finish(), f.last_id)].vector;
    REQUIRE(vector.size() == 576);
    const std::string text = f.ask(kStory, kGreedy).text;
    std::vector<uint64_t> answers, texts;
    for (int i = 0; i < 4; ++i) {
      answers.push_back(f.submit(kStory, kGreedy));
      texts.push_back(f.embed(std::vector<std::string>(4, kStory)));  // more than have room at once
    }
    f.finish();
    for (const uint64_t id : answers) CHECK(f.answers[id].text == text);
    for (const uint64_t id : texts) {
      CHECK(f.answers[id].failure.empty());
      CHECK(f.answers[id].vector == vector);
    }
    CHECK(f.held_by_requests() == 0);
  }
}

TEST_CASE("answers and texts that wait for the one place get it in turn") {
  if (!have_model()) return;
  Fixture f({.num_ctx = 256, .parallel = 1});
  const uint64_t first = f.submit(kStory, kGreedy);
  const uint64_t second = f.submit(kStory, kGreedy);
  const uint64_t texts = f.embed({"a", "b"});
  const uint64_t many = f.embed(std::vector<std::string>(30, kStory));
  const auto until = [&](uint64_t id) {
    while (!f.answers[id].ended) f.engine->step();
  };
  until(texts);
  CHECK(f.answers[first].ended);
  CHECK_FALSE(f.answers[second].ended);
  until(second);
  CHECK_FALSE(f.answers[many].ended);  // does not keep an answer waiting for all its texts
  f.finish();
  CHECK(f.answers[many].failure.empty());
}

}  // namespace
}  // namespace cria::engine
