// skip.h - how a test says that what it needs is not on this machine.
#pragma once

#include <string>

namespace cria::test {

// Prints why, loudly, and lets a program whose tests all pass end with 77, which ctest reports as
// skipped: a test that tested nothing never counts as passed.
void skip(const std::string& why);

}  // namespace cria::test
