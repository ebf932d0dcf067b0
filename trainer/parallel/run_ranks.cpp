// trainer/parallel/run_ranks.cpp: see run_ranks.h.
#include "trainer/parallel/run_ranks.h"

#include "core/hash.h"
#include "core/text.h"
#include "trainer/parallel/tensor_bytes.h"

namespace polygraft::trainer {

void RunRanks::require_same_values(const Parameters& parameters) const {
  if (is_alone()) return;
  Sha256 hash;
  for (const Parameter& parameter : parameters) {
    const at::Tensor value = parameter.value.detach().cpu();
    const parallel::ConstBytes bytes = bytes_of(value);
    hash.update(bytes.data(), bytes.size());
  }
  const int unlike = first_unlike(hash.finish());
  if (unlike == 0) return;
  throw parallel::RankError(concat("rank ", unlike), "has trained other weights than rank 0")
      .expected("the same bits")
      .hint("the last checkpoint is older than that; look for a GPU, a link or memory that fails");
}

ProbeResult RunRanks::gathered(ProbeResult own, int num_teams) const {
  static_assert(std::is_trivially_copyable_v<ProbeLine>);
  parallel::Deliveries lines(*this);
  size_t place = 0;
  for (auto& [language, line] : own) {
    const int first_of_team = probing_team(place++, num_teams) * (size() / num_teams);
    lines.to_all(first_of_team, std::as_writable_bytes(std::span(&line, 1)));
  }
  lines.wait();
  return own;
}

}  // namespace polygraft::trainer
