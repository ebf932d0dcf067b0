// tests/eval/causes_test.cpp: each cause against scores under its own mask, and what happens to
// documents that the two tokenizers cut differently.
#include "eval/causes.h"

#include <catch2/catch.hpp>

#include "core/error.h"
#include "eval/results.h"
#include "tests/eval/small_model.h"

namespace polygraft::eval {
namespace {

double bits_under(const model::Transformer& transformer, const model::Mask& mask) {
  return bits_per_byte(score_documents(transformer, byte_tokenizer(), documents(), {.mask = mask}));
}

Causes causes_of(const model::Transformer& transformer) {
  const ScoreOptions options = {.head_masked_too = true};
  const auto scores = score_documents(transformer, byte_tokenizer(), documents(), options);
  const auto base = score_as_base(transformer, byte_tokenizer(), documents(), options);
  return measure_causes(transformer, byte_tokenizer(), documents(), {base, scores}, options);
}

}  // namespace

TEST_CASE("causes are differences between masked runs, and together make the change",
          "[eval][causes]") {
  const model::Transformer transformer = grown_moe();
  const Causes causes = causes_of(transformer);
  const double base = bits_under(transformer, model::Mask::all());
  CHECK(causes.bits_per_byte_base == base);
  CHECK(causes.bits_per_byte_expanded == bits_under(transformer, {}));
  CHECK(causes.tokenizer.delta == 0);
  CHECK(causes.num_documents == static_cast<int64_t>(documents().size()));
  CHECK(causes.num_changed == 0);
  const double silent = bits_under(transformer, {.head = true, .silence_experts = true});
  CHECK(causes.router.delta == Approx(silent - base));
  const double routed = bits_under(transformer, {.head = true});
  CHECK(causes.experts.delta == Approx(routed - silent));
  CHECK(causes.head.delta == Approx(causes.bits_per_byte_expanded - routed));
  double sum = 0;
  for (const CauseField& cause : kCauses) {
    const CausedChange& change = causes.*cause.change;
    INFO(cause.name);
    sum += change.delta;
    CHECK(change.interval.low <= change.delta);
    CHECK(change.delta <= change.interval.high);
  }
  CHECK(sum == Approx(causes.bits_per_byte_expanded - base));
  CHECK(causes.head.delta > 0);  // added rows can only take probability
}

TEST_CASE("silent experts may be scored on a sample: the causes still make the change",
          "[eval][causes]") {
  const model::Transformer transformer = grown_moe();
  const ScoreOptions options = {.head_masked_too = true};
  const auto scores = score_documents(transformer, byte_tokenizer(), documents(), options);
  const auto base = score_as_base(transformer, byte_tokenizer(), documents(), options);
  const Causes causes =
      measure_causes(transformer, byte_tokenizer(), documents(), {base, scores, 3}, options);
  std::vector<tokenizer::Document> sample;
  for (size_t d = 0; d < documents().size(); d += 3) sample.push_back(documents()[d]);
  REQUIRE(sample.size() < documents().size());
  const auto bits = [&](const model::Mask& mask) {
    return bits_per_byte(score_documents(transformer, byte_tokenizer(), sample, {.mask = mask}));
  };
  const model::Mask silent = {.head = true, .silence_experts = true};
  CHECK(causes.router.delta == Approx(bits(silent) - bits(model::Mask::all())));
  const Causes whole = causes_of(transformer);
  CHECK(causes.router.delta != Approx(whole.router.delta).epsilon(1e-6));
  CHECK(causes.head.delta == whole.head.delta);
  CHECK(causes.router.delta + causes.experts.delta ==
        Approx(whole.router.delta + whole.experts.delta));
}

TEST_CASE("a cause that was not added changes nothing", "[eval][causes]") {
  model::Transformer head_only = grown_moe();
  for (model::LayerWeights& layer : head_only.weights().layers) {
    layer.moe.router.added = layer.moe.gate_up.added = layer.moe.down.added = at::Tensor();
  }
  const Causes causes = causes_of(head_only);
  CHECK(causes.head.delta > 0);
  CHECK(causes.router.delta == 0);
  CHECK(causes.experts.delta == 0);
}

TEST_CASE("documents that are cut differently count as segmentation, whole", "[eval][causes]") {
  // The fixture's tokenizer of bytes, with one merge more: "e" + "n" is the first added token.
  const TemporaryFolder temporary;
  Json json = read_json(fixture_path("lm_eval/model") / "tokenizer.json");
  json["model"]["vocab"]["en"] = 257;
  json["model"]["merges"].push_back("e n");
  write_json(temporary.path() / "tokenizer.json", json);
  fs::copy(fixture_path("lm_eval/model") / "tokenizer_config.json", temporary.path());
  const auto extended = tokenizer::Tokenizer::load(temporary.path());
  const model::Transformer transformer = grown_moe();
  const ScoreOptions options = {.head_masked_too = true};
  const auto scores = score_documents(transformer, extended, documents(), options);
  const auto masked = score_as_base(transformer, extended, documents(), options);
  const Causes causes =
      measure_causes(transformer, extended, documents(), {masked, scores}, options);
  const double base = bits_under(transformer, model::Mask::all());
  double changed_nats = 0, num_bytes = 0;
  int64_t num_changed = 0;
  const auto before =
      score_documents(transformer, byte_tokenizer(), documents(), {.mask = model::Mask::all()});
  for (size_t d = 0; d < documents().size(); ++d) {
    num_bytes += static_cast<double>(scores[d].num_bytes);
    if (documents()[d].text.find("en") == std::string::npos) continue;
    ++num_changed;
    changed_nats += scores[d].nats - before[d].nats;
  }
  REQUIRE(num_changed > 0);
  REQUIRE(num_changed < static_cast<int64_t>(documents().size()));
  CHECK(causes.num_changed == num_changed);
  CHECK(causes.bits_per_byte_base == base);
  CHECK(causes.tokenizer.delta == Approx(changed_nats / M_LN2 / num_bytes));
}

TEST_CASE("the change by place in a document is that of its tokens there", "[eval][causes]") {
  const model::Transformer transformer = grown_moe();
  const Causes causes = causes_of(transformer);
  REQUIRE(causes.by_position.has_value());
  const auto base =
      score_documents(transformer, byte_tokenizer(), documents(), {.mask = model::Mask::all()});
  double change = 0;
  for (size_t band = 0; band < kPositionBands.size(); ++band) {
    double nats = 0;
    for (const DocumentScore& score : base) nats += score.nats_by_position[band];
    CHECK(((*causes.by_position)[band] != 0) == (nats > 0));
    change += (*causes.by_position)[band] * nats;
  }
  double num_bytes = 0;
  for (const DocumentScore& score : base) num_bytes += static_cast<double>(score.num_bytes);
  CHECK(change / M_LN2 / num_bytes ==
        Approx(causes.bits_per_byte_expanded - causes.bits_per_byte_base));
}

TEST_CASE("causes in a result folder read back, and broken ones are not comparable",
          "[eval][causes]") {
  const TemporaryFolder temporary;
  const model::Transformer transformer = grown_moe();
  BpbResult result{.model_path = "m", .model_hash = "h"};
  result.languages["de"] = score_documents(transformer, byte_tokenizer(), documents(), {});
  result.causes["de"] = causes_of(transformer);
  write_bpb_result(result, temporary.path() / "out");
  const ResultFolder read = read_result_folder(temporary.path() / "out");
  CHECK(read.causes.at("de").to_json() == result.causes.at("de").to_json());
  CHECK(read.causes.at("de").to_json().contains("relative_by_position"));
  OrderedJson broken = read.results;
  fs::path file;
  for (const auto& entry : fs::directory_iterator(temporary.path() / "out"))
    if (entry.path().extension() == ".json") file = entry.path();
  broken["polygraft"]["languages"]["de"]["causes"]["by_cause"].erase("head");
  write_file_atomically(file, broken.dump());
  CHECK_THROWS_AS(read_result_folder(temporary.path() / "out"), NotComparable);
}

}  // namespace polygraft::eval
