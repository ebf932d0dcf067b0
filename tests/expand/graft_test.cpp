// tests/expand/graft_test.cpp: profile, plan, graft and verify on invented languages, from text
// files to a model folder.
#include <catch2/catch.hpp>
#include <numeric>
#include <set>

#include "core/error.h"
#include "core/file.h"
#include "core/json.h"
#include "expand/expert_clones.h"
#include "expand/sequences.h"
#include "expand/vocabulary_rows.h"
#include "model/checkpoint/tensors_hash.h"
#include "tests/expand/language_world.h"
#include "tests/expand/tiny_model.h"
#include "tokenizer/base_view.h"

namespace polygraft::testing {

using Catch::Contains;
using model::ModelFolder;

TEST_CASE("a profile gives shares, similarities and bits per byte", "[expand][graft]") {
  const LanguageWorld& world = language_world();
  const expand::Profile profile =
      expand::profile_folder(ModelFolder::open(world.base), world.corpus, {1000});
  REQUIRE(profile.layers.size() == 2);
  CHECK(profile.layers[0].layer == 1);
  for (const expand::LayerProfile& layer : profile.layers) {
    for (const auto& [language, shares] : layer.signature) {
      CHECK(shares.size() == 6);
      CHECK(std::accumulate(shares.begin(), shares.end(), 0.0) == Approx(1));
    }
  }
  CHECK(profile.roles.at("cc") == "new");
  CHECK(profile.bits_per_byte.at("aa") > 0);
  CHECK(profile.similarity.at("aa").at("bb") < 1);
  CHECK(profile.model_hash == model::hash_tensors(ModelFolder::open(world.base).tensors));
}

TEST_CASE("a plan is refused for another model than the profiled one", "[expand][graft]") {
  const LanguageWorld& world = language_world();
  const ModelFolder base = ModelFolder::open(world.base);
  expand::Profile profile;
  profile.model_hash = model::hash_tensors(base.tensors);
  CHECK_NOTHROW(expand::check_profiled(base, profile));
  const TemporaryFolder folder;
  write_tiny_base({.seed = 6}, folder / "other");  // the same shapes, other weights
  const ModelFolder other = ModelFolder::open(folder / "other");
  CHECK_THROWS_AS(expand::check_profiled(other, profile), NotComparable);
  CHECK_THROWS_WITH(expand::check_profiled(other, profile),
                    Contains("profile was made from") && Contains((folder / "other").string()) &&
                        Contains(profile.model_hash) &&
                        Contains(model::hash_tensors(other.tensors)));
}

TEST_CASE("a profile without held-out text has routing alone", "[expand][graft]") {
  const LanguageWorld& world = language_world();
  const ModelFolder base = ModelFolder::open(world.base);
  expand::ProfileOptions options{1000};
  const Json whole = expand::profile_folder(base, world.corpus, options).to_json();
  tokenizer::Corpus corpus = world.corpus;
  for (auto& [language, texts] : corpus.languages) texts.heldout.clear();
  CHECK_THROWS_WITH(expand::profile_folder(base, corpus, options),
                    Contains("must list a file to measure bits per byte on"));
  options.scores_heldout = false;
  Json routing = whole;
  routing["bits_per_byte"] = Json::object();
  CHECK(expand::profile_folder(base, corpus, options).to_json() == routing);
}

TEST_CASE("languages profiled together are as they are alone", "[expand][graft]") {
  const LanguageWorld& world = language_world();
  const ModelFolder base = ModelFolder::open(world.base);
  const expand::Profile all = expand::profile_folder(base, world.corpus, {1000});
  for (const auto& [language, texts] : world.corpus.languages) {
    const expand::Profile one = expand::profile_folder(base, {{{language, texts}}}, {1000});
    for (size_t i = 0; i < all.layers.size(); ++i) {
      CHECK(one.layers[i].signature.at(language) == all.layers[i].signature.at(language));
      CHECK(one.layers[i].softmax.at(language) == all.layers[i].softmax.at(language));
    }
    CHECK(one.bits_per_byte.at(language) == Approx(all.bits_per_byte.at(language)).epsilon(1e-6));
  }
}

TEST_CASE("new tokens are split into exactly the old tokens they replace", "[expand][graft]") {
  const LanguageWorld& world = language_world();
  const auto before = tokenizer::Tokenizer::load(world.base);
  const auto after = tokenizer::Tokenizer::load(world.extended);
  const auto first = static_cast<tokenizer::TokenId>(before.size());
  const expand::TokenParts parts = tokenizer::old_parts_of_added_tokens(after, first);
  REQUIRE(parts.size() == world.extension.tokens.size());
  for (size_t i = 0; i < parts.size(); ++i) {
    CHECK(parts[i] == world.extension.tokens[i].old_tokens);
    std::string bytes;
    for (const tokenizer::TokenId id : parts[i]) {
      CHECK(id < before.size());
      bytes += before.token_bytes(id);
    }
    CHECK(bytes == after.token_bytes(world.extension.tokens[i].id));
  }
  Json without = read_json(world.extended / "tokenizer.json");
  without["model"]["merges"].erase(without["model"]["merges"].size() - 1);
  const auto file = world.folder / "without-a-merge.json";
  write_json(file, without);
  CHECK_THROWS_WITH(tokenizer::old_parts_of_added_tokens(tokenizer::Tokenizer::load(file), first),
                    Contains("made by no merge"));
}

TEST_CASE("a graft verifies, explains its step 0, and repeats bit for bit", "[expand][graft]") {
  const LanguageWorld& world = language_world();
  const ModelFolder base = ModelFolder::open(world.base);
  const expand::ExpansionPlan plan = make_plan(world);
  const auto out = world.folder / "grafted", again = world.folder / "grafted-again";
  expand::graft(base, plan, out);
  expand::graft(base, plan, again);
  CHECK(hash_folder(out) == hash_folder(again));

  const ModelFolder expanded = ModelFolder::open(out);
  CHECK(expanded.num_added_experts() == 2);
  CHECK(expanded.num_added_vocab_rows() == 12);
  CHECK_FALSE(expanded.config.tied_embeddings);
  CHECK(tokenizer::Tokenizer::load(out).hash() ==
        tokenizer::Tokenizer::load(world.extended).hash());
  const expand::VerifyReport report =
      expand::verify_expansion(base, expanded, world.corpus, {.bytes_per_language = 4000});
  INFO(report.to_json().dump(2));
  CHECK(report.ok);
  REQUIRE(report.step0.size() == 2);
  for (const auto& [language, step0] : report.step0) {
    CHECK(step0.bits_per_byte_base > 0);
    CHECK(step0.tokenizer.delta == 0);  // the guard saw words of the same syllables
    double sum = 0;
    for (const eval::CauseField& cause : eval::kCauses) sum += (step0.*cause.change).delta;
    CHECK(sum == Approx(step0.bits_per_byte_expanded - step0.bits_per_byte_base).margin(1e-9));
    CHECK(step0.head.delta > 0);  // new rows can only take probability
  }
  const Json manifest = read_json(out / "polygraft.json");
  CHECK(manifest.dump().find(world.folder.path().string()) == std::string::npos);
}

TEST_CASE("a graft's experts are clones of the plan's donors", "[expand][graft]") {
  const LanguageWorld& world = language_world();
  const ModelFolder base = ModelFolder::open(world.base);
  expand::ExpansionPlan plan = make_plan(world);
  plan.experts.reinit_ratio = 0;
  plan.experts.router = "donor";
  const auto before = model::Transformer::load(base);
  const auto old_tokenizer = tokenizer::Tokenizer::load(world.base);
  const auto extended = tokenizer::Tokenizer::load(world.extended);
  const auto calibration = expand::read_calibration(world.corpus, plan);
  const expand::ComputedAdditions computed =
      expand::compute_additions(before, old_tokenizer, extended, plan, calibration);
  const expand::Additions& additions = computed.additions;
  for (const expand::LayerPlan& layer : plan.layers) {
    const auto& moe = before.weights().layers[static_cast<size_t>(layer.layer)].moe;
    const std::string prefix = "layers." + std::to_string(layer.layer) + ".moe.";
    for (size_t j = 0; j < layer.donors.size(); ++j) {
      const int64_t donor = layer.donors[j].expert, row = static_cast<int64_t>(j);
      CHECK(
          same_bits(additions.at(prefix + "router.added")[row], moe.router.row(donor, at::kFloat)));
      CHECK(additions.at(prefix + "gate_up.added").is_meta());
      const expand::Expert expert = computed.make_expert(layer.layer, row);
      CHECK(same_bits(expert.gate_up_GD, moe.gate_up.row(donor, at::kFloat)));
      CHECK(same_bits(expert.down_DF, moe.down.row(donor, at::kFloat)));
    }
  }
  // Output rows are the input rows plus one offset shared by all.
  const at::Tensor offset_vD = additions.at("head.added") - additions.at("embedding.added");
  CHECK(at::allclose(offset_vD, offset_vD[0].expand_as(offset_vD), 1e-4, 1e-5));
  CHECK(offset_vD.abs().max().item<double>() > 1e-3);
}

TEST_CASE("calibration text is mixed evenly and the same every time", "[expand][graft]") {
  const LanguageWorld& world = language_world();
  expand::ExpansionPlan plan = make_plan(world);
  plan.experts.calibration_old_tokens = 400;
  plan.vocabulary.mark_steps = 0;  // whose text would be all there is
  const expand::Calibration first = expand::read_calibration(world.corpus, plan);
  const expand::Calibration second = expand::read_calibration(world.corpus, plan);
  REQUIRE(first.old_documents.size() == second.old_documents.size());
  std::map<char, double> bytes;
  for (size_t i = 0; i < first.old_documents.size(); ++i) {
    CHECK(first.old_documents[i].id == second.old_documents[i].id);
    bytes[first.old_documents[i].id[0]] += static_cast<double>(first.old_documents[i].text.size());
  }
  CHECK(bytes.at('a') / bytes.at('b') == Approx(1).margin(0.15));
}

TEST_CASE("sequences begin as scoring windows do and stay within their limits", "[expand]") {
  const LanguageWorld& world = language_world();
  const auto tokenizer = tokenizer::Tokenizer::load(world.base);
  const std::vector<tokenizer::Document> documents = {{"1", "ka ri to mun sel ka ri to"},
                                                      {"2", "frowen digung lich"}};
  const auto all = expand::encode_sequences(documents, tokenizer, {1000, 5});
  auto expected = tokenizer.encode(documents[0].text);
  const size_t second = expected.size();
  tokenizer.encode_append(documents[1].text, expected);
  std::vector<tokenizer::TokenId> text;
  for (const expand::Sequence& sequence : all) {
    CHECK(sequence.size() <= 5);
    const bool begins = text.empty() || text.size() == second;
    CHECK(sequence.front() == (begins ? tokenizer.prefix_id() : text.back()));
    text.insert(text.end(), sequence.begin() + 1, sequence.end());
  }
  CHECK(text == expected);
  CHECK(expand::count_tokens(expand::encode_sequences(documents, tokenizer, {9, 5})) == 9);
  const auto alone = expand::lone_tokens(all, 4);
  REQUIRE(alone.size() == 4);
  CHECK(alone[0] == expand::Sequence{tokenizer.prefix_id()});
  std::set<tokenizer::TokenId> distinct;
  for (const expand::Sequence& sequence : expand::lone_tokens(all, 1000)) {
    CHECK(sequence.size() == 1);
    CHECK(distinct.insert(sequence.front()).second);
  }
  std::set<tokenizer::TokenId> every(expected.begin(), expected.end());
  every.insert(tokenizer.prefix_id());
  CHECK(distinct == every);
  int64_t batched = 0;
  for (const model::Batch& batch : expand::make_batches(all, 8)) {
    CHECK(batch.ids_T.numel() <= 8);
    batched += batch.ids_T.numel();
  }
  CHECK(batched == expand::count_tokens(all));
}

TEST_CASE("a graft refuses what does not belong together", "[expand][graft]") {
  const LanguageWorld& world = language_world();
  const ModelFolder base = ModelFolder::open(world.base);
  const expand::ExpansionPlan plan = make_plan(world);
  const auto out = world.folder / "refused";
  expand::ExpansionPlan other = plan;
  other.model_hash = std::string(64, 'c');
  {
    const AtomicFolder unfinished(out, false);  // another model shows once its bytes are copied
    CHECK_THROWS_WITH(expand::graft(base, other, unfinished.path()),
                      Contains("not the model that the plan was made for"));
  }
  other = plan;
  other.new_vocab_rows = 3;
  CHECK_THROWS_WITH(expand::graft(base, other, out), Contains("3 new tokens"));
  other = plan;
  other.layers[0].donors[0].expert = 6;
  CHECK_THROWS_WITH(expand::graft(base, other, out), Contains("no expert 6"));
  other = plan;
  other.language = "zz";
  CHECK_THROWS_WITH(expand::graft(base, other, out), Contains("'zz'"));
  CHECK_FALSE(std::filesystem::exists(out));
}

}  // namespace polygraft::testing
