// tests/trainer/quotations_test.cpp: old rows behind a passage of the new language: what each
// reader sees, and what they cost.
#include "trainer/data/quotations.h"

#include <ATen/core/grad_mode.h>

#include <catch2/catch.hpp>

#include "tests/trainer/tiny_world.h"
#include "tokenizer/base_view.h"
#include "trainer/data/training_data.h"
#include "trainer/objective/objective.h"
#include "trainer/optim/parameters.h"
#include "trainer/trainee.h"

namespace polygraft::trainer {
namespace {

using testing::TemporaryFolder;
using tokenizer::TokenId;

constexpr int64_t kLongest = 32;

TEST_CASE("a quotation is read before a row and predicted by nothing", "[trainer][quotations]") {
  const std::vector<int32_t> ids = {5, 6, 7};
  std::vector<Row> rows = {Row(ids.data(), 3), Row(ids.data() + 1, 2)};
  rows[1].quotation = std::make_shared<const Quotation>(Quotation{{90, 5}, {40, 41, 5}});
  const TokenBatch expanded = make_batch(rows, 1), base = make_batch(rows, 1, Reader::kBase);
  CHECK(expanded.inputs.ids_T.equal(at::tensor({1, 5, 6, 1, 90, 5, 6}, at::kLong)));
  CHECK(base.inputs.ids_T.equal(at::tensor({1, 5, 6, 1, 40, 41, 5, 6}, at::kLong)));
  CHECK(expanded.inputs.lengths == std::vector<int64_t>{3, 4});
  for (const TokenBatch& batch : {expanded, base}) {
    CHECK(batch.targets_P.equal(at::tensor({5, 6, 7, 6, 7}, at::kLong)));
    const at::Tensor last_read_P = batch.predicting(batch.inputs.ids_T);
    CHECK(last_read_P.equal(at::tensor({1, 5, 6, 5, 6}, at::kLong)));
    CHECK(batch.predicts_T().sum().item<int64_t>() == 5);
  }
}

/// The tiny expanded model, its new text, and rows of an old language.
struct QuotedWorld {
  TemporaryFolder folder;
  TrainJob job;
  Trainee trainee;
  Parameters parameters;
  TrainingData data;
  TokenId first_added;
  std::vector<Row> old_rows;

  QuotedWorld()
      : job(testing::additions_job(folder / "run")),
        trainee(load_trainee(job)),
        parameters(select_parameters(trainee.transformer.weights(), job.train)),
        data(prepare_data(job, resolve_roles(job), trainee.tokenizer, trainee.tokenizer.size())),
        first_added(static_cast<TokenId>(trainee.transformer.first_added_token())),
        old_rows(data.replayed->take(400)) {}

