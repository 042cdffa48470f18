#include "store/registry/blob_range.h"

#include "base/error.h"
#include "store/registry/fake_registry.h"

#include <doctest/doctest.h>

namespace cria::store {
namespace {

struct Fixture {
  FakeRegistry fake;
  std::string content = noise(1'000'000);
  Layer layer = fake.add(content);
  ModelName name = fake.name();
  Registry registry{name, {.insecure = true}};
  std::string got;
  ErrorKind kind = ErrorKind::kInternal;
  std::string text;

  bool fetch(const BlobRange& range) {
    got.clear();
    const BlobSource source{.name = name,
                            .url = registry.url(name, "blobs/" + layer.digest.text()),
                            .digest = layer.digest,
                            .size = layer.size};
    return fetch_range(registry, source, range, [&](std::string_view bytes) { got += bytes; }, {});
  }
  bool fails(const BlobRange& range) {
    try {
      fetch(range);
      return false;
    } catch (const Error& e) {
      kind = e.kind();
      text = e.what();
      return true;
    }
  }
};

void say(http::Exchange& e, int status, std::string range, std::string body) {
  e.respond({.status = status,
             .body = std::move(body),
             .headers = {{"Content-Range", std::move(range)}}});
}

TEST_CASE_FIXTURE(Fixture, "ranges and whole blobs arrive, and only what was asked for") {
  CHECK(fetch({.offset = 0, .length = layer.size}));
  CHECK(got == content);
  CHECK_FALSE(fake.calls()[0].ranged);
  CHECK(fetch({.offset = 5, .length = 100'000}));
  CHECK(got == content.substr(5, 100'000));
  CHECK(fetch({.offset = layer.size - 1, .length = 1}));
  CHECK(got == content.substr(999'999));
  CHECK(fetch({.offset = 7, .length = 0}));
  CHECK(fake.calls().size() == 3);
}

TEST_CASE_FIXTURE(Fixture, "a server that ignores ranges is skipped through, or given up at once") {
  fake.on_blob = [](http::Exchange& e, const BlobCall&, const std::string& all) {
    e.respond({.body = all});
    return true;
  };
  CHECK(fetch({.offset = 500'000, .length = 10}));
  CHECK(got == content.substr(500'000, 10));
  CHECK_FALSE(fetch({.offset = 500'000, .length = 10, .accept_whole = false}));
  CHECK(got.empty());
}

TEST_CASE_FIXTURE(Fixture,
                  "a blob of another size than the manifest's is refused before its bytes") {
  fake.on_blob = [](http::Exchange& e, const BlobCall& call, const std::string& all) {
    if (call.ranged)
      say(e, 206, fmt::format("bytes {}-{}/{}", call.first, call.last, all.size() + 1),
          "xxxxxxxxxx");
    else
      e.respond({.body = all + "x"});
    return true;
  };
  CHECK(fails({.offset = 10, .length = 10}));
  CHECK(kind == ErrorKind::kInvalidInput);
  CHECK(text.find("the registry has 1000001 bytes, the manifest says 1000000") !=
        std::string::npos);
  CHECK(fails({.offset = 0, .length = layer.size}));
  CHECK(kind == ErrorKind::kInvalidInput);
  CHECK(got.empty());
}

TEST_CASE_FIXTURE(Fixture, "another range than the one asked for is worth another attempt") {
  for (const char* const range :
       {"", "bytes", "bytes 11-20/1000000", "bytes 10-9/1000000", "bytes 10-1000000/1000000",
        "bytes 10-19/1000000x", "bytes -10-19/1000000", "items 10-19/1000000"}) {
    fake.on_blob = [&](http::Exchange& e, const BlobCall&, const std::string&) {
      say(e, 206, range, "0123456789");
      return true;
    };
    CHECK(fails({.offset = 10, .length = 10}));
    CHECK(kind == ErrorKind::kUpstream);
    CHECK(got.empty());
  }
}

TEST_CASE_FIXTURE(Fixture, "an endless body is cut, a short one is worth another attempt") {
  fake.on_blob = [](http::Exchange& e, const BlobCall& call, const std::string& all) {
    e.start_stream({.status = 206,
                    .headers = {{"Content-Range", fmt::format("bytes {}-{}/{}", call.first,
                                                              call.last, all.size())}}});
    if (call.first == 20) return e.write("short"), true;
    try {
      for (;;) e.write(std::string(100'000, 'x'));
    } catch (const Error&) {
    }
    return true;
  };
  CHECK(fetch({.offset = 10, .length = 10}));
  CHECK(got == "xxxxxxxxxx");
  CHECK(fails({.offset = 20, .length = 10}));
  CHECK(kind == ErrorKind::kUpstream);
  CHECK(got == "short");
}

TEST_CASE_FIXTURE(Fixture, "statuses that may pass are told from those that will not") {
  int status = 0;
  fake.on_blob = [&](http::Exchange& e, const BlobCall&, const std::string&) {
    e.respond({.status = status, .body = "why"});
    return true;
  };
  const BlobRange range = {.offset = 10, .length = 10};
  for (const int passing : {403, 408, 429, 500, 503}) {
    status = passing;
    CHECK(fails(range));
    CHECK(kind == ErrorKind::kUpstream);
  }
  for (const int lasting : {400, 410, 416}) {
    status = lasting;
    CHECK(fails(range));
    CHECK(kind == ErrorKind::kInvalidInput);
  }
  status = 404;
  CHECK(fails(range));
  CHECK(kind == ErrorKind::kNotFound);
}

}  // namespace
}  // namespace cria::store
