#include "api/rerank.h"

#include "api/dialect.h"
#include "api/fields.h"
#include "api/ollama.h"
#include "base/error.h"

namespace cria::api {
namespace {

constexpr std::string_view kType = "RerankRequest";
constexpr size_t kMaxDocuments = 10'000;

// Strings, or objects with one under "text".
std::vector<std::string> documents_of(const Fields& fields) {
  const Json list = fields.list("documents");
  if (list.empty())
    fail(ErrorKind::kInvalidInput,
         "documents is required: a list of texts, or of {{\"text\": ...}}");
  if (list.size() > kMaxDocuments)
    fail(ErrorKind::kInvalidInput, "documents holds {} texts, at most {} are ranked at a time",
         list.size(), kMaxDocuments);
  std::vector<std::string> out;
  out.reserve(list.size());
  for (const Json& item : list) {
    if (item.is_string()) {
      out.push_back(item.get<std::string>());
      continue;
    }
    const Fields document(kType, item, "documents.");
    if (document.find("text") == nullptr)
      fail(ErrorKind::kInvalidInput, "documents[{}] has no text", out.size());
    out.push_back(document.text("text"));
  }
  return out;
}

}  // namespace

RerankRequest parse_rerank(const Json& body) {
  const Fields fields(kType, body);
  RerankRequest out = {.model = fields.required("model"),
                       .query = fields.required("query"),
                       .documents = {},
                       .return_documents = fields.flag("return_documents").value_or(false),
                       .truncate = fields.flag("truncate").value_or(true),
                       .options = check_options(fields.object("options")),
                       .keep_alive = parse_keep_alive(fields.find("keep_alive"))};
  copy_context(fields, out.options);
  out.documents = documents_of(fields);
  if (const auto top_n = fields.integer("top_n")) {
    if (*top_n < 1) fail(ErrorKind::kInvalidInput, "top_n is {}, but must be 1 or more", *top_n);
    out.top_n = *top_n;
  }
  return out;
}

}  // namespace cria::api
