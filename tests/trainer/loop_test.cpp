// tests/trainer/loop_test.cpp: whole runs on a tiny model: what is learned, what stays, what is
// logged, what is written.
#include <catch2/catch.hpp>

#include "core/error.h"
#include "core/hash.h"
#include "core/log.h"
#include "model/checkpoint/tensors_hash.h"
#include "model/kernels/dispatch.h"
#include "tests/core/stderr_capture.h"
#include "tests/trainer/run_files.h"
#include "tests/trainer/tiny_world.h"
#include "trainer/trainee.h"

namespace polygraft::trainer {
namespace {

using testing::metrics_of;
using testing::TemporaryFolder;
using testing::tiny_world;

TEST_CASE("from scratch, the loss falls and a loadable model is written", "[trainer][loop]") {
  const TemporaryFolder run;
  TrainJob job = testing::scratch_job(run / "run");
  job.train.tokens = 128 * 40;
  const TrainResult result = train(job);
  CHECK(result.steps == 40);
  CHECK(result.best_step == 40);
  const std::vector<Json> lines = metrics_of(job.run_dir);
  REQUIRE(lines.front().contains("probe"));
  const auto bits = [&](const Json& line, const char* language) {
    return line["probe"][language]["bits_per_byte"].get<double>();
  };
  for (const char* language : {"aa", "bb"}) {
    CHECK(bits(lines.back(), language) < 0.8 * bits(lines.front(), language));
    CHECK(result.last_probe.at(language).bits_per_byte == Approx(bits(lines.back(), language)));
  }
  CHECK_FALSE(lines.front()["probe"]["aa"].contains("delta_relative"));
  const auto written = model::ModelFolder::open(job.output);
  CHECK(written.config.num_experts == 4);
  CHECK_FALSE(written.manifest.has_value());
  CHECK(fs::exists(job.output / "generation_config.json"));
  CHECK(fs::exists(job.output / "tokenizer.json"));
}

/// Old rows of every tensor, as bytes.
std::map<std::string, std::string> base_bytes(const model::ModelFolder& folder,
                                              const model::ModelFolder& base) {
  std::map<std::string, std::string> bytes;
  for (const std::string& name : base.tensors.names()) {
    const size_t size = base.tensors.get(name).bytes.size();
    bytes[name] = folder.tensors.get(name).bytes.substr(0, size);
  }
  return bytes;
}

TEST_CASE("training additions leaves every old byte as it was", "[trainer][loop]") {
  const TemporaryFolder run;
  const TrainJob job = testing::additions_job(run / "run");
  const TrainResult result = train(job);
  CHECK(result.steps == 12);
  const auto base = model::ModelFolder::open(tiny_world().base);
  const auto before = model::ModelFolder::open(tiny_world().expanded);
  const auto after = model::ModelFolder::open(job.output);
  CHECK(base_bytes(after, base) == base_bytes(before, base));
  int num_changed = 0;
  for (const std::string& name : after.tensors.names()) {
    const bool changed = after.tensors.get(name).bytes != before.tensors.get(name).bytes;
    num_changed += changed ? 1 : 0;
  }
  CHECK(num_changed == 2 + 2 * (1 + 2 * 3));  // vocabulary rows; a layer's router and experts
  REQUIRE(after.manifest.has_value());
  CHECK((*after.manifest->provenance)["training"]["seed"] == 17);
  CHECK(after.manifest->base_tensors_hash == before.manifest->base_tensors_hash);
}

TEST_CASE("weights that do not train stay in the model's files", "[trainer][loop]") {
  const auto [trainable, is_expanded] = GENERATE(table<std::string, bool>(
      {{"additions", true}, {"none-but-router", true}, {"none-but-router", false}}));
  const TemporaryFolder run;
  TrainJob job = testing::additions_job(run / "run");
  job.model = is_expanded ? tiny_world().expanded : tiny_world().base;
  job.train.trainable = trainable;
  const Trainee trainee = load_trainee(job);
  for (const model::LayerWeights& layer : trainee.transformer.weights().layers) {
    CHECK(layer.moe.gate_up.base.is_meta());
    CHECK(layer.moe.down.base.is_meta());
  }
}

TEST_CASE("routers alone train, and every other byte is written as it was", "[trainer][loop]") {
  const auto source = GENERATE(as<fs::path>{}, tiny_world().base, tiny_world().expanded);
  const TemporaryFolder run;
  TrainJob job = testing::additions_job(run / "run");
  job.model = source;
  job.languages = {"cc"};
  job.train.trainable = "none-but-router";
  job.train.budget.reset();
  train(job);
  const auto before = model::ModelFolder::open(source);
  const auto after = model::ModelFolder::open(job.output);
  REQUIRE(after.tensors.names() == before.tensors.names());
  for (const std::string& name : after.tensors.names()) {
    INFO(name);
    const bool has_changed = after.tensors.get(name).bytes != before.tensors.get(name).bytes;
    CHECK(has_changed == name.ends_with("mlp.gate.weight"));
  }
}

TEST_CASE("every step and every probe has its line", "[trainer][loop]") {
  const TemporaryFolder run;
  const TrainJob job = testing::additions_job(run / "run");
  train(job);
  std::vector<int64_t> probed, stepped;
  for (const Json& line : metrics_of(job.run_dir)) {
    const auto step = line["step"].get<int64_t>();
    if (line.contains("probe")) {
      probed.push_back(step);
      for (const char* key : {"bits_per_byte", "delta_relative", "ci_low", "ci_high", "leak_share",
                              "leak_mass", "head_leak"}) {
        CHECK(line["probe"]["aa"].contains(key));
      }
      const Json& old = line["probe"]["aa"];
      double sum = 0;
      for (const char* cause : {"tokenizer", "head", "router", "experts"})
        sum += old["relative_by_cause"][cause].get<double>();
      CHECK(sum == Approx(old["delta_relative"].get<double>()).margin(1e-9));
      for (const char* band : {"1", "2-4", "5-16", "17-64", "65-"})
        CHECK(old["relative_by_position"].contains(band));
      CHECK_FALSE(line["probe"]["cc"].contains("delta_relative"));
      CHECK(line["budget"].contains("action"));
    } else {
      stepped.push_back(step);
      for (const char* key : {"tokens", "loss", "bits_per_byte", "learning_rate", "kl"}) {
        CHECK(line.contains(key));
      }
    }
  }
  CHECK(probed.front() == 0);
  CHECK(probed.back() == 12);
  CHECK(probed.size() >= 4);
  CHECK(stepped.size() == 12);
}

/// The last probe of a run of 40 steps over the additions.
Json last_probe_with(const fs::path& run, const std::string& method, double replay_fraction) {
  TrainJob job = testing::additions_job(run);
  job.train.tokens = 128 * 40;
  job.train.protect.method = method;
  job.train.protect.kl = 20;
  job.train.replay.fraction = replay_fraction;
  job.train.budget.reset();
  train(job);
  return metrics_of(run).back()["probe"];
}

constexpr const char* kRunAloud = "child: a run that says how it goes";
TEST_CASE(kRunAloud, "[.child]") {
  const TemporaryFolder run;
  const TrainJob job = testing::additions_job(run / "run");  // the world is made in silence
  set_log_level(LogLevel::kInfo);
  train(job);
}

TEST_CASE("the last line of training has the worst language of the last probe", "[trainer][loop]") {
  const std::string said = testing::stderr_of_test(kRunAloud, testing::StderrKind::kPipe);
  const auto worst_behind = [&](const std::string& beginning) {
    const size_t line = said.find(beginning);
    REQUIRE(line != std::string::npos);
    const size_t worst = said.find("worst ", line);
    return said.substr(worst, said.find('%', worst) - worst);
  };
  CHECK(worst_behind("info: training: ") == worst_behind("info: step 12: "));
}

TEST_CASE("protection keeps old languages while the new one is learned", "[trainer][loop]") {
  const TemporaryFolder run;
  const auto number = [](const Json& probe, const char* language, const char* key) {
    return probe[language][key].get<double>();
  };
  const Json free_run = last_probe_with(run / "free", "none", 0.0);
  REQUIRE(number(free_run, "aa", "delta_relative") > 0.02);
  const Json start = metrics_of(run / "free").front()["probe"];
  const auto method = GENERATE(as<std::string>{}, "kl", "hinge", "polyak");
  const Json kept = last_probe_with(run / method, method, 0.25);
  for (const char* language : {"aa", "bb"}) {
    CHECK(number(kept, language, "delta_relative") <
          0.5 * number(free_run, language, "delta_relative"));
  }
  CHECK(number(kept, "cc", "bits_per_byte") < 0.8 * number(start, "cc", "bits_per_byte"));
}

TEST_CASE("steps in bfloat16 begin as steps in float32 do, where the processor has them",
          "[trainer][loop]") {
  const TemporaryFolder run;
  TrainJob rounded = testing::additions_job(run / "rounded");
  rounded.train.precision = "bfloat16";
  if (!kernels::has_precision(kernels::Precision::kBFloat16)) {
    CHECK_THROWS_WITH(train(rounded), Catch::Contains("AMX-BF16"));
    return;
  }
  const TrainJob exact = testing::additions_job(run / "exact");
  train(exact);
  train(rounded);
  const Json first = metrics_of(exact.run_dir).front(), start = metrics_of(rounded.run_dir).front();
  const auto number = [](const Json& line, const char* language, const char* key) {
    return line["probe"][language][key].get<double>();
  };
  for (const char* language : {"aa", "bb"}) {
    const double exact_bits = number(first, language, "bits_per_byte");
    CHECK(number(start, language, "bits_per_byte") == Approx(exact_bits).epsilon(0.002));
    CHECK(number(start, language, "bits_per_byte") != exact_bits);
    // Both of a pair are rounded alike: what they differ by is nearly what it was.
    CHECK(number(start, language, "delta_relative") ==
          Approx(number(first, language, "delta_relative")).margin(5e-4));
  }
  // Afterwards rounding spreads: 12 steps of a tiny model answer to a thousandth of the rate.
  std::vector<double> losses[2];
  for (const TrainJob* job : std::initializer_list<const TrainJob*>{&exact, &rounded}) {
    for (const Json& line : metrics_of(job->run_dir)) {
      if (line.contains("cross_entropy")) losses[job == &rounded].push_back(line["cross_entropy"]);
    }
  }
  REQUIRE(losses[0].size() == 12);
  REQUIRE(losses[1].size() == 12);
  for (size_t step = 0; step < 2; ++step) {
    CHECK(losses[1][step] == Approx(losses[0][step]).epsilon(0.005));
    CHECK(losses[1][step] != losses[0][step]);
  }
}

TEST_CASE("the result says whether any weights were inside the budget", "[trainer][loop]") {
  const TemporaryFolder run;
  TrainJob job = testing::additions_job(run / "loose");
  job.train.budget->max_relative_bpb = 5.0;
  CHECK(train(job).within_budget);
  job = testing::additions_job(run / "tight");
  job.train.budget->max_relative_bpb = 0.0;
  const TrainResult tight = train(job);
  std::map<int64_t, double> worst_by_step;
  for (const Json& line : metrics_of(job.run_dir)) {
    if (!line.contains("probe") || line["step"] == 0) continue;
    worst_by_step[line["step"]] = std::max(line["probe"]["aa"]["delta_relative"].get<double>(),
                                           line["probe"]["bb"]["delta_relative"].get<double>());
  }
  for (const auto& [step, worst] : worst_by_step) {
    if (!tight.within_budget) CHECK(worst_by_step.at(tight.best_step) <= worst);
  }
}

TEST_CASE("continual training of all weights writes a plain model", "[trainer][loop]") {
  const TemporaryFolder run;
  TrainJob job = testing::additions_job(run / "run");
  job.model = tiny_world().base;
  job.languages = {"cc"};
  job.train.trainable = "all";
  job.train.budget.reset();
  const TrainResult result = train(job);
  CHECK(result.last_probe.at("aa").delta_relative != 0.0);
  const auto before = model::ModelFolder::open(tiny_world().base);
  const auto after = model::ModelFolder::open(job.output);
  CHECK_FALSE(after.manifest.has_value());
  CHECK(*after.config_json == *before.config_json);
  CHECK(model::hash_tensors(after.tensors) != model::hash_tensors(before.tensors));
}

TEST_CASE("an existing output is refused before any work", "[trainer][loop]") {
  const TemporaryFolder run;
  const TrainJob job = testing::additions_job(run / "run");
  fs::create_directories(job.output);
  CHECK_THROWS_AS(train(job), ConfigError);
  CHECK_FALSE(fs::exists(job.run_dir / "metrics.jsonl"));
}

}  // namespace
}  // namespace polygraft::trainer
