#include "server/service.h"

namespace cria::server {

void answer_json(http::Exchange& exchange, const Json& body, int status) {
  exchange.respond({.status = status, .body = dump_json(body)});
}

void answer_error(http::Exchange& exchange, int status, std::string_view message) {
  answer_json(exchange, {{"error", message}}, status);
}

void LineStream::send(const Json& line) {
  if (!exchange_.started()) exchange_.start_stream({.content_type = "application/x-ndjson"});
  exchange_.write(dump_json(line) + "\n");
}

void get_root(Service&, http::Exchange& exchange, const std::string&) {
  exchange.respond({.content_type = "text/plain; charset=utf-8", .body = "Ollama is running"});
}

void get_version(Service&, http::Exchange& exchange, const std::string&) {
  answer_json(exchange, {{"version", kVersion}});
}

}  // namespace cria::server
