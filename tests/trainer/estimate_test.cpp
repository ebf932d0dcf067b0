// tests/trainer/estimate_test.cpp: what is promised before a run against what the run takes.
#include <catch2/catch.hpp>

#include "core/file.h"
#include "core/json.h"
#include "model/checkpoint/side_files.h"
#include "tests/trainer/child.h"
#include "tests/trainer/tiny_world.h"
#include "trainer/optim/lora.h"
#include "trainer/trainee.h"

namespace polygraft::trainer {
namespace {

using testing::tiny_world;

TEST_CASE("an estimate counts exactly what trains", "[trainer][estimate]") {
  const testing::TemporaryFolder run;
  const TrainEstimate estimate = estimate_training(testing::additions_job(run / "run"));
  CHECK(estimate.steps == 12);
  const auto folder = model::ModelFolder::open(tiny_world().expanded);
  const int64_t experts = 2 * 2 * (3 * 16 * 16 + 16);
  CHECK(estimate.trainable_parameters == experts + 2 * 16 * folder.num_added_vocab_rows());
  const TrainEstimate scratch = estimate_training(testing::scratch_job(run / "scratch"));
  CHECK(scratch.trainable_parameters ==
        model::count_parameters(model::ModelFolder::open(tiny_world().base).config).total);
}

/// A tiny random model folder: the usual one with other keys in its config.json.
void write_model(const OrderedJson& keys, const fs::path& folder) {
  OrderedJson json = scratch_config_json(testing::tiny_architecture(),
                                         tokenizer::Tokenizer::load(tiny_world().base));
  json.update(keys);
  const auto config = model::parse_model_config(Json(json), folder);
  fs::create_directories(folder);
  model::write_weights(
      model::random_weights(config, 7, at::kFloat), config,
      config.is_moe() ? model::ExpertLayout::kPerExpert : model::ExpertLayout::kNone, folder);
  write_json(folder / "config.json", json);
  model::copy_side_files(tiny_world().base, folder, /*without_tokenizer=*/false);
}

int64_t num_training(const TrainJob& job) {
  Trainee trainee = load_trainee(job);
  model::Weights& weights = trainee.transformer.weights();
  int64_t num = num_elements(select_parameters(weights, job.train));
  if (job.train.trainable != "lora") return num;
  return num + num_elements(LowRankAdapters(weights, job.train.lora, 17).parameters());
}

void check_count(TrainJob job, const std::string& trainable) {
  job.train.trainable = trainable;
  INFO(job.model.filename() << ", " << trainable
                            << (job.tokenizer.empty() ? "" : ", with more tokens"));
  CHECK(estimate_training(job).trainable_parameters == num_training(job));
}

TEST_CASE("an estimate counts what trains of models of every shape", "[trainer][estimate]") {
  const int64_t num_tokens = tokenizer::Tokenizer::load(tiny_world().base).size();
  const std::vector<std::pair<std::string, OrderedJson>> shapes = {
      {"tied", OrderedJson::object()},
      {"untied", {{"tie_word_embeddings", false}}},
      {"few spare rows", {{"vocab_size", num_tokens + 3}, {"tie_word_embeddings", false}}},
      {"many spare rows", {{"vocab_size", num_tokens + 60}}},
      {"first layer dense", {{"mlp_only_layers", {0}}, {"intermediate_size", 24}}},
      {"shared expert",
       {{"model_type", "qwen2_moe"},
        {"architectures", {"Qwen2MoeForCausalLM"}},
        {"shared_expert_intermediate_size", 12}}},
      {"dense",
       {{"model_type", "qwen3"},
        {"architectures", {"Qwen3ForCausalLM"}},
        {"intermediate_size", 24}}}};
  const auto extended = tiny_world().folder / "extended-tokenizer";
  const int64_t num_rows = tokenizer::Tokenizer::load(extended).size() - num_tokens;
  REQUIRE(num_rows > 3);
  const testing::TemporaryFolder folder;
  TrainJob job = testing::additions_job(folder / "run");
  job.languages = {"cc"};
  job.train.lora.rank = 3;
  job.train.budget.reset();
  for (const auto& [name, keys] : shapes) {
    const bool is_dense = name == "dense";
    job.model = folder / name;
    write_model(keys, job.model);
    for (const fs::path& tokenizer : {fs::path(), extended}) {
      job.tokenizer = tokenizer;
      for (const char* trainable : {"all", "lora"}) check_count(job, trainable);
    }
    job.tokenizer.clear();
    if (is_dense) continue;
    check_count(job, "none-but-router");
    job.model = folder / (name + " and additions");
    testing::write_expansion(folder / name, extended, num_rows, job.model);
    for (const char* trainable : {"additions", "all", "lora", "none-but-router"}) {
      check_count(job, trainable);
    }
  }
}

constexpr int kTokensAtOnce = 8192;

/// Large enough that neither the program itself nor one matrix decides.
TrainJob sizeable_job(const fs::path& run) {
  TrainJob job = testing::scratch_job(run);
  job.scratch->hidden_size = 192;
  job.scratch->num_layers = 4;
  job.scratch->num_heads = 6;
  job.scratch->num_kv_heads = 3;
  job.scratch->head_dim = 32;
  job.scratch->expert_width = 192;
  job.scratch->num_experts = 8;
  job.train.batch_tokens = kTokensAtOnce;
  job.train.tokens = 2 * kTokensAtOnce;
  return job;
}

TEST_CASE("child: peak memory of a run", "[.child]") {
  const fs::path run = testing::child_folder();
  testing::AnonymousPeak peak;
  train(sizeable_job(run));
  write_file_atomically(run.parent_path() / "peak", std::to_string(peak.stop()));
}

TEST_CASE("the estimated peak memory is that of a run within 15 %", "[trainer][estimate]") {
  const testing::TemporaryFolder folder;
  REQUIRE(testing::run_test_case_in_child("child: peak memory of a run", folder / "run", 0) == 0);
  const auto measured = static_cast<double>(std::stoll(read_file(folder / "peak")));
  const auto estimated =
      static_cast<double>(estimate_training(sizeable_job(folder / "run")).peak_memory_bytes);
  INFO("estimated " << estimated << ", measured " << measured);
  CHECK(estimated > measured / 1.15);
  CHECK(estimated < measured * 1.15);
}

}  // namespace
}  // namespace polygraft::trainer
