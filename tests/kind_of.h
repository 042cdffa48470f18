// kind_of.h - the kind of the Error that a function throws.
#pragma once

#include "base/error.h"

#include <doctest/doctest.h>

namespace cria::test {

ErrorKind kind_of(auto&& body) {
  try {
    body();
  } catch (const Error& e) {
    return e.kind();
  }
  FAIL("nothing was thrown");
  return ErrorKind::kInternal;
}

}  // namespace cria::test
