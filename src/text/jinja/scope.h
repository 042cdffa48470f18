// scope.h - a frame of variables that lasts as long as this object; its memory serves the next one.
#pragma once

#include "text/jinja/interpreter.h"

#include <utility>

namespace cria::jinja {

class Interpreter::Scope {
 public:
  // Variables that are not in the new frame are looked for in `around`.
  Scope(Interpreter& interpreter, Frame* around)
      : interpreter_(interpreter), outer_(interpreter.frame_) {
    auto& unused = interpreter.free_frames_;
    if (unused.empty()) {
      interpreter.rt_.charge(sizeof(Frame));
      interpreter.frame_ = &interpreter.frames_.emplace_back();
    } else {
      interpreter.frame_ = unused.back();
      unused.pop_back();
      interpreter.frame_->variables.clear();
    }
    interpreter.frame_->parent = around;
  }
  ~Scope() {
    Frame* mine = std::exchange(interpreter_.frame_, outer_);
    if (!mine->captured) interpreter_.free_frames_.push_back(mine);
  }
  Scope(const Scope&) = delete;
  Scope& operator=(const Scope&) = delete;

 private:
  Interpreter& interpreter_;
  Frame* outer_;
};

}  // namespace cria::jinja
