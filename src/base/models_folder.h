// models_folder.h - where models live, and with them what Cria keeps beside them.
#pragma once

#include <filesystem>

namespace cria {

std::filesystem::path models_folder();  // OLLAMA_MODELS, else ~/.ollama/models

}  // namespace cria
