// trainer/parallel/run_ranks.cpp: see run_ranks.h.
#include "trainer/parallel/run_ranks.h"

#include <signal.h>

#include "core/error.h"
#include "core/hash.h"
#include "core/stop.h"
#include "core/text.h"

namespace polygraft::trainer {

void RunRanks::wait_for_all() const {
  if (grid_ != nullptr) grid_->world().barrier();
}

void RunRanks::throw_if_stopped() const {
  if (grid_ == nullptr) return polygraft::throw_if_stopped();
  int64_t num_stopped = stop_requested() ? 1 : 0;
  grid_->world().all_reduce_sum(std::span(&num_stopped, 1));
  if (num_stopped == 0) return;
  polygraft::throw_if_stopped();
  throw Interrupted(SIGTERM);
}

void RunRanks::require_same(const std::string& settings) const {
  if (grid_ == nullptr) return;
  const std::string own = sha256(settings);
  std::string all(own.size() * static_cast<size_t>(size()), ' ');
  grid_->world().all_gather(std::as_bytes(std::span(own)), std::as_writable_bytes(std::span(all)));
  for (int r = 1; r < size(); ++r) {
    if (all.compare(own.size() * static_cast<size_t>(r), own.size(), all, 0, own.size()) == 0) {
      continue;
    }
    throw ConfigError(concat("rank ", r), "is not about to do what rank 0 does")
        .expected("the same settings, text, weights, checkpoints and number of threads")
        .hint("give all ranks the same command, and a run_dir that all of them see");
  }
}

ProbeResult RunRanks::gathered(ProbeResult own) const {
  if (grid_ == nullptr) return own;
  static_assert(std::is_trivially_copyable_v<ProbeLine>);
  std::vector<ProbeLine> lines;
  for (const auto& [language, line] : own) lines.push_back(line);
  std::vector<ProbeLine> all(lines.size() * static_cast<size_t>(size()));
  grid_->world().all_gather(std::as_bytes(std::span(lines)),
                            std::as_writable_bytes(std::span(all)));
  size_t place = 0;
  for (auto& [language, line] : own) {
    line = all[static_cast<size_t>(probing_rank(place, size())) * lines.size() + place];
    ++place;
  }
  return own;
}

}  // namespace polygraft::trainer
