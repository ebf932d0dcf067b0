// tests/expand/language_mark_test.cpp: the mark of new input rows. Old tokens of "new" text are
// drawn as old text's are, so that nothing but a mark can tell the two apart.
#include "expand/language_mark.h"

#include <ATen/core/grad_mode.h>

#include <catch2/catch.hpp>

#include "core/random.h"
#include "tests/core/temporary_folder.h"
#include "tests/expand/tiny_model.h"
#include "tests/model/parallel/in_process.h"

namespace polygraft::testing {

using expand::LanguageMark;
using expand::Sequence;
using model::Transformer;

namespace {

constexpr int64_t kNumOld = 96, kNumNew = 4;

/// Every fourth token of new text is a new one.
std::vector<Sequence> random_text(int64_t num_sequences, bool is_new, const std::string& purpose) {
  RandomStream stream(1, purpose);
  std::vector<Sequence> sequences;
  for (int64_t i = 0; i < num_sequences; ++i) {
    Sequence sequence(48);
    for (size_t t = 0; t < sequence.size(); ++t) {
      const bool new_token = is_new && t % 4 == 1;
      sequence[t] = static_cast<tokenizer::TokenId>(new_token ? kNumOld + stream.below(kNumNew)
                                                              : stream.below(kNumOld));
    }
    sequences.push_back(std::move(sequence));
  }
  return sequences;
}

/// A tiny base, and new rows that are like its own.
struct World {
  TemporaryFolder folder;
  Transformer base;
  at::Tensor start_vD;

  World() : base(load(folder / "base")) {
    start_vD = base.weights().embedding.base.narrow(0, 0, kNumNew).to(at::kFloat).clone();
  }
  static Transformer load(const std::filesystem::path& path) {
    write_tiny_base({}, path);
    return Transformer::load(model::ModelFolder::open(path));
  }

  Transformer with_rows(const at::Tensor& rows_vD) const {
    model::Weights weights = base.weights();
    weights.embedding.added = rows_vD;
    model::ModelConfig config = base.config();
    config.vocab_rows = kNumOld + kNumNew;
    return {config, weights};
  }
  LanguageMark fit(const expand::MarkOptions& options, const parallel::Team& team = {}) const {
    const expand::MarkedModel marked{
        base,
        [this](const at::Tensor& rows_vD) { return with_rows(rows_vD); },
        start_vD,
        kNumOld,
        {1, 2}};
    return expand::fit_language_mark(
        marked, {random_text(40, true, "new"), random_text(40, false, "old")}, options, team);
  }
};

/// Mean over text of the last layer's router inputs at old tokens, and their deviation from it.
std::pair<at::Tensor, double> input_at_old_tokens(const Transformer& transformer,
                                                  const std::vector<Sequence>& text) {
  const at::NoGradGuard no_grad;
  const std::vector<model::Batch> batches = expand::make_batches(text, 1 << 20);
  at::Tensor input_TD;
  transformer.hidden(batches.at(0), model::Mask::all_but_embedding(),
                     [&](const model::RouterTap& tap) { input_TD = tap.input_TD; });
  const at::Tensor chosen = at::nonzero(batches[0].ids_T.lt(kNumOld)).squeeze(1);
  input_TD = input_TD.index_select(0, chosen).to(at::kDouble);
  const at::Tensor mean_D = input_TD.mean(0);
  return {mean_D, (input_TD - mean_D).square().sum(1).mean().sqrt().item<double>()};
}

/// How far old tokens of new text are from those of old text, in deviations.
double distance(const World& world, const at::Tensor& mark_D) {
  const Transformer transformer = world.with_rows(world.start_vD + mark_D);
  const auto [of_new_D, spread] =
      input_at_old_tokens(transformer, random_text(60, true, "held-out new"));
  const auto [of_old_D, old_spread] =
      input_at_old_tokens(transformer, random_text(60, false, "held-out old"));
  return (of_new_D - of_old_D).norm().item<double>() / (spread + old_spread);
}

/// The gradient in the mark of the base's cross-entropy at old tokens of the first batch of new
/// text, by LibTorch's own loss over all logits.
at::Tensor prediction_gradient(const World& world) {
  const at::Tensor mark_D = at::zeros({world.start_vD.size(1)}).requires_grad_();
  const Transformer transformer = world.with_rows(world.start_vD + mark_D);
  const model::Batch batch =
      expand::make_batches(random_text(40, true, "new"), expand::kMarkBatchTokens).at(0);
  const at::Tensor logits_TV = world.base.logits(
      transformer.hidden(batch, model::Mask::all_but_embedding()), model::Mask::all());
  std::vector<int64_t> targets(static_cast<size_t>(batch.ids_T.numel()), -1);
  int64_t first = 0;
  for (const int64_t length : batch.lengths) {
    for (int64_t t = first; t < first + length - 1; ++t) {
      const auto next = batch.ids_T[t + 1].item<int64_t>();
      if (next < kNumOld) targets[static_cast<size_t>(t)] = next;
    }
    first += length;
  }
  at::cross_entropy_loss(logits_TV, at::tensor(targets, at::kLong), {}, at::Reduction::Mean, -1)
      .backward();
  return mark_D.grad();
}

}  // namespace

TEST_CASE("a mark reaches the old tokens of its language, in text that it was not fitted to",
          "[expand][mark]") {
  const World world;
  const LanguageMark mark = world.fit({.steps = 120});
  CHECK(mark.last_cost < 0.9 * mark.first_cost);
  const double without = distance(world, at::zeros_like(mark.mark_D));
  INFO(without << " deviations apart without a mark, " << distance(world, mark.mark_D)
               << " with it");
  CHECK(distance(world, mark.mark_D) > 2 * without);
}

TEST_CASE("a mark's first step is down the base's cross-entropy of old tokens", "[expand][mark]") {
  // Readers begin at zero, so that nothing else pulls at the mark; Adam's first step has one
  // length.
  const World world;
  const at::Tensor mark_D = world.fit({.steps = 1}).mark_D;
  const at::Tensor gradient_D = prediction_gradient(world);
  const double rms = world.start_vD.square().mean().sqrt().item<double>();
  for (int64_t d = 0; d < mark_D.size(0); ++d) {
    INFO("element " << d << ", slope " << gradient_D[d].item<double>());
    const double sign = gradient_D[d].item<double>() > 0 ? 1 : -1;
    CHECK(mark_D[d].item<double>() == Approx(-sign * rms / 6).epsilon(0.01));
  }
  CHECK(at::equal(world.fit({.steps = 1, .prediction_weight = 0}).mark_D, at::zeros_like(mark_D)));
}

TEST_CASE("the mark is the same on any number of ranks, bit for bit", "[expand][mark][parallel]") {
  const World world;
  const expand::MarkOptions options{.steps = 5};
  const at::Tensor expected_D = world.fit(options).mark_D;
  for (const int num_ranks : {2, 3}) {
    std::vector<at::Tensor> marks(static_cast<size_t>(num_ranks));
    parallel::run_in_threads(num_ranks, parallel::Timeout(240000),
                             [&](parallel::Communicator& ranks) {
                               marks[static_cast<size_t>(ranks.rank())] =
                                   world.fit(options, parallel::Team(&ranks)).mark_D;
                             });
    for (const at::Tensor& mark_D : marks) CHECK(same_bits(mark_D, expected_D));
  }
}

}  // namespace polygraft::testing
