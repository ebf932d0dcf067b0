// tests/expand/sentencepiece_test.cpp: a base with tokenizer.model alone is grafted, verified,
// packed and put together again.
#include <catch2/catch.hpp>

#include "core/error.h"
#include "core/file.h"
#include "core/json.h"
#include "expand/packs/attach.h"
#include "expand/packs/open_model.h"
#include "expand/packs/pack_vocabulary.h"
#include "tests/expand/packs/pack_world.h"
#include "tokenizer/base_view.h"
#include "tokenizer/corpus.h"
#include "tokenizer/tokenizer.h"

namespace polygraft::testing {

using Catch::Contains;
using model::ModelFolder;
using tokenizer::Tokenizer;
using Names = std::vector<std::string>;

namespace {

std::vector<std::string> texts_of(const LanguageWorld& world, const std::string& language) {
  std::vector<std::string> texts;
  for (const auto& document :
       tokenizer::read_documents({world.folder / (language + ".heldout.txt")})) {
    texts.push_back(document.text);
  }
  return texts;
}

}  // namespace

TEST_CASE("a base with tokenizer.model alone is grafted, and verifies", "[expand][graft]") {
  const LanguageWorld& world = language_world(TokenizerKind::kSentencePiece);
  REQUIRE_FALSE(fs::exists(world.base / "tokenizer.json"));
  const ModelFolder base = ModelFolder::open(world.base);
  const expand::ExpansionPlan plan = make_plan(world);
  const auto out = world.folder / "grafted", again = world.folder / "grafted-again";
  expand::graft(base, plan, out);
  expand::graft(base, plan, again);
  CHECK(hash_folder(out) == hash_folder(again));
  CHECK(read_file(out / "tokenizer.model") == read_file(world.extended / "tokenizer.model"));
  CHECK(read_file(out / "tokenizer_config.json") ==
        read_file(world.base / "tokenizer_config.json"));
  const expand::VerifyReport report = expand::verify_expansion(
      base, ModelFolder::open(out), world.corpus, {.bytes_per_language = 4000});
  INFO(report.to_json().dump(2));
  CHECK(report.ok);
  CHECK(report.masked_logits_equal);
  for (const auto& [language, step0] : report.step0) CHECK(step0.tokenizer.delta == 0);

  const Tokenizer before = Tokenizer::load(world.base), after = Tokenizer::load(out);
  CHECK(after.size() == before.size() + 12);
  size_t tokens_before = 0, tokens_after = 0;
  for (const std::string& text : texts_of(world, "cc")) {
    tokens_before += before.encode(text).size();
    tokens_after += after.encode(text).size();
  }
  CHECK(tokens_after < tokens_before);
}

TEST_CASE("start rows of new pieces are means over the old pieces in their place",
          "[expand][graft]") {
  const LanguageWorld& world = language_world(TokenizerKind::kSentencePiece);
  const auto base = model::Transformer::load(ModelFolder::open(world.base));
  const Tokenizer old = Tokenizer::load(world.base), extended = Tokenizer::load(world.extended);
  expand::ExpansionPlan plan = make_plan(world);
  plan.vocabulary.mark_steps = 0;
  const auto calibration = expand::read_calibration(world.corpus, plan);
  const expand::Additions additions =
      expand::compute_additions(base, old, extended, plan, calibration).additions;
  const auto parts =
      tokenizer::old_parts_of_added_tokens(extended, static_cast<tokenizer::TokenId>(old.size()));
  REQUIRE(parts.size() == 12);
  for (size_t i = 0; i < parts.size(); ++i) {
    CHECK(parts[i] == world.extension.tokens[i].old_tokens);
    CHECK(parts[i].size() > 1);
    at::Tensor sum_D = at::zeros({16}, at::kDouble);
    for (const int64_t id : parts[i]) {
      sum_D += base.weights().embedding.base[id].to(at::kDouble);
    }
    const at::Tensor mean_D = (sum_D / static_cast<double>(parts[i].size())).to(at::kFloat);
    CHECK(
        at::allclose(additions.at("embedding.added")[static_cast<int64_t>(i)], mean_D, 1e-5, 1e-6));
  }
}

TEST_CASE("verify names what was changed in a tokenizer.model", "[expand][verify]") {
  const LanguageWorld& world = language_world(TokenizerKind::kSentencePiece);
  const ModelFolder base = ModelFolder::open(world.base);
  const auto out = world.folder / "tampered";
  expand::graft(base, make_plan(world), out);
  const auto first_reason = [&] {
    const auto report = expand::verify_expansion(base, ModelFolder::open(out), world.corpus,
                                                 {.bytes_per_language = 1000});
    return report.ok || report.differences.empty() ? std::string("none")
                                                   : report.differences[0].reason;
  };
  const std::string good = read_file(out / "tokenizer.model");
  std::string bad = good;
  const size_t at = bad.find("\n\x02ka");  // the text of a piece: field 1, two bytes
  REQUIRE(at != std::string::npos);
  bad[at + 2] = 'q';
  write_file_atomically(out / "tokenizer.model", bad);
  CHECK_THAT(first_reason(), Contains("('ka') is not the base's"));
  write_file_atomically(out / "tokenizer.model", good);
  CHECK(first_reason() == "none");
}

TEST_CASE("packs of a base with tokenizer.model give the graft's bytes, in any order",
          "[expand][packs][property]") {
  PackWorld world({}, TokenizerKind::kSentencePiece);
  const auto attach = [&](const fs::path& model, const std::vector<fs::path>& packs,
                          const char* name) {
    expand::attach_packs(ModelFolder::open(model), packs, {}, world.folder / name);
    return world.folder / name;
  };
  const fs::path cc = world.pack("cc"), dd = world.pack("dd");
  CHECK(read_json(cc / "pack.json")["merges"].empty());
  CHECK(read_json(cc / "pack.json")["tokens"].size() == 12);
  CHECK(differing_files(world.folder / "cc.model", attach(world.base, {cc}, "one")) == Names{});
  const fs::path both = attach(world.base, {cc, dd}, "both"),
                 other = attach(attach(world.base, {dd}, "dd-first"), {cc}, "other");
  CHECK(hash_folder(both) == hash_folder(other));
  const Tokenizer base = Tokenizer::load(world.base), grown = Tokenizer::load(both);
  const expand::OpenModel in_memory =
      expand::open_model(ModelFolder::open(world.base), {.packs = {dd, cc}});
  CHECK(in_memory.tokenizer.hash() == grown.hash());
  for (const char* word : {"jala nang", "vizz jala", "ka ri"}) {
    CHECK(in_memory.tokenizer.encode(word) == grown.encode(word));
  }
  CHECK(tokenizer::count_unreachable(grown, static_cast<tokenizer::TokenId>(base.size())) == 0);
  expand::detach_pack(ModelFolder::open(both), "dd", world.folder / "less");
  CHECK(differing_files(world.folder / "cc.model", world.folder / "less") == Names{});
  expand::detach_pack(ModelFolder::open(world.folder / "less"), "cc", world.folder / "bare");
  CHECK(differing_files(world.base, world.folder / "bare") == Names{});
}

}  // namespace polygraft::testing
