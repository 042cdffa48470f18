// profile.h - where the time of a plan's steps goes, by operation; on with CRIA_PROFILE=1.
//
// Thread 0 measures: its own work, and its waiting at the barrier after it.
#pragma once

#include "ml/cpu/program.h"

#include <string>
#include <vector>

namespace cria::ml::cpu {

int64_t now_ns() noexcept;  // of a clock that only goes forward

class Profile {
 public:
  explicit Profile(const Program& program);
  ~Profile();  // logs the table
  Profile(const Profile&) = delete;
  Profile& operator=(const Profile&) = delete;

  void add_row_op(RowKind kind, int64_t ns) { add(rows_[static_cast<size_t>(kind)], ns); }
  void add_stage(size_t stage, int64_t ns) { add(stages_[stage], ns); }
  void add_step(int64_t ns) { add(steps_, ns); }

 private:
  struct Entry {
    int64_t ns = 0, count = 0;
  };
  static void add(Entry& entry, int64_t ns) {
    entry.ns += ns;
    ++entry.count;
  }
  std::vector<std::string> names_;  // of stages; empty for rows
  std::vector<Entry> stages_, rows_;
  Entry steps_;
};

}  // namespace cria::ml::cpu
