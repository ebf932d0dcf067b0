// tests/cli/proposal_test.cpp: what is proposed where memory is short.
#include "cli/pipeline/proposal.h"

#include <catch2/catch.hpp>
#include <cstdlib>
#include <set>

#include "core/text.h"

using namespace polygraft;
using namespace polygraft::cli;

namespace {

fs::path olmoe_shape() {
  const char* source = std::getenv("POLYGRAFT_SOURCE_DIR");
  return (source == nullptr ? fs::current_path() : fs::path(source)) / "configs" / "shapes" /
         "olmoe-1b-7b";
}

Proposal propose(double memory_gib) {
  ProposalInputs inputs;
  inputs.base = olmoe_shape().string();
  inputs.new_text = {.num_bytes = 4'000'000, .num_tokens = 1'000'000};
  inputs.machine = {.name = "a machine", .memory_gib = memory_gib, .teraflops = 1};
  return propose_pipeline(inputs);
}

}  // namespace

TEST_CASE("experts shrink to a single one before nothing fits", "[cli][proposal]") {
  std::set<int64_t> counts;
  double memory_gib = 256;
  try {
    for (;; memory_gib *= 0.95) {
      counts.insert(propose(memory_gib).plan.json.at("added_experts_per_layer").get<int64_t>());
    }
  } catch (const ConfigError& error) {
    CHECK_THAT(error.what(), Catch::Contains("the smallest expansion") &&
                                 Catch::Contains(concat(memory_gib, " GiB")));
  }
  CHECK(counts == std::set<int64_t>{1, 2, 4, 8, 16});
}
