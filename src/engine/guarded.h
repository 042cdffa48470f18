// guarded.h - what goes wrong inside a request ends that request.
#pragma once

#include "base/error.h"
#include "engine/generation.h"
#include "protocol/protocol.h"

#include <cstdint>
#include <new>

namespace cria::engine {

// Runs `body` for a request; an Error, or a lack of memory, becomes its Failure. False when it
// failed.
template <class Body>
bool guarded(const Emit& emit, uint64_t id, Body&& body) {
  try {
    body();
    return true;
  } catch (const Error& e) {
    emit(protocol::Failure{.id = id, .kind = e.kind(), .message = e.what()});
  } catch (const std::bad_alloc&) {
    emit(protocol::Failure{
        .id = id, .kind = ErrorKind::kOutOfMemory, .message = "no memory left for this request"});
  }
  return false;
}

}  // namespace cria::engine
