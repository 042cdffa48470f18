// blobs.cpp - what changes the store without looking into a model: blobs, copy, delete.
#include "api/fields.h"
#include "base/log.h"
#include "server/service.h"

#include <algorithm>
#include <vector>

namespace cria::server {
namespace {

constexpr size_t kPiece = size_t{256} << 10;

}  // namespace

void head_blob(Service& service, http::Exchange& exchange, const std::string& text) {
  const auto digest = store::Digest::require(text);
  if (!service.models.store().has_blob(digest))
    fail(ErrorKind::kNotFound, "blob \"{}\" not found", text);
  exchange.respond({.status = 200, .body = {}});
}

// Ours alone: what `export` reads.
void get_blob(Service& service, http::Exchange& exchange, const std::string& text) {
  const auto digest = store::Digest::require(text);
  if (!service.models.store().has_blob(digest))
    fail(ErrorKind::kNotFound, "blob \"{}\" not found", text);
  const auto file = File::open(service.models.store().blob_path(digest));
  exchange.start_stream({.content_type = "application/octet-stream"});
  std::string piece;
  for (int64_t at = 0; at < file->size(); at += std::ssize(piece)) {
    piece.resize(static_cast<size_t>(std::min(static_cast<int64_t>(kPiece), file->size() - at)));
    file->read_at(at, std::as_writable_bytes(std::span(piece)));
    exchange.write(piece);
  }
}

void post_blob(Service& service, http::Exchange& exchange, const std::string& text) {
  const auto digest = store::Digest::require(text);
  store::Store& store = service.models.store();
  std::vector<std::byte> piece(kPiece);
  if (store.has_blob(digest)) {
    // Clients that are in the middle of sending take an early answer for a broken connection.
    const bool asks_first = http::find_header(exchange.request().headers, "Expect") != nullptr;
    while (!asks_first && exchange.read_body(piece) > 0) {
    }
    return exchange.respond({.status = 200, .body = {}});
  }
  store::Store::Upload upload(store);
  while (const size_t count = exchange.read_body(piece))
    upload.write(std::span(piece).first(count));
  upload.finish(digest);
  exchange.respond({.status = 201, .body = {}});
}

void post_copy(Service& service, http::Exchange& exchange, const std::string&) {
  const Json body = api::parse_body(exchange.request().body);
  const api::Fields fields("CopyRequest", body);
  const std::string source = fields.text("source"), destination = fields.text("destination");
  const auto from = store::ModelName::parse(source), to = store::ModelName::parse(destination);
  if (!from) fail(ErrorKind::kInvalidInput, "source \"{}\" is invalid", source);
  if (!to) fail(ErrorKind::kInvalidInput, "destination \"{}\" is invalid", destination);
  if (!service.models.store().find(*from))
    fail(ErrorKind::kNotFound, "model \"{}\" not found", source);
  service.models.store().copy(*from, *to);
  exchange.respond({.status = 200, .body = {}});
}

void delete_model(Service& service, http::Exchange& exchange, const std::string&) {
  const std::string name =
      api::parse_model_name("DeleteRequest", api::parse_body(exchange.request().body));
  if (name.empty()) fail(ErrorKind::kInvalidInput, "model is required");
  const auto parsed = store::ModelName::parse(name);
  if (!parsed) fail(ErrorKind::kInvalidInput, "name \"{}\" is invalid", name);
  bool exists = true;  // a model whose manifest is broken can be deleted as well
  try {
    exists = service.models.store().find(*parsed).has_value();
  } catch (const Error& e) {
    log::warn("deleting {}: {}", name, e.what());
  }
  if (!exists) fail(ErrorKind::kNotFound, "model '{}' not found", name);
  service.models.store().remove(*parsed);
  exchange.respond({.status = 200, .body = {}});
}

}  // namespace cria::server
