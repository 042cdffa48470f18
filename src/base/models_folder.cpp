#include "base/models_folder.h"

#include "base/settings.h"

namespace cria {

std::filesystem::path models_folder() {
  const std::filesystem::path folder = setting("OLLAMA_MODELS");
  return folder.empty() ? std::filesystem::path(setting("HOME")) / ".ollama/models" : folder;
}

}  // namespace cria
