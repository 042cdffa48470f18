// inference.h - what all endpoints share that send a request to a runner.
#pragma once

#include "base/error.h"
#include "base/json.h"
#include "server/models.h"
#include "server/scheduler.h"

namespace cria::server {

// The model's parameters with those of the request over them.
Json merged_options(const Model& model, const Json& given);
// What a runner of this model is loaded with.
ModelUse use_of(const Model& model, const Json& options);
// With the status that clients know for what a runner reports.
Error as_client_error(const Error& error);

}  // namespace cria::server
