// trainer/parallel/run_ranks.cpp: see run_ranks.h.
#include "trainer/parallel/run_ranks.h"

namespace polygraft::trainer {

ProbeResult RunRanks::gathered(ProbeResult own) const {
  static_assert(std::is_trivially_copyable_v<ProbeLine>);
  parallel::Deliveries lines(*this);
  size_t place = 0;
  for (auto& [language, line] : own) {
    lines.to_all(probing_rank(place++, size()), std::as_writable_bytes(std::span(&line, 1)));
  }
  lines.wait();
  return own;
}

}  // namespace polygraft::trainer
