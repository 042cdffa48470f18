#include "store/name.h"

#include "base/error.h"
#include "store/manifest.h"

#include <doctest/doctest.h>

namespace cria::store {
namespace {

const std::string kHex(64, 'a');

TEST_CASE("missing parts of a name take Ollama's defaults") {
  CHECK(ModelName::require("m").full() == "registry.ollama.ai/library/m:latest");
  CHECK(ModelName::require("m:7b").full() == "registry.ollama.ai/library/m:7b");
  CHECK(ModelName::require("a/b").full() == "registry.ollama.ai/a/b:latest");
  CHECK(ModelName::require("h:5000/n/m:t").full() == "h:5000/n/m:t");
  CHECK(ModelName::require("http://h/n/m").scheme() == "http");
  CHECK(ModelName::require("h/n/m").scheme() == "https");
}

TEST_CASE("the short text leaves out default host and namespace and always has the tag") {
  CHECK(ModelName::require("m").short_text() == "m:latest");
  CHECK(ModelName::require("Registry.Ollama.AI/Library/m:t").short_text() == "m:t");
  CHECK(ModelName::require("n/m").short_text() == "n/m:latest");
  CHECK(ModelName::require("h/library/m").short_text() == "h/library/m:latest");
}

TEST_CASE("names with a bad part are refused") {
  for (const char* text : {"",
                           ":",
                           "x:",
                           ":x",
                           "/x",
                           "x/",
                           "a//b",
                           ".hidden",
                           "../m",
                           "..",
                           "m:..",
                           "m:.",
                           "a/../m:t",
                           "-m",
                           "m:-t",
                           "n.s/m",
                           "localhost:5000/m",
                           "a/b/c/d",
                           "ftp://h/n/m",
                           "h/n/m@sha256:00",
                           "m m",
                           "m\n",
                           "m:t/",
                           "é",
                           "h h/n/m",
                           "://h/n/m"})
    CHECK_MESSAGE(!ModelName::parse(text), text);
  CHECK_FALSE(ModelName::parse(std::string_view("m\0x", 3)));
}

TEST_CASE("each part of a name may have its longest length and not one byte more") {
  const std::string n80(80, 'n'), n81(81, 'n');
  CHECK(ModelName::parse(n80 + "/" + n80 + ":" + n80));
  CHECK_FALSE(ModelName::parse(n81));
  CHECK_FALSE(ModelName::parse(n81 + "/m"));
  CHECK_FALSE(ModelName::parse("m:" + n81));
  CHECK(ModelName::parse(std::string(350, 'h') + "/n/m"));
  CHECK_FALSE(ModelName::parse(std::string(351, 'h') + "/n/m"));
}

TEST_CASE("names are the same in any letter case") {
  CHECK(ModelName::require("Llama:7B").same(ModelName::require("llama:7b")));
  CHECK_FALSE(ModelName::require("llama").same(ModelName::require("llama:7b")));
  CHECK(ModelName::require("h/N/m:b").same_parts(ModelName::require("H/n/M:a")) == 3);
}

TEST_CASE("a digest is sha256 and 64 hexadecimal digits") {
  CHECK(Digest::require("sha256:" + kHex).file_name() == "sha256-" + kHex);
  CHECK(Digest::require("sha256-" + std::string(64, 'A')).text() == "sha256:" + kHex);
  for (const std::string& text :
       {kHex, "sha256:" + kHex + "a", "sha256:" + kHex.substr(1), "sha1:" + kHex, std::string(),
        std::string("sha256:../../../../../../../../../../../../../../../../../../../etc/passwd/"),
        "sha256:" + kHex.substr(1) + "g", "sha256:" + kHex.substr(1) + "/"})
    CHECK_MESSAGE(!Digest::parse(text), text);
}

std::string manifest_with(const std::string& layer) {
  return R"({"schemaVersion":2,"config":{"mediaType":"c","digest":"sha256:)" + kHex +
         R"(","size":1},"layers":[)" + layer + "]}";
}

std::string layer_with(const std::string& digest, const std::string& size) {
  return R"({"mediaType":"application/vnd.ollama.image.model","digest":)" + digest + R"(,"size":)" +
         size + "}";
}

TEST_CASE("a manifest is written exactly as Ollama writes it") {
  const auto digest = Digest::require("sha256:" + kHex);
  Manifest manifest = {.config = {std::string(kConfigType), digest, 5}, .layers = {}};
  manifest.layers.push_back({"application/vnd.ollama.image.model", digest, 7, "<base>:latest"});
  CHECK(
      manifest.text() ==
      R"({"schemaVersion":2,"mediaType":"application/vnd.docker.distribution.manifest.v2+json",)"
      R"("config":{"mediaType":"application/vnd.docker.container.image.v1+json","digest":"sha256:)" +
          kHex +
          R"(","size":5},"layers":[{"mediaType":"application/vnd.ollama.image.model",)"
          R"("digest":"sha256:)" +
          kHex + R"(","size":7,"from":"\u003cbase\u003e:latest"}]})" + "\n");
  const Manifest again = Manifest::parse(manifest.text());
  CHECK(again.text() == manifest.text());
  CHECK(again.total_size() == 12);
  CHECK(again.find("model")->from == "<base>:latest");
  CHECK(again.find("template") == nullptr);
}

TEST_CASE("unknown fields and media types of a manifest are tolerated") {
  const std::string other =
      R"({"mediaType":"x/y","digest":"sha256:)" + kHex + R"(","size":3,"annotations":{"a":[1]}})";
  const Manifest manifest = Manifest::parse(manifest_with(other));
  CHECK(manifest.layers.at(0).kind().empty());
  CHECK(manifest.layers.at(0).media_type == "x/y");
}

TEST_CASE("a hostile manifest gives one clear error") {
  const std::string good = "\"sha256:" + kHex + "\"";
  for (const std::string& text :
       {std::string(), std::string("null"), std::string("[]"), std::string("{"), std::string("{}"),
        std::string(100'000, '['), manifest_with("1"), manifest_with("{}"),
        manifest_with(layer_with("\"../../etc/passwd\"", "1")), manifest_with(layer_with("7", "1")),
        manifest_with(layer_with(good, "-1")), manifest_with(layer_with(good, "1e30")),
        manifest_with(layer_with(good, "\"1\"")), manifest_with(layer_with(good, "1.5")),
        manifest_with(layer_with(good, "18446744073709551615")),
        manifest_with(layer_with(good, "9223372036854775807") + "," + layer_with(good, "1")),
        R"({"config":{},"layers":[]})" + std::string(), R"({"layers":[]})" + std::string()})
    CHECK_THROWS_AS_MESSAGE(Manifest::parse(text), Error, text.substr(0, 200));
}

TEST_CASE("JSON is escaped as Go does") {
  CHECK(go_json({{"stop", "<|im_end|>&\xe2\x80\xa8"}}) ==
        "{\"stop\":\"\\u003c|im_end|\\u003e\\u0026\\u2028\"}\n");
}

}  // namespace
}  // namespace cria::store
