// routes.h - the table of endpoints, and the way of a request to its handler.
#pragma once

#include "http/server.h"
#include "server/access.h"
#include "server/service.h"

namespace cria::server {

// Runs a request: access rules, route, API key, handler, errors as JSON, the access log.
void serve_request(Service& service, const Access& access, http::Exchange& exchange);
// How the body of a request is to be taken, from its head alone.
http::BodyRule body_rule(Service& service, const http::Request& head);

}  // namespace cria::server
