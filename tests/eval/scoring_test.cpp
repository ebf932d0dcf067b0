// tests/eval/scoring_test.cpp: scores against lm-evaluation-harness's own (fixtures/lm_eval),
// against one document at a time, and with additions masked.
#include "eval/scoring.h"

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>
#include <ATen/Parallel.h>

#include <catch2/catch.hpp>
#include <limits>
#include <utility>

#include "core/error.h"
#include "core/hash.h"
#include "core/text.h"
#include "eval/results.h"
#include "eval/windows.h"
#include "tests/eval/small_model.h"

namespace polygraft::eval {
namespace {

/// Models this small lose time to every thread but the first.
const bool kOneThread = [] {
  at::set_num_threads(1);
  return true;
}();

/// One document, one forward pass, log-softmax over all logits: nothing shared with the code under
/// test but the model.
double naive_nats(const model::Transformer& transformer,
                  const std::vector<tokenizer::TokenId>& tokens, tokenizer::TokenId prefix) {
  std::vector<int64_t> inputs = {prefix};
  inputs.insert(inputs.end(), tokens.begin(), tokens.end() - 1);
  const at::Tensor targets =
      at::tensor(std::vector<int64_t>(tokens.begin(), tokens.end()), at::kLong);
  const model::Batch batch{at::tensor(inputs, at::kLong), {static_cast<int64_t>(inputs.size())}};
  const at::Tensor logits = transformer.logits(transformer.hidden(batch));
  return -logits.to(at::kDouble)
              .log_softmax(-1)
              .gather(1, targets.unsqueeze(1))
              .sum()
              .item<double>();
}

}  // namespace

TEST_CASE("windows are lm-eval's, token for token", "[eval][scoring]") {
  const std::string lines = read_file(fixture_path("lm_eval/windows.jsonl"));
  int64_t checked = 0;
  for (const std::string& line : split(lines, '\n')) {
    if (line.empty()) continue;
    const Json row = parse_json(line, "windows.jsonl");
    const auto tokens = row["tokens"].get<std::vector<tokenizer::TokenId>>();
    const auto windows =
        rolling_windows(tokens, row["prefix"].get<int32_t>(), row["max_tokens"].get<int64_t>());
    REQUIRE(windows.size() == row["windows"].size());
    for (size_t w = 0; w < windows.size(); ++w) {
      const auto scored = row["windows"][w][1].get<std::vector<int64_t>>();
      std::vector<int64_t> targets(windows[w].inputs.size() - scored.size(), -1);
      targets.insert(targets.end(), scored.begin(), scored.end());
      CHECK(windows[w].inputs == row["windows"][w][0].get<std::vector<int64_t>>());
      CHECK(windows[w].targets == targets);
      ++checked;
    }
  }
  CHECK(checked > 100);
}

TEST_CASE("log-likelihoods equal lm-eval's on a model of transformers, windows included",
          "[eval][scoring]") {
  const auto transformer =
      model::Transformer::load(model::ModelFolder::open(fixture_path("lm_eval/model")));
  const auto scores = score_documents(transformer, byte_tokenizer(), documents(), {});
  const ResultFolder reference = read_result_folder(fixture_path("lm_eval/baseline"));
  const TaskSamples& task = reference.tasks.at({"bpb_de", "none"});
  const auto nats = static_cast<size_t>(task.metric_index("nats"));
  const auto num_bytes = static_cast<size_t>(task.metric_index("num_bytes"));
  const auto& samples = task.samples;
  REQUIRE(scores.size() == samples.size());
  for (size_t i = 0; i < scores.size(); ++i) {
    INFO(documents()[i].text);
    CHECK(scores[i].nats == Approx(samples[i].values[nats]).epsilon(2e-6));
    CHECK(scores[i].num_bytes == samples[i].values[num_bytes]);
    CHECK(scores[i].num_tokens == scores[i].num_bytes);  // a tokenizer of bytes
    CHECK(fingerprint(scores[i].text_hash) == samples[i].target_hash);
  }
  CHECK(bits_per_byte(scores) ==
        Approx(reference.results["results"]["bpb_de"]["bits_per_byte,none"].get<double>())
            .epsilon(2e-6));
}

TEST_CASE("batches of any size give what one document at a time gives", "[eval][scoring]") {
  const model::Transformer transformer = grown_moe();
  const tokenizer::Tokenizer tokenizer = byte_tokenizer();
  std::vector<tokenizer::Document> short_documents;
  for (const auto& document : documents()) {
    if (document.text.size() <= 32) short_documents.push_back(document);
  }
  REQUIRE(short_documents.size() >= 4);
  for (const int64_t batch_tokens : {1, 40, 4096}) {
    const auto scores =
        score_documents(transformer, tokenizer, short_documents, {.batch_tokens = batch_tokens});
    for (size_t i = 0; i < scores.size(); ++i) {
      const auto tokens = tokenizer.encode(short_documents[i].text);
      CHECK(scores[i].nats ==
            Approx(naive_nats(transformer, tokens, tokenizer.prefix_id())).epsilon(1e-5));
      CHECK(scores[i].id == short_documents[i].id);
    }
  }
}

TEST_CASE("the same call gives the same bits", "[eval][scoring][property]") {
  const model::Transformer transformer = grown_moe();
  const auto once =
      score_documents(transformer, byte_tokenizer(), documents(), {.batch_tokens = 50});
  const auto again =
      score_documents(transformer, byte_tokenizer(), documents(), {.batch_tokens = 50});
  for (size_t i = 0; i < once.size(); ++i) CHECK(once[i].nats == again[i].nats);
}

TEST_CASE("with additions masked the scores are the base's, bit for bit",
          "[eval][scoring][property]") {
  const model::Transformer base(small_moe(), model::random_weights(small_moe(), 5, at::kFloat));
  const model::Transformer grown = grown_moe();
  const auto expected = score_documents(base, byte_tokenizer(), documents(), {});
  const auto masked =
      score_documents(grown, byte_tokenizer(), documents(), {.mask = model::Mask::all()});
  const auto unmasked = score_documents(grown, byte_tokenizer(), documents(), {});
  for (size_t i = 0; i < expected.size(); ++i) {
    CHECK(masked[i].nats == expected[i].nats);
    CHECK(unmasked[i].nats != expected[i].nats);
  }
}

TEST_CASE("one pass scores with and without the added vocabulary rows", "[eval][scoring]") {
  const model::Transformer transformer = grown_moe();
  const auto both =
      score_documents(transformer, byte_tokenizer(), documents(), {.head_masked_too = true});
  const auto all = score_documents(transformer, byte_tokenizer(), documents(), {});
  const auto head_masked =
      score_documents(transformer, byte_tokenizer(), documents(), {.mask = {.head = true}});
  for (size_t d = 0; d < both.size(); ++d) {
    CHECK(both[d].nats == all[d].nats);
    CHECK(both[d].head_masked_nats == Approx(head_masked[d].nats).epsilon(1e-12));
    CHECK(head_masked[d].nats < all[d].nats);
  }
  // A window of a document shorter than the context, whose leak can be computed directly.
  const auto is_short = [](const auto& document) { return document.text.size() < 30; };
  const auto found = std::find_if(documents().begin(), documents().end(), is_short);
  REQUIRE(found != documents().end());
  const auto tokens = byte_tokenizer().encode(found->text);
  std::vector<int64_t> inputs = {byte_tokenizer().prefix_id()};
  inputs.insert(inputs.end(), tokens.begin(), tokens.end() - 1);
  const auto hidden_TD =
      transformer.hidden({at::tensor(inputs, at::kLong), {static_cast<int64_t>(inputs.size())}});
  const model::SplitRows& head = transformer.weights().head;
  const auto logits_TV = at::mm(hidden_TD, at::cat({head.base.to(at::kFloat), head.added}).t());
  const auto added_TV = at::softmax(logits_TV, 1).narrow(1, head.base.size(0), head.added.size(0));
  const double leaked = added_TV.sum().item<double>();
  const auto place = static_cast<size_t>(found - documents().begin());
  CHECK(both[place].leaked_mass == Approx(leaked).epsilon(1e-4));
  CHECK(leaked > 0);
}

TEST_CASE("nats by position are the document's, each token in its band", "[eval][scoring]") {
  std::vector<size_t> bands;
  for (const int64_t position : {0, 1, 3, 4, 15, 16, 63, 64, 5000})
    bands.push_back(position_band(position));
  CHECK(bands == std::vector<size_t>{0, 1, 1, 2, 2, 3, 3, 4, 4});
  const model::Transformer transformer = grown_moe();
  std::vector<tokenizer::Document> with_long = documents();
  for (const auto& document : documents()) with_long.front().text += document.text;
  bool has_long = false;
  for (const DocumentScore& score : score_documents(transformer, byte_tokenizer(), with_long, {})) {
    const NatsByPosition& nats = score.nats_by_position;
    CHECK(std::accumulate(nats.begin(), nats.end(), 0.0) == Approx(score.nats));
    const bool is_long = score.num_tokens > 64;  // windows of 32 tokens go on counting
    CHECK((nats.back() > 0) == is_long);
    has_long = has_long || is_long;
  }
  CHECK(has_long);
}

TEST_CASE("a killed run continues with the bits it would have had", "[eval][scoring][property]") {
  const TemporaryFolder temporary;
  const model::Transformer transformer = grown_moe();
  ScoreOptions options{.batch_tokens = 50, .head_masked_too = GENERATE(false, true)};
  const auto nats = [&](const ScoreOptions& with) {
    std::vector<double> out;
    for (const auto& score : score_documents(transformer, byte_tokenizer(), documents(), with)) {
      out.push_back(score.nats);
      out.push_back(score.head_masked_nats);
    }
    return out;
  };
  const auto expected = nats(options);
  options.log = temporary.path() / "bpb.scores";
  options.log_key = "model";
  CHECK(nats(options) == expected);
  const std::string whole = read_file(options.log);
  REQUIRE(whole.size() > 1000);
  int64_t layers = 0;
  options.observer = [&](const model::RouterTap&) { ++layers; };
  CHECK(nats(options) == expected);
  CHECK(layers == 0);  // nothing was left to compute
  int64_t least = 0;
  for (const size_t kept :
       {whole.size() - 1, whole.size() / 2, size_t{80}, size_t{10}, size_t{0}}) {
    write_file_atomically(options.log, whole.substr(0, kept));
    layers = 0;
    CHECK(nats(options) == expected);
    CHECK(layers > 0);
    CHECK(layers >= std::exchange(least, layers));  // the less was kept, the more work
    CHECK(read_file(options.log) == whole);
  }
  for (ScoreOptions other : {ScoreOptions{.batch_tokens = 60}, ScoreOptions{.mask = {.head = true}},
                             ScoreOptions{.log_key = "another model"}}) {
    other.log = options.log;
    write_file_atomically(options.log, whole);
    const auto unlogged = [&] {
      ScoreOptions fresh = other;
      fresh.log.clear();
      return nats(fresh);
    }();
    CHECK(nats(other) == unlogged);
    CHECK(read_file(options.log) != whole);
  }
}

TEST_CASE("scoring records no graph and calls the observer for every layer and batch",
          "[eval][scoring]") {
  const model::Transformer transformer = grown_moe();
  int64_t calls = 0, tokens = 0;
  ScoreOptions options;
  options.observer = [&](const model::RouterTap& tap) {
    ++calls;
    tokens += tap.layer == 0 ? tap.input_TD.size(0) : 0;
    CHECK_FALSE(tap.base_TE.requires_grad());
  };
  const auto scores =
      score_documents(transformer, byte_tokenizer(), {documents()[0], documents()[3]}, options);
  CHECK(calls == 2);
  CHECK(tokens == scores[0].num_tokens + scores[1].num_tokens);
}

TEST_CASE("a document whose score is not finite is named", "[eval][scoring]") {
  model::Transformer transformer = grown_moe();
  const auto tokens = byte_tokenizer().encode(
      documents()[4].text);  // "aaaa...": no other document holds this token
  transformer.weights().embedding.base[tokens[1]].fill_(std::numeric_limits<float>::quiet_NaN());
  std::vector<tokenizer::Document> some = {
      documents()[3], documents()[5], {"culprit", "aa"}, documents()[5]};
  some[0].text = "xyz";
  CHECK_THROWS_AS(score_documents(transformer, byte_tokenizer(), some, {}), NumericError);
  CHECK_THROWS_WITH(score_documents(transformer, byte_tokenizer(), some, {}),
                    Catch::Contains("document 'culprit'"));
}

TEST_CASE("options that fit no model are refused, and no bytes have no bits per byte",
          "[eval][scoring]") {
  const model::Transformer transformer = grown_moe();
  const tokenizer::Tokenizer tokenizer = byte_tokenizer();
  CHECK_THROWS_AS(score_documents(transformer, tokenizer, documents(), {.max_context_tokens = 33}),
                  ConfigError);
  CHECK_THROWS_AS(score_documents(transformer, tokenizer, documents(), {.max_context_tokens = -1}),
                  ConfigError);
  CHECK_THROWS_AS(score_documents(transformer, tokenizer, documents(), {.batch_tokens = 0}),
                  ConfigError);
  CHECK_THROWS_AS(bits_per_byte({}), NotComparable);
}

}  // namespace polygraft::eval
