// exec.h - runs a parsed template.
#pragma once

#include "text/template/format.h"
#include "text/template/node.h"
#include "text/template/template.h"

namespace cria::text {

void execute_template(const ParsedTemplate& parsed, const Value& data, const TemplateLimits& limits,
                      Output& out);

}  // namespace cria::text
