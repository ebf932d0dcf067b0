// tests/model/architecture/sequence_layout_test.cpp: sequences of many lengths in few groups.
#include "model/architecture/sequence_layout.h"

#include <ATen/core/grad_mode.h>

#include "model/architecture/transformer.h"
#include "tests/model/architecture/compare.h"
#include "tests/model/architecture/tiny_model.h"
#include "tests/model/simulated_gpu/simulated_gpu.h"

namespace polygraft::testing {
namespace {

using model::PaddedSequences;

const std::vector<int64_t> kLengths = {7, 4, 1, 12, 5, 6, 4, 15, 2, 3, 9};

int64_t count_places(const PaddedSequences& padded) {
  int64_t count = 0;
  for (const model::SequenceGroup& group : padded.groups()) count += group.num_tokens();
  return count;
}

TEST_CASE("sequences of many lengths make few groups, and little padding", "[layout]") {
  const auto layout = model::lay_out(random_batch(kLengths, 40), simulated_gpu());
  REQUIRE(layout.groups.size() == kLengths.size());
  REQUIRE(layout.padded.has_value());
  CHECK(layout.padded->groups().size() == 4);  // of 1; 2, 3; 4 to 7; 8 to 15
  CHECK(layout.padded->longest() == 15);
  CHECK(count_places(*layout.padded) == 1 + 2 * 3 + 5 * 7 + 3 * 15);
  CHECK(count_places(*layout.padded) < 2 * 68);
  CHECK_FALSE(model::lay_out(random_batch({6, 6, 6}, 40), simulated_gpu()).padded.has_value());
  CHECK_FALSE(model::lay_out(random_batch(kLengths, 40), at::kCPU).padded.has_value());
}

TEST_CASE("padding comes and goes without a trace, in gradients too", "[layout]") {
  at::manual_seed(3);
  const PaddedSequences padded(kLengths, simulated_gpu());
  const auto x_TC = at::randn({68, 3}).to(simulated_gpu()).requires_grad_(true);
  CHECK(bitwise_equal(padded.unpad(padded.pad(x_TC)), x_TC));
  const auto scale_P = at::randn({count_places(padded), 1}).to(simulated_gpu());
  const auto d_y_TC = at::randn({68, 3}).to(simulated_gpu());
  padded.unpad(padded.pad(x_TC) * scale_P).backward(d_y_TC);
  CHECK(bitwise_equal(x_TC.grad(), d_y_TC * padded.unpad(scale_P)));
}

TEST_CASE("what a GPU computes of a sequence does not depend on those beside it",
          "[layout][device]") {
  const at::NoGradGuard no_grad;
  auto config = tiny_config();
  config.expert_width = 24;
  const model::Gpu gpu = open_simulated_gpu();
  const auto model =
      model::Transformer(config, lively_weights(config, 5)).on_device(gpu.device, gpu.executor);
  const model::Batch batch = random_batch(kLengths, config.vocab_rows);
  const auto together_TD = model.hidden(batch).cpu();
  int64_t first = 0;
  for (const int64_t length : kLengths) {
    const auto alone_TD = model.hidden({batch.ids_T.narrow(0, first, length), {length}}).cpu();
    require_close("hidden", together_TD.narrow(0, first, length), alone_TD, at::kBFloat16);
    first += length;
  }
}

}  // namespace
}  // namespace polygraft::testing
