#include "store/registry/hub.h"

#include "base/error.h"
#include "base/shard_name.h"
#include "base/text.h"

#include <algorithm>
#include <map>
#include <optional>

namespace cria::store {
namespace {

constexpr std::chrono::seconds kMaxTime{30};
constexpr size_t kMaxNamed = 20;  // in an error

// One model of a repository: a file, or the parts of one.
struct Candidate {
  std::string name;              // "x-Q4_K_M", without folder, part and ending
  std::string folder;            // "Q4_K_M", often empty
  int count = 1;                 // of parts
  std::map<int, HubFile> parts;  // by their number
};

std::string_view base_name(std::string_view path) {
  const size_t slash = path.rfind('/');
  return slash == std::string_view::npos ? path : path.substr(slash + 1);
}

std::string encoded_path(std::string_view path) {
  std::string out;
  for (size_t start = 0; start <= path.size();) {
    const size_t end = std::min(path.find('/', start), path.size());
    out += (out.empty() ? "" : "/") + http::percent_encode(path.substr(start, end - start));
    start = end + 1;
  }
  return out;
}

// An entry of the list, when it is a file that can be a blob.
std::optional<HubFile> file_of(const Json& entry, const ModelName& name, const std::string& base) {
  const std::string path = json_string(entry, "path").value_or("");
  const Json* lfs = json_find(entry, "lfs");
  if (!is_plain_path(path) || !lower_case(path).ends_with(".gguf") || lfs == nullptr)
    return std::nullopt;
  const auto digest = Digest::parse("sha256:" + json_string(*lfs, "oid").value_or(""));
  const auto size = json_integer(*lfs, "size");
  if (!digest || !size || *size <= 0 || *size > kMaxBlob) return std::nullopt;
  return HubFile{.name = std::string(base_name(path)),
                 .source = {.name = name,
                            .url = base + "/resolve/main/" + encoded_path(path),
                            .digest = *digest,
                            .size = *size}};
}

struct Repository {
  std::map<std::string, Candidate> models;  // by path without part and ending
  std::vector<HubFile> projectors;
};

Repository read_list(const Json& list, const ModelName& name, const std::string& base) {
  Repository found;
  for (const Json& entry : list) {
    auto file = file_of(entry, name, base);
    if (!file) continue;
    const std::string path = json_string(entry, "path").value_or("");
    const std::string lower = lower_case(file->name);
    if (lower.find("imatrix") != std::string::npos) continue;  // statistics, no model
    if (lower.find("mmproj") != std::string::npos) {
      found.projectors.push_back(std::move(*file));
      continue;
    }
    const auto part = parse_shard_name(path);
    const std::string stem = part ? part->prefix : path.substr(0, path.size() - 5);
    Candidate& model = found.models[fmt::format("{} {}", stem, part ? part->count : 1)];
    model.name = base_name(stem);
    model.folder = stem.substr(0, stem.size() - std::min(stem.size(), model.name.size() + 1));
    model.count = part ? part->count : 1;
    model.parts.emplace(part ? part->number : 1, std::move(*file));
  }
  return found;
}

// Whether `quant` stands in `name` as a word: "Q4_K" is not in "x-Q4_K_M".
bool has_word(const std::string& name, const std::string& quant) {
  const auto ends_word = [&](size_t at) {
    return at >= name.size() || std::string_view("-. ").find(name[at]) != std::string_view::npos;
  };
  for (size_t at = name.find(quant); at != std::string::npos; at = name.find(quant, at + 1))
    if ((at == 0 || ends_word(at - 1)) && ends_word(at + quant.size())) return true;
  return false;
}

const Candidate* with_quant(const Repository& repository, const std::string& quant) {
  const Candidate* best = nullptr;
  for (const auto& [path, model] : repository.models) {
    const bool fits =
        has_word(lower_case(model.name), quant) || lower_case(base_name(model.folder)) == quant;
    if (fits && (best == nullptr || model.name.size() < best->name.size())) best = &model;
  }
  return best;
}

const Candidate* choose(const Repository& repository, const std::string& tag) {
  std::string wanted = lower_case(tag);
  if (wanted.ends_with(".gguf")) wanted.resize(wanted.size() - 5);
  for (const auto& [path, model] : repository.models)
    if (lower_case(model.name) == wanted) return &model;
  if (wanted != "latest") return with_quant(repository, wanted);
  for (const char* usual : {"q4_k_m", "q4_k_s", "q4_0", "q5_k_m", "q8_0"})
    if (const Candidate* model = with_quant(repository, usual)) return model;
  return &repository.models.begin()->second;
}

std::string names_of(const Repository& repository) {
  std::string names;
  size_t count = 0;
  for (const auto& [path, model] : repository.models) {
    if (++count > kMaxNamed) return names + ", ...";
    names += (names.empty() ? "" : ", ") + one_line(model.name, 100);
  }
  return names;
}

}  // namespace

std::vector<HubFile> find_hub_files(Registry& registry, const ModelName& name,
                                    const TransferOptions& options) {
  const std::string repository = name.space() + "/" + name.model();
  http::ClientResponse response;
  try {
    response = registry.follow(
        {.url = registry.origin() + "api/models/" + repository + "/tree/main?recursive=true",
         .stop = options.stop,
         .total_timeout = kMaxTime});
  } catch (const Error& e) {
    if (e.kind() == ErrorKind::kCancelled) throw;
    return {};  // why there is no manifest says more
  }
  if (!response.ok()) return {};
  return in_context("the list of the repository's files", [&]() -> std::vector<HubFile> {
    const Json list = parse_json(response.body);
    if (!list.is_array()) fail(ErrorKind::kInvalidInput, "it is no list");
    const Repository found = read_list(list, name, registry.origin() + repository);
    if (found.models.empty()) fail(ErrorKind::kNotFound, "there is no GGUF file in {}", repository);
    const Candidate* model = choose(found, name.tag());
    if (model == nullptr)
      fail(ErrorKind::kNotFound, "nothing in {} is called {}; there is {}", repository, name.tag(),
           names_of(found));
    std::vector<HubFile> files;
    for (int number = 1; number <= model->count; ++number) {
      const auto part = model->parts.find(number);
      if (part == model->parts.end())
        fail(ErrorKind::kNotFound, "part {} of {} of {} is missing", number, model->count,
             model->name);
      files.push_back(part->second);
    }
    const auto half = std::ranges::find_if(found.projectors, [](const HubFile& file) {
      return has_word(lower_case(file.name.substr(0, file.name.size() - 5)), "f16");
    });
    if (half != found.projectors.end())
      files.push_back(*half);
    else if (!found.projectors.empty())
      files.push_back(found.projectors.front());
    return files;
  });
}

}  // namespace cria::store
