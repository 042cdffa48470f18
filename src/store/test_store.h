// test_store.h - a store in a folder of its own, for tests.
#pragma once

#include "store/store.h"

#include <unistd.h>

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

namespace cria::store {

struct TestStore {
  fs::path folder;
  Store store;

  explicit TestStore(std::string_view name) : folder(fresh(name)), store(folder) {}
  ~TestStore() { fs::remove_all(folder); }
  TestStore(const TestStore&) = delete;
  TestStore& operator=(const TestStore&) = delete;

  static fs::path fresh(std::string_view name) {
    // In memory where possible: these tests sync hundreds of files.
    const fs::path memory = "/dev/shm";
    const fs::path parent = fs::is_directory(memory) ? memory : fs::temp_directory_path();
    const fs::path path = parent / fmt::format("cria_store_{}_{}", name, ::getpid());
    fs::remove_all(path);
    return path;
  }

  fs::path manifest_path(std::string_view rest) const {
    return folder / "manifests/registry.ollama.ai" / rest;
  }

  // Files below the folder, sorted, without folders.
  std::vector<std::string> files(std::string_view below = "") const {
    std::vector<std::string> found;
    for (const auto& entry : fs::recursive_directory_iterator(folder / below))
      if (!entry.is_directory()) found.push_back(entry.path().filename().string());
    std::ranges::sort(found);
    return found;
  }
};

// Makes a model of one text layer. The config is the same for all.
inline Manifest make_model(Store& store, std::string_view name, std::string_view content) {
  Manifest manifest = {.config = store.write_blob("{}\n", "config"), .layers = {}};
  manifest.layers.push_back(store.write_blob(content, "model"));
  store.write_manifest(ModelName::require(name), manifest);
  return manifest;
}

inline std::vector<std::string> names(const Store& store) {
  std::vector<std::string> found;
  for (const StoredModel& model : store.list()) found.push_back(model.name.short_text());
  std::ranges::sort(found);
  return found;
}

}  // namespace cria::store
