#include "store/registry/auth.h"

#include "base/base64.h"
#include "base/error.h"
#include "http/server_for_tests.h"
#include "store/test_store.h"

#include <doctest/doctest.h>

#include <sys/stat.h>

#include <cstdlib>
#include <fstream>
#include <mutex>

namespace cria::store {
namespace {

using http::Exchange;

// A home of its own for the test's user: keys, docker's configuration, helper programs.
struct Home {
  const fs::path path = TestStore::fresh("auth_home");
  Home() {
    fs::create_directories(path / ".docker");
    old_home_ = std::getenv("HOME") == nullptr ? "" : std::getenv("HOME");
    old_path_ = std::getenv("PATH") == nullptr ? "" : std::getenv("PATH");
    ::setenv("HOME", path.c_str(), 1);
    ::setenv("PATH", (path.string() + ":" + old_path_).c_str(), 1);
    ::unsetenv("DOCKER_CONFIG");
  }
  ~Home() {
    ::setenv("HOME", old_home_.c_str(), 1);
    ::setenv("PATH", old_path_.c_str(), 1);
    fs::remove_all(path);
  }
  Home(const Home&) = delete;
  Home& operator=(const Home&) = delete;
  void docker(const std::string& config) const {
    std::ofstream(path / ".docker/config.json") << config;
  }
  void helper(const std::string& name, const std::string& script) const {
    const fs::path file = path / ("docker-credential-" + name);
    std::ofstream(file) << "#!/bin/sh\n" << script;
    ::chmod(file.c_str(), 0755);
  }

 private:
  std::string old_home_, old_path_;
};

// Answers every request for a token with `respond`, and keeps them.
struct TokenServer {
  std::mutex mutex;
  std::vector<http::Request> asked;
  std::function<void(Exchange&)> respond = [](Exchange& e) {
    e.respond({.body = R"({"token":"t0ken"})"});
  };
  http::Running running{[this](Exchange& e) {
    {
      const std::lock_guard lock(mutex);
      asked.push_back(e.request());
    }
    respond(e);
  }};

