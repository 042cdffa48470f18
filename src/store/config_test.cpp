#include "store/config.h"

#include <doctest/doctest.h>

namespace cria::store {
namespace {

TEST_CASE("a config has Ollama's fields in Ollama's order") {
  const Json config = {{"os", "other"},
                       {"file_type", "Q4_K_M"},
                       {"renderer", ""},
                       {"parser", "gemma4"},
                       {"model_families", Json::array({"llama"})},
                       {"model_family", "llama"},
                       {"model_format", "gguf"},
                       {"context_length", 0},
                       {"capabilities", Json::array()},
                       {"rootfs", {{"type", "layers"}}},
                       {"model_type", "1.2B"}};
  CHECK(config_text(config) ==
        R"({"model_format":"gguf","model_family":"llama","model_families":["llama"],)"
        R"("model_type":"1.2B","file_type":"Q4_K_M","parser":"gemma4","architecture":"amd64",)"
        R"("os":"linux"})"
        "\n");
}

TEST_CASE("a config that knows nothing still has the fields that are always there") {
  CHECK(config_text(Json::object()) ==
        R"({"model_format":"","model_family":"","model_families":null,"model_type":"",)"
        R"("file_type":"","architecture":"amd64","os":"linux"})"
        "\n");
}

TEST_CASE("parameters are written with their keys sorted") {
  CHECK(go_map_json(parse_json(R"({"top_k":2,"stop":["<b>","a"],"a":{"d":1,"c":null}})")) ==
        R"({"a":{"c":null,"d":1},"stop":["\u003cb\u003e","a"],"top_k":2})"
        "\n");
}

}  // namespace
}  // namespace cria::store
