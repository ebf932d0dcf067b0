// tests/expand/start_rows_test.cpp: what new vocabulary rows begin with.
#include "expand/start_rows.h"

#include <ATen/core/grad_mode.h>

#include <catch2/catch.hpp>

#include "core/random.h"
#include "expand/matching_pursuit.h"
#include "tests/core/temporary_folder.h"
#include "tests/expand/tiny_model.h"

namespace polygraft::testing {

using namespace expand;  // NOLINT: the folder under test

namespace {

at::Tensor random_rows(int64_t rows, int64_t columns, uint64_t seed) {
  RandomStream random(seed, "rows");
  at::Tensor tensor = at::empty({rows, columns}, at::kDouble);
  double* const values = tensor.mutable_data_ptr<double>();
  for (int64_t i = 0; i < tensor.numel(); ++i) values[i] = random.normal();
  return tensor;
}

double error_of(const at::Tensor& atoms_ND, const SparseCode& code, const at::Tensor& target_D) {
  const at::Tensor chosen_kD = atoms_ND.index_select(0, code.atom_k);
  return (at::mv(chosen_kD.t(), code.coefficient_k) - target_D).norm().item<double>();
}

/// 6 old tokens, of which 0..4 have been seen, and 3 new ones (6, 7 seen, 8 too rarely).
ContextMeans some_contexts(int64_t width) {
  ContextMeans contexts;
  contexts.id_S = {0, 1, 2, 3, 4, 6, 7, 8};
  contexts.seen_S = at::tensor({9, 9, 9, 9, 9, 9, 9, 2}, at::kLong);
  contexts.before_SD = random_rows(8, width, 1);
  contexts.after_SD = random_rows(8, width, 2);
  return contexts;
}

model::Weights some_weights(int64_t width, bool tied) {
  model::Weights weights;
  weights.embedding.base = random_rows(6, width, 3).to(at::kFloat);
  weights.head.base = tied ? weights.embedding.base : random_rows(6, width, 4).to(at::kFloat);
  weights.tied = tied;
  return weights;
}

const TokenParts kParts{{0, 5}, {1, 2, 3}, {4, 5}};
const PursuitOptions kOptions{.num_old = 6, .most_atoms = 3};

}  // namespace

TEST_CASE("matching pursuit finds a sparse combination again", "[expand][property]") {
  const at::Tensor atoms_ND = random_rows(20, 64, 7);
  const at::Tensor target_D = 3 * atoms_ND[4] - 2 * atoms_ND[11] + 0.5 * atoms_ND[17];
  const SparseCode code = matching_pursuit(atoms_ND, target_D, 8);
  REQUIRE(code.atom_k.size(0) == 3);
  CHECK(code.atom_k[0].item<int64_t>() == 4);
  CHECK(code.coefficient_k[0].item<double>() == Approx(3));
  CHECK(error_of(atoms_ND, code, target_D) < 1e-8);
}

TEST_CASE("each atom more leaves less, and none is taken twice", "[expand][property]") {
  const at::Tensor atoms_ND = random_rows(30, 16, 8);
  const at::Tensor target_D = random_rows(1, 16, 9)[0];
  double before = target_D.norm().item<double>();
  for (int64_t k = 1; k <= 12; ++k) {
    const SparseCode code = matching_pursuit(atoms_ND, target_D, k);
    REQUIRE(code.atom_k.size(0) == k);
    CHECK(std::get<0>(at::_unique(code.atom_k)).size(0) == k);
    const double left = error_of(atoms_ND, code, target_D);
    CHECK(left < before);
    before = left;
  }
  CHECK(matching_pursuit(atoms_ND, target_D, 100).atom_k.size(0) <= 16);
}

TEST_CASE("matching pursuit of nothing, and over nothing", "[expand]") {
  const at::Tensor atoms_ND = random_rows(3, 4, 1);
  CHECK(matching_pursuit(atoms_ND, at::zeros({4}, at::kDouble), 2).atom_k.size(0) == 0);
  const at::Tensor zeros_ND = at::zeros({3, 4}, at::kDouble);
  CHECK(matching_pursuit(zeros_ND, atoms_ND[0], 2).atom_k.size(0) == 0);
}

TEST_CASE("norm-corrected means point as means do and are as long as their parts",
          "[expand][property]") {
  const at::Tensor rows_VD = random_rows(6, 16, 2).to(at::kFloat);
  const at::Tensor mean_vD = mean_rows(rows_VD, kParts);
  const at::Tensor row_vD = norm_mean_rows(rows_VD, kParts);
  for (int64_t i = 0; i < 3; ++i) {
    double norms = 0;
    const auto& leaves = kParts[static_cast<size_t>(i)];
    for (const auto id : leaves) norms += rows_VD[id].norm().item<double>();
    CHECK(row_vD[i].norm().item<double>() ==
          Approx(norms / static_cast<double>(leaves.size())).epsilon(1e-5));
    CHECK(at::cosine_similarity(row_vD[i], mean_vD[i], 0).item<double>() ==
          Approx(1).epsilon(1e-5));
  }
  const at::Tensor opposite = at::stack({rows_VD[0], -rows_VD[0]});
  CHECK(norm_mean_rows(opposite, {{0, 1}}).abs().max().item<double>() == 0);
  CHECK(at::allclose(norm_mean_rows(rows_VD, {{3}}), rows_VD[3].unsqueeze(0)));
}

TEST_CASE("averages of an untied model come from both matrices, of a tied one from its own",
          "[expand]") {
  for (const char* init : {"mean", "norm_mean"}) {
    const model::Weights untied = some_weights(16, false);
    const StartRows rows = averaged_rows(untied, kParts, init, /*own_head=*/true);
    CHECK_FALSE(at::allclose(rows.input_vD, rows.output_vD));
    const model::Weights tied = some_weights(16, true);
    CHECK_FALSE(averaged_rows(tied, kParts, init, /*own_head=*/false).output_vD.defined());
    const StartRows apart = averaged_rows(tied, kParts, init, /*own_head=*/true);
    CHECK(at::equal(apart.input_vD, apart.output_vD));  // the offset comes later
  }
}

TEST_CASE("a new token in an old one's contexts gets that one's rows", "[expand][property]") {
  const int64_t width = 16;
  ContextMeans contexts = some_contexts(width);
  contexts.after_SD[5].copy_(contexts.after_SD[2]);    // new token 6 is read like token 2,
  contexts.before_SD[5].copy_(contexts.before_SD[4]);  // and predicted like token 4
  const model::Weights untied = some_weights(width, false);
  const StartRows rows = pursued_rows(untied, kParts, contexts, /*own_head=*/true, kOptions);
  CHECK(at::allclose(rows.input_vD[0], untied.embedding.base[2], 1e-4, 1e-5));
  CHECK(at::allclose(rows.output_vD[0], untied.head.base[4], 1e-4, 1e-5));

  const model::Weights tied = some_weights(width, true);
  contexts.before_SD[5].copy_(contexts.before_SD[2]);  // a tied row has one pair of contexts
  const StartRows one = pursued_rows(tied, kParts, contexts, /*own_head=*/false, kOptions);
  CHECK(at::allclose(one.input_vD[0], tied.embedding.base[2], 1e-4, 1e-5));
  CHECK_FALSE(one.output_vD.defined());
}

TEST_CASE("a new token without a context gets the mean", "[expand]") {
  const model::Weights weights = some_weights(16, false);
  const StartRows means = averaged_rows(weights, kParts, "mean", true);
  const StartRows rows = pursued_rows(weights, kParts, some_contexts(16), true, kOptions);
  CHECK(at::equal(rows.input_vD[2], means.input_vD[2]));
  CHECK(at::equal(rows.output_vD[2], means.output_vD[2]));
  CHECK_FALSE(at::allclose(rows.input_vD[0], means.input_vD[0]));
  CHECK(at::isfinite(rows.input_vD).all().item<bool>());
}

TEST_CASE("contexts are the states before a token and at its end", "[expand]") {
  const TemporaryFolder folder;
  write_tiny_base({}, folder / "base");
  const auto base = model::Transformer::load(model::ModelFolder::open(folder / "base"));
  // Token 96 is new and stands for 7 8 9; the prefix is 1.
  const TokenParts parts{{7, 8, 9}};
  const ContextMeans contexts =
      collect_contexts(base, {{1, 5, 96, 6}, {1, 96, 5}}, parts, /*num_old=*/96);
  CHECK(contexts.id_S == std::vector<tokenizer::TokenId>{5, 6, 96});
  CHECK(at::equal(contexts.seen_S, at::tensor({2, 1, 2}, at::kLong)));
  const at::NoGradGuard no_grad;
  const auto states = [&](const std::vector<int64_t>& ids) {
    return base.hidden({at::tensor(ids, at::kLong), {static_cast<int64_t>(ids.size())}})
        .to(at::kDouble);
  };
  const at::Tensor one_TD = states({1, 5, 7, 8, 9, 6}), other_TD = states({1, 7, 8, 9, 5});
  const auto close = [](const at::Tensor& a, const at::Tensor& b) {
    return at::allclose(a, b, 1e-4, 1e-5);
  };
  CHECK(close(contexts.before_SD[2], (one_TD[1] + other_TD[0]) / 2));
  CHECK(close(contexts.after_SD[2], (one_TD[4] + other_TD[3]) / 2));
  CHECK(close(contexts.before_SD[1], one_TD[4]));
  CHECK(close(contexts.after_SD[1], one_TD[5]));
  CHECK(close(contexts.after_SD[0], (one_TD[1] + other_TD[4]) / 2));
}

}  // namespace polygraft::testing