  std::string host() { return running.server.address(); }
  std::string header(size_t i, const std::string& name) {
    const std::string* const value = http::find_header(asked.at(i).headers, name);
    return value == nullptr ? "" : *value;
  }
  std::string challenge(const std::string& scope = "repository:a/b:pull") {
    return fmt::format(R"(Bearer realm="{}",service="the, cellar",scope="{}")",
                       running.url("/token"), scope);
  }
  // What the authorizer then says of itself.
  std::string answer(Authorizer& authorizer, const std::string& challenge_header) {
    authorizer.answer({.status = 401, .headers = {{"WWW-Authenticate", challenge_header}}},
                      authorizer.headers(), running.url("/v2/a/b/manifests/1"), {});
    return authorizer.headers().at(0).value;
  }
};

std::string refusal(const auto& body, ErrorKind kind = ErrorKind::kUnauthorized) {
  try {
    body();
  } catch (const Error& e) {
    CHECK(e.kind() == kind);
    return e.what();
  }
  return "nothing was refused";
}

bool holds(const std::string& text, std::string_view part) {
  return text.find(part) != std::string::npos;
}

TEST_CASE("challenges: commas in quotes, several in one header, spaces, escapes, token68") {
  const auto one = parse_challenges(
      R"(Bearer realm="https://r/t,x",service="s",scope="a:b:pull,push c:d:pull")");
  REQUIRE(one.size() == 1);
  CHECK(one[0].scheme == "bearer");
  CHECK(one[0].parameters.at("realm") == "https://r/t,x");
  CHECK(one[0].parameters.at("scope") == "a:b:pull,push c:d:pull");
  const auto many = parse_challenges(
      R"(Negotiate YWJjZA==, NTLM,Basic Realm = "the \"old\" one" , BEARER realm=plain,service="")");
  REQUIRE(many.size() == 4);
  CHECK(many[0].scheme == "negotiate");
  CHECK(many[1].scheme == "ntlm");
  CHECK(many[2].parameters.at("realm") == "the \"old\" one");
  CHECK(many[3].parameters ==
        std::map<std::string, std::string>{{"realm", "plain"}, {"service", ""}});
  CHECK(parse_challenges("").empty());
  CHECK(parse_challenges(",,=,\"\\").empty());
  CHECK(parse_challenges("Bearer realm=\"cut").at(0).parameters.at("realm") == "cut");
}

TEST_CASE("a token's address is sorted by key and keeps the query of its realm") {
  Challenge challenge = {.scheme = "bearer",
                         .parameters = {{"realm", "https://r.example/t"},
                                        {"service", "the cellar"},
                                        {"scope", "repository:a/b:pull c"}}};
  CHECK(token_url(challenge, "n-_", 12) ==
        "https://r.example/"
        "t?nonce=n-_&scope=repository%3Aa%2Fb%3Apull&scope=c&service=the%20cellar&ts=12");
  challenge.parameters["realm"] = "https://r.example?zone=1&account=x#part";
  challenge.parameters.erase("service");
  CHECK(token_url(challenge, "", 0) ==
        "https://r.example/?account=x&scope=repository%3Aa%2Fb%3Apull&scope=c&zone=1");
}

TEST_CASE("docker's config.json: the forms of an entry, and hosts as they were once written") {
  const auto find = [](const std::string& text, const std::string& host = "reg.example:5000") {
    return docker_credentials(text, host);
  };
  const std::string auth = base64_encode("ann:open:sesame");
  for (const std::string key :
       {"reg.example:5000", "Reg.Example:5000", "https://reg.example:5000/v1/"}) {
    const auto found = find(fmt::format(R"({{"auths":{{"{}":{{"auth":"{}"}}}}}})", key, auth));
    REQUIRE(found);
    CHECK(found->user == "ann");
    CHECK(found->password == "open:sesame");
  }
  CHECK(find(R"({"auths":{"reg.example:5000":{"username":"u","password":"p"}}})")->password == "p");
  CHECK(find(R"({"auths":{"reg.example:5000":{"identitytoken":"i"}}})")->identity_token == "i");
  CHECK_FALSE(find(fmt::format(R"({{"auths":{{"reg.example":{{"auth":"{}"}}}}}})", auth)));
  for (const char* const none :
       {"{}", "[]", R"({"auths":7})", R"({"auths":{"reg.example:5000":{}}})"})
    CHECK_FALSE(find(none));
}

TEST_CASE("a broken config.json is refused without a word of what stands in it") {
  const std::string secret = "c2VzYW1l";
  for (const char* const text :
       {R"({"auths":{"h":{"auth":"c2VzYW1l)", R"({"auths":{"h":{"auth":["c2VzYW1l"]}}})",
        R"({"auths":{"h":{"auth":"c2VzYW1l"}}})", R"({"auths":{"h":{"auth":"c2VzYW1l!"}}})",
        R"({"auths":{"h":{"username":"c2VzYW1l","password":7}}})"}) {
    const std::string why =
        refusal([&] { docker_credentials(text, "h"); }, ErrorKind::kInvalidInput);
    CHECK(why.starts_with("docker's config.json: "));
    CHECK_FALSE(holds(why, secret));
    CHECK_FALSE(holds(why, "sesame"));
  }
}

TEST_CASE("a credential helper is asked for the host, and its answer used") {
  const Home home;
  home.helper("ours",
              "[ \"$1\" = get ] || exit 3\nread -r host || true\n"
              "printf '{\"ServerURL\":\"%s\",\"Username\":\"ann of %s\",\"Secret\":\"s\"}' "
              "\"$host\" \"$host\"\n");
  const std::string all = R"({"credsStore":"ours"})";
  CHECK(docker_credentials(all, "h:1")->user == "ann of h:1");
  CHECK(docker_credentials(R"({"credHelpers":{"h:1":"ours"}})", "h:1")->password == "s");
  CHECK_FALSE(docker_credentials(R"({"credHelpers":{"h:1":"ours"}})", "h:2"));
  home.helper("token", "echo '{\"Username\":\"<token>\",\"Secret\":\"identity\"}'\n");
  CHECK(docker_credentials(R"({"credHelpers":{"h":"token"}})", "h")->identity_token == "identity");
  home.helper("stranger", "echo 'credentials not found in native keychain'\nexit 1\n");
  CHECK_FALSE(docker_credentials(R"({"credHelpers":{"h":"stranger"}})", "h"));
}

TEST_CASE("a helper that fails, hangs, floods or is no helper is refused, its words unread") {
  const Home home;
  home.helper("fails", "echo sesame\nexit 4\n");
  home.helper("garbage", "echo '{\"Secret\":\"sesame'\n");
  home.helper("floods", "while :; do echo sesamesesamesesamesesame; done\n");
  home.helper("hangs", "sleep 600 & wait\n");
  home.helper("lingers", "exec >&-\nsleep 600\n");
  const auto ask = [](const std::string& name, int64_t ms = 20'000) {
    const std::string why =
        refusal([&] { ask_credential_helper(name, "h", std::chrono::milliseconds(ms)); });
    CHECK(why.starts_with("docker-credential-" + name + ": "));
    CHECK_FALSE(holds(why, "sesame"));
    return why;
  };
  CHECK(holds(ask("fails"), "status 4"));
  CHECK(holds(ask("garbage"), "JSON"));
  CHECK(holds(ask("floods"), "65536 bytes"));
  CHECK(holds(ask("missing"), "cannot be run"));
  CHECK(holds(ask("hangs", 50), "does not answer"));
  CHECK(holds(ask("lingers", 50), "does not answer"));
  for (const char* const bad : {"", "../evil", "a b", "a;b", "/bin/sh"})
    CHECK(holds(refusal([&] { ask_credential_helper(bad, "h", std::chrono::seconds(1)); },
                        ErrorKind::kInvalidInput),
                "is not the name of a credential helper"));
  // The helper for all hosts must not stand in the way of registries that want nobody's name.
  CHECK_FALSE(docker_credentials(R"({"credsStore":"missing"})", "h"));
}

TEST_CASE("without docker's credentials the user's key signs for the token") {
  const Home home;
  TokenServer tokens;
  Authorizer authorizer(tokens.host(), true);
  CHECK(authorizer.headers().empty());
  CHECK(tokens.answer(authorizer, tokens.challenge()) == "Bearer t0ken");
  REQUIRE(tokens.asked.size() == 1);
  CHECK(tokens.asked[0].query.starts_with("nonce="));
  CHECK(
      holds(tokens.asked[0].query, "&scope=repository%3Aa%2Fb%3Apull&service=the%2C%20cellar&ts="));
  // That the signature is right is checked with OpenSSH in keys_test and by tests/registry.
  CHECK(tokens.header(0, "Authorization").starts_with("AAAAC3NzaC1lZDI1NTE5AAAAI"));
}

TEST_CASE("a token server that does not know keys is asked as by a stranger") {
  const Home home;
  TokenServer tokens;
  tokens.respond = [](Exchange& e) {
    if (http::find_header(e.request().headers, "Authorization") != nullptr)
      return e.respond({.status = 401, .body = "what?"});
    e.respond({.body = R"({"access_token":"for all"})"});
  };
  Authorizer authorizer(tokens.host(), true);
  CHECK(holds(refusal([&] { tokens.answer(authorizer, tokens.challenge()); }), "holds none"));
  tokens.respond = [](Exchange& e) {
    const bool known = http::find_header(e.request().headers, "Authorization") != nullptr;
    e.respond({.status = known ? 401 : 200, .body = R"({"access_token":"for-all"})"});
  };
  CHECK(tokens.answer(authorizer, tokens.challenge()) == "Bearer for-all");
  CHECK(tokens.asked.back().query == "scope=repository%3Aa%2Fb%3Apull&service=the%2C%20cellar");
  tokens.respond = [](Exchange& e) { e.respond({.status = 403, .body = "not you"}); };
  CHECK(holds(refusal([&] { tokens.answer(authorizer, tokens.challenge()); }), "403: not you"));
}

TEST_CASE("docker's user and password get a token, or are it where Basic is asked for") {
  const Home home;
  TokenServer tokens;
  const std::string auth = base64_encode("ann:sesame");
  home.docker(fmt::format(R"({{"auths":{{"{}":{{"auth":"{}"}}}}}})", tokens.host(), auth));
  Authorizer bearer(tokens.host(), true), basic(tokens.host(), true);
  CHECK(tokens.answer(bearer, tokens.challenge()) == "Bearer t0ken");
  REQUIRE(tokens.asked.size() == 1);
  CHECK(tokens.header(0, "Authorization") == "Basic " + auth);
  CHECK_FALSE(holds(tokens.asked[0].query, "nonce"));
  CHECK(tokens.answer(basic, "Basic realm=\"cellar\"") == "Basic " + auth);
  CHECK(tokens.asked.size() == 1);
  Authorizer other("other.example", true);
  const std::string why = refusal([&] { tokens.answer(other, "Basic realm=\"cellar\""); });
  CHECK(holds(why, "docker login other.example"));
}

TEST_CASE("an identity token is traded for a token in the body of a POST") {
  const Home home;
  TokenServer tokens;
  home.docker(fmt::format(R"({{"auths":{{"{}":{{"identitytoken":"my/id"}}}}}})", tokens.host()));
  tokens.respond = [](Exchange& e) { e.respond({.body = R"({"access_token":"new"})"}); };
  Authorizer authorizer(tokens.host(), true);
  CHECK(tokens.answer(authorizer, tokens.challenge()) == "Bearer new");
  REQUIRE(tokens.asked.size() == 1);
  CHECK(tokens.asked[0].method == "POST");
  CHECK(tokens.asked[0].query.empty());
  CHECK(tokens.asked[0].body ==
        "grant_type=refresh_token&client_id=cria&service=the%2C%20cellar"
        "&scope=repository%3Aa%2Fb%3Apull&refresh_token=my%2Fid");
  CHECK(tokens.header(0, "Authorization").empty());
}

TEST_CASE("a realm elsewhere, by another port or without TLS, is asked for nothing") {
  const Home home;
  TokenServer registry, evil;
  home.docker(fmt::format(R"({{"auths":{{"{}":{{"auth":"{}"}}}}}})", registry.host(),
                          base64_encode("ann:sesame")));
  Authorizer authorizer(registry.host(), true);
  const std::string why = refusal([&] { registry.answer(authorizer, evil.challenge()); });
  CHECK(holds(why, fmt::format("realm host \"{}\" does not match original host \"{}\"", evil.host(),
                               registry.host())));
  const std::string user_part =
      fmt::format("Bearer realm=\"http://{}@{}/\"", registry.host(), evil.host());
  CHECK(holds(refusal([&] { registry.answer(authorizer, user_part); }, ErrorKind::kInvalidInput),
              "not an address"));
  Authorizer strict(registry.host(), false);
  CHECK(holds(refusal([&] { registry.answer(strict, registry.challenge()); }), "without TLS"));
  CHECK(registry.asked.empty());
  CHECK(evil.asked.empty());
  CHECK(authorizer.headers().empty());
  for (const char* const nonsense : {"", "Bearer", "Negotiate abc", "Bearer service=x"})
    CHECK_THROWS_AS(registry.answer(authorizer, nonsense), Error);
}

TEST_CASE("answers that are no tokens are refused, and not repeated") {
  const Home home;
  TokenServer tokens;
  Authorizer authorizer(tokens.host(), true);
  for (const std::string body : {R"({"token":"sesame)", R"({"token":"sesame\r\nX: y"})",
                                 R"({"token":""})", "[]", "sesame"}) {
    tokens.respond = [&](Exchange& e) { e.respond({.body = body}); };
    const std::string why = refusal([&] { tokens.answer(authorizer, tokens.challenge()); });
    CHECK_FALSE(holds(why, "sesame"));
    CHECK(authorizer.headers().empty());
  }
}

TEST_CASE("a request that failed with an older token tries the newer one before it asks again") {
  const Home home;
  TokenServer tokens;
  Authorizer authorizer(tokens.host(), true);
  const auto answer = [&](const http::Headers& sent, const std::string& scope) {
    authorizer.answer({.status = 401, .headers = {{"WWW-Authenticate", tokens.challenge(scope)}}},
                      sent, tokens.running.url("/v2/"), {});
    return tokens.asked.size();
  };
  CHECK(answer({}, "repository:a/b:pull") == 1);
  CHECK(answer({}, "repository:a/b:pull") == 1);  // as of a thread that asked at the same time
  CHECK(answer({}, "repository:a/b:pull,push") == 2);
  CHECK(answer(authorizer.headers(), "repository:a/b:pull,push") == 3);  // it has expired
}

}  // namespace
}  // namespace cria::store
