#include "store/registry/auth.h"

#include "base/error.h"

namespace cria::store {

Authorizer::Authorizer(std::string host_with_port, bool) : host_(std::move(host_with_port)) {}

http::Headers Authorizer::headers() const {
  return {};
}

void Authorizer::answer(const http::ClientResponse&, const std::string&, const std::stop_token&) {
  fail(ErrorKind::kUnauthorized, "unauthorized: the registry {} asks for credentials", host_);
}

}  // namespace cria::store