  std::vector<Row> quoted(double share, int64_t step = 3) const {
    std::vector<Row> rows = old_rows;
    Quotations(data.learned.rows(),
               tokenizer::old_parts_of_added_tokens(trainee.tokenizer, first_added), first_added,
               share, 17)
        .put_before(rows, step, kLongest);
    return rows;
  }
  std::string text(const std::vector<int32_t>& ids) const { return trainee.tokenizer.decode(ids); }
};

std::vector<const int32_t*> places_of(const std::vector<Row>& rows) {
  std::vector<const int32_t*> places;
  for (const Row& row : rows) places.push_back(row.quotation ? row.data() : nullptr);
  return places;
}

TEST_CASE("both readers read the same passage, each in its own tokens", "[trainer][quotations]") {
  const QuotedWorld world;
  const std::vector<Row> rows = world.quoted(1.0);
  int num_quoted = 0, num_with_new_tokens = 0;
  for (size_t i = 0; i < rows.size(); ++i) {
    const Row& row = rows[i];
    const Row& whole = world.old_rows[i];
    if (!row.quotation) {
      CHECK(row.data() == whole.data());
      CHECK(row.size() == whole.size());
      continue;
    }
    ++num_quoted;
    const Quotation& quotation = *row.quotation;
    CHECK(world.text(quotation.ids) == world.text(quotation.base_ids));
    for (const int32_t id : quotation.base_ids) CHECK(id < world.first_added);
    num_with_new_tokens += quotation.ids != quotation.base_ids;
    CHECK(quotation.ids.back() == whole.front());
    CHECK(row.data() == whole.data() + 1);
    CHECK(!row.before.has_value());
    CHECK(quotation.base_ids.size() + row.size() <= kLongest);
  }
  CHECK(num_quoted > 5);
  CHECK(num_with_new_tokens > 5);
}

TEST_CASE("seed and step alone settle which rows get which quotation", "[trainer][quotations]") {
  const QuotedWorld world;
  CHECK(places_of(world.quoted(0.5, 3)) == places_of(world.quoted(0.5, 3)));
  CHECK(places_of(world.quoted(0.5, 3)) != places_of(world.quoted(0.5, 4)));
  for (const Row& row : world.quoted(0.0)) CHECK(!row.quotation);
}

TEST_CASE("a quoted row costs the KL to the base that reads it in its own tokens",
          "[trainer][quotations]") {
  QuotedWorld world;
  const StepRows rows{world.data.learned.take(60), world.quoted(1.0)};
  const Objective objective(world.trainee.transformer, world.trainee.tokenizer.prefix_id(),
                            world.job.train);
  const double kl = objective.backward(rows, {}).kl;
  const at::NoGradGuard no_grad;
  const model::Transformer& transformer = world.trainee.transformer;
  const auto log_probabilities = [&](Reader reader, model::Mask mask) {
    const TokenBatch batch = make_batch(rows.replayed, world.trainee.tokenizer.prefix_id(), reader);
    const at::Tensor hidden_TD = transformer.hidden(batch.inputs, mask);
    return transformer.logits(batch.predicting(hidden_TD), mask).to(at::kDouble).log_softmax(1);
  };
  const at::Tensor p = log_probabilities(Reader::kBase, model::Mask::all());
  const at::Tensor q = log_probabilities(Reader::kExpanded, {});
  const at::Tensor kl_P = (p.exp() * (p - q.narrow(1, 0, p.size(1)))).sum(1);
  CHECK(kl_P.size(0) == num_tokens(rows.replayed));
  CHECK(kl == Approx(kl_P.mean().item<double>()).epsilon(1e-4));

  StepRows plain = rows;
  for (Row& row : plain.replayed) row.quotation.reset();
  CHECK(objective.backward(plain, {}).kl != Approx(kl).epsilon(1e-2));
}

TEST_CASE("no router is kept from a passage of the new language", "[trainer][quotations]") {
  QuotedWorld world;
  const StepRows rows{{}, world.quoted(1.0)};
  const double margin = world.job.train.protect.margin_or_default();
  const Objective objective(world.trainee.transformer, world.trainee.tokenizer.prefix_id(),
                            world.job.train);
  const double hinge = objective.backward(rows, {}).hinge;
  const TokenBatch batch = make_batch(rows.replayed, world.trainee.tokenizer.prefix_id());
  double sum = 0;
  int num_layers = 0;
  const at::NoGradGuard no_grad;
  world.trainee.transformer.hidden(batch.inputs, {}, [&](const model::RouterTap& tap) {
    if (!tap.added_Tn.defined()) return;
    const at::Tensor threshold_T = std::get<0>(tap.base_TE.topk(2, 1)).select(1, 1);
    const at::Tensor excess_T =
        (tap.added_Tn - threshold_T.unsqueeze(1) + margin).relu().square().sum(1);
    sum += batch.predicting(excess_T).mean().item<double>();
    ++num_layers;
  });
  CHECK(hinge == Approx(sum / num_layers).epsilon(1e-4));
  CHECK(hinge > 0);
}

}  // namespace
}  // namespace polygraft::trainer
