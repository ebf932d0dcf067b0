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
#include "model/architecture/head_loss.h"
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

TEST_CASE("a killed run continues with the bits it would have had", "[eval][scoring][property]") {
  const TemporaryFolder temporary;
  const model::Transformer transformer = grown_moe();
  ScoreOptions options{.batch_tokens = 50};
  const auto nats = [&](const ScoreOptions& with) {
    std::vector<double> out;
    for (const auto& score : score_documents(transformer, byte_tokenizer(), documents(), with))
      out.push_back(score.nats);
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
