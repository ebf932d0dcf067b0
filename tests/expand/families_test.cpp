// tests/expand/families_test.cpp: an expansion of every mixture-of-experts family, in every layout:
// old bytes, masked bits, config.json and side files; and what happens to families that do not
// renormalise the chosen experts' weights.
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <catch2/catch.hpp>

#include "core/file.h"
#include "core/json.h"
#include "expand/additions.h"
#include "expand/verify.h"
#include "tests/core/temporary_folder.h"
#include "tests/expand/language_world.h"
#include "tests/expand/tiny_model.h"

namespace polygraft::testing {

using model::ExpertLayout;
using model::FolderLayout;
using model::Mask;
using model::ModelFolder;
using model::Transformer;

namespace {

const std::vector<std::string> kFamilies = {"qwen3_moe", "olmoe", "mixtral", "qwen2_moe"};

std::vector<FolderLayout> all_layouts() {
  const auto fused = ExpertLayout::kFused, apart = ExpertLayout::kPerExpert;
  return {fused, apart, FolderLayout({apart, fused, apart})};
}

std::vector<TinyModel> all_models() {
  std::vector<TinyModel> models;
  for (const std::string& family : kFamilies) {
    for (const FolderLayout& layout : all_layouts()) {
      for (const bool tied : {true, false}) {
        models.push_back({layout, tied, tied ? "bfloat16" : "float16", 96, 5, family, tied});
      }
    }
  }
  return models;
}

/// What the first sparse layer's router makes of a batch.
model::RouterTap first_tap(const Transformer& transformer, const model::Batch& batch, Mask mask) {
  const at::NoGradGuard no_grad;
  std::vector<model::RouterTap> taps;
  transformer.hidden(batch, mask, [&](const model::RouterTap& tap) { taps.push_back(tap); });
  return taps.at(0);
}

model::Batch old_text_batch() {
  const LanguageWorld& world = language_world();
  const auto tokenizer = tokenizer::Tokenizer::load(world.base);
  const auto ids = tokenizer.encode(read_file(world.folder / "aa.heldout.txt").substr(0, 1500));
  std::vector<int64_t> tokens(ids.begin(), ids.end());
  std::vector<int64_t> lengths;
  for (size_t first = 0; first < tokens.size(); first += 50) {
    lengths.push_back(static_cast<int64_t>(std::min<size_t>(50, tokens.size() - first)));
  }
  return {at::tensor(tokens, at::kLong), lengths};
}

/// r of each token: what the added experts add to the softmax's denominator, relative to the base.
at::Tensor added_ratio(const model::RouterTap& tap) {
  return at::exp(at::logsumexp(tap.added_Tn, 1) - at::logsumexp(tap.base_TE, 1));
}

}  // namespace

TEST_CASE("every family's expansion keeps the base's bytes, bits and files", "[expand][property]") {
  for (const TinyModel& tiny : all_models()) {
    INFO(tiny.family << (tiny.tied ? ", tied" : ", untied"));
    const TemporaryFolder folder;
    write_tiny_base(tiny, folder / "base");
    write_file_atomically(folder / "base" / "chat_template.jinja", "{{ messages }}");
    const ModelFolder base = ModelFolder::open(folder / "base");
    const expand::Additions additions = random_additions(base.config, 3, 5, !tiny.tied);
    expand::write_expanded(base, additions, describe(base, 3, 5, false), folder / "out");
    const ModelFolder expanded = ModelFolder::open(folder / "out");
    CHECK(expanded.layout == base.layout);
    CHECK(expanded.num_added_experts() == 3);
    const expand::VerifyReport report =
        expand::verify_expansion(base, expanded, std::nullopt, {.bytes_per_language = 0});
    INFO(report.to_json().dump(1));
    CHECK(report.ok);
    CHECK(report.masked_logits_equal);

    OrderedJson expected = *base.config_json;
    expected[base.family->switches.num_experts_key] = 9;
    expected["vocab_size"] = 101;
    CHECK(expanded.config_json->dump() == expected.dump());
    for (const char* file : {"generation_config.json", "chat_template.jinja"}) {
      CHECK(read_file(folder / "out" / file) == read_file(folder / "base" / file));
    }
  }
}

TEST_CASE("an old weight that is not renormalised becomes weight / (1 + r)", "[expand][property]") {
  const ModelFolder base = ModelFolder::open(write_world_base("olmoe"));
  Transformer transformer = Transformer::load(base);
  const model::Batch batch = old_text_batch();
  const model::RouterTap before = first_tap(transformer, batch, {});
  expand::set_additions(transformer.weights(), random_additions(base.config, 2, 0, false));
  const model::RouterTap after = first_tap(transformer, batch, {});
  const model::RouterTap masked = first_tap(transformer, batch, Mask::all());
  CHECK(same_bits(masked.routing.weight_TK, before.routing.weight_TK));
  const at::Tensor same_T = (after.routing.expert_TK == before.routing.expert_TK).all(1);
  REQUIRE(same_T.sum().item<int64_t>() > 20);
  const at::Tensor expected_TK = before.routing.weight_TK / (1 + added_ratio(after)).unsqueeze(1);
  const at::Tensor error_TK = (after.routing.weight_TK - expected_TK).abs();
  CHECK(error_TK.index({same_T}).max().item<double>() < 1e-6);
}

TEST_CASE("a graft holds new rows out of a softmax that is not renormalised", "[expand][graft]") {
  const LanguageWorld& world = language_world();
  // In 16 dimensions the first layer's inputs surround the origin, where olmoe has its first
  // router: no row lies below all of them, and little can be gained (README). After a dense layer
  // it can.
  for (const auto& [family, most] : {std::pair("olmoe", 1.0), std::pair("qwen2_moe", 0.25)}) {
    INFO(family);
    const ModelFolder base = ModelFolder::open(write_world_base(family));
    expand::ExpansionPlan plan = make_plan(world, base.path);
    CHECK(plan.softmax_shift.held_below);
    const auto share_after = [&](double limit, const std::string& name) {
      plan.experts.router_softmax_share = limit;
      const auto out = world.folder / (std::string(family) + name);
      expand::graft(base, plan, out);
      const ModelFolder expanded = ModelFolder::open(out);
      const expand::VerifyReport report = expand::verify_expansion(base, expanded, std::nullopt);
      CHECK(report.ok);
      CHECK(report.masked_logits_equal);
      const at::Tensor r_T =
          added_ratio(first_tap(Transformer::load(expanded), old_text_batch(), {}));
      return (r_T / (1 + r_T)).mean().item<double>();
    };
    const double loose = share_after(1.0, "-loose"), held = share_after(1e-3, "-held");
    INFO("share of the softmax: " << loose << " at most 1, " << held << " at most 0.001");
    CHECK(held < most * loose);
  }
}

}  // namespace polygraft::testing
