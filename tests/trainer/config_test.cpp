// tests/trainer/config_test.cpp: defaults that depend on the method, and every rule broken at once.
#include "trainer/config.h"

#include <catch2/catch.hpp>

#include "core/text.h"
#include "tests/core/temporary_folder.h"
#include "trainer/trainer.h"

namespace polygraft::trainer {
namespace {

constexpr const char* kGoodFile = R"(
model: base
corpus: corpus.yaml
run_dir: run
output: out
train:
  tokens: 1000
  optimizer: {learning_rate: 1.0e-3}
)";

std::string problems_of(const std::string& yaml, const std::vector<std::string>& overrides) {
  ConfigSource source = ConfigSource::from_text(yaml, "train.yaml");
  for (const std::string& assignment : overrides) source.set(assignment);
  try {
    bind_config<TrainFile>(source);
  } catch (const ConfigError& error) {
    return error.what();
  }
  return "";
}

TEST_CASE("a minimal training file is accepted", "[trainer][config]") {
  const auto file = bind_config<TrainFile>(ConfigSource::from_text(kGoodFile, "train.yaml"));
  CHECK(file.train.trainable == "additions");
  CHECK(file.train.protect.method == "kl");
}

TEST_CASE("hinge weight and margin follow the method unless they are given", "[trainer][config]") {
  ProtectConfig protect;
  CHECK(protect.hinge_or_default() == 0.5);
  CHECK(protect.margin_or_default() == 0.3);
  protect.method = "hinge";
  CHECK(protect.hinge_or_default() == 10.0);
  CHECK(protect.margin_or_default() == 0.5);
  protect.hinge = 2.0;
  CHECK(protect.hinge_or_default() == 2.0);
}

TEST_CASE("every broken rule is reported, each with its dotted path", "[trainer][config]") {
  const std::string text = problems_of(kGoodFile, {"train.trainable=some",
                                                   "train.precision=half",
                                                   "train.tokens=0",
                                                   "train.sequence_length=1",
                                                   "train.micro_batch_tokens=-1",
                                                   "train.optimizer.learning_rate=0",
                                                   "train.optimizer.betas=[0.9, 1.0]",
                                                   "train.optimizer.schedule=linear",
                                                   "train.optimizer.warmup_fraction=1.5",
                                                   "train.replay.fraction=1",
                                                   "train.replay.source=none",
                                                   "train.replay.self_tokens=0",
                                                   "train.replay.self_chats=2",
                                                   "train.protect.method=prayer",
                                                   "train.protect.kl=-1",
                                                   "train.probe.every_tokens=0",
                                                   "train.budget.confidence=1",
                                                   "train.budget.on_exceeded=panic",
                                                   "train.checkpoint.keep=0",
                                                   "train.load_balance=-1",
                                                   "train.lora.rank=0",
                                                   "train.lora.alpha=0",
                                                   "tokenizer=extended",
                                                   "pack=packs/id",
                                                   "seed=-3",
                                                   "languages=[id, id]"});
  for (const char* path : {"train.trainable",
                           "train.precision",
                           "train.tokens",
                           "train.sequence_length",
                           "train.micro_batch_tokens",
                           "train.optimizer.learning_rate",
                           "train.optimizer.betas",
                           "train.optimizer.schedule",
                           "train.optimizer.warmup_fraction",
                           "train.replay.fraction",
                           "train.replay.source",
                           "train.replay.self_tokens",
                           "train.replay.self_chats",
                           "train.protect.method",
                           "train.protect.kl",
                           "train.probe.every_tokens",
                           "train.budget.confidence",
                           "train.budget.on_exceeded",
                           "train.checkpoint.keep",
                           "train.load_balance",
                           "train.lora.rank",
                           "train.lora.alpha",
                           "tokenizer",
                           "pack",
                           "seed",
                           "languages"}) {
    INFO(text);
    CHECK_THAT(text, Catch::Contains(path));
  }
}

TEST_CASE("a number that sums and products would overflow is refused", "[trainer][config]") {
  for (const std::string key :
       {"tokens", "batch_tokens", "micro_batch_tokens", "lora.rank", "replay.self_tokens"}) {
    INFO(key);
    const std::string problems =
        problems_of(kGoodFile, {concat("train.", key, "=9223372036854775807")});
    CHECK_THAT(problems, Catch::Contains("train." + key) && Catch::Contains("9223372036854775807"));
    CHECK_THAT(problems, Catch::Contains("must lie in [1, ") || Catch::Contains("must not exceed"));
  }
  CHECK(problems_of(kGoodFile, {"train.tokens=1000000000000000"}).empty());
  CHECK(problems_of(kGoodFile, {"train.batch_tokens=1000000000"}).empty());
}

TEST_CASE("a step holds a row of the text to learn beside what it replays", "[trainer][config]") {
  const std::vector<std::string> narrow = {"train.sequence_length=128", "train.batch_tokens=256"};
  const auto with_fraction = [&](const std::string& fraction) {
    return problems_of(kGoodFile, {narrow[0], narrow[1], "train.replay.fraction=" + fraction});
  };
  CHECK(with_fraction("0.5").empty());
  CHECK_THAT(with_fraction("0.51"), Catch::Contains("leaves 125 of batch_tokens"));
}

TEST_CASE("quoted replay is refused where nothing would come of it", "[trainer][config]") {
  CHECK(problems_of(kGoodFile, {"train.replay.quoted=0.25"}).empty());
  for (const std::string why : {"train.protect.method=hinge", "train.trainable=all",
                                "train.trainable=lora", "train.replay.fraction=0"}) {
    INFO(why);
    CHECK_THAT(problems_of(kGoodFile, {"train.replay.quoted=0.25", why}),
               Catch::Contains("replay.quoted"));
  }
  CHECK_THAT(problems_of(kGoodFile, {"train.replay.quoted=1.5"}),
             Catch::Contains("train.replay.quoted"));
}

TEST_CASE("a file starts from a model or from scratch, not both, not neither",
          "[trainer][config]") {
  const std::string architecture =
      "architecture={hidden_size: 16, num_layers: 1, num_heads: 2, num_kv_heads: 1, head_dim: 8, "
      "expert_width: 8, num_experts: 4, top_k: 2}";
  CHECK_THAT(problems_of(kGoodFile, {"model=''"}), Catch::Contains("model"));
  CHECK_THAT(problems_of(kGoodFile, {architecture}), Catch::Contains("either"));
  CHECK(problems_of(kGoodFile,
                    {"model=''", architecture, "tokenizer=tok", "train.trainable=all"}) == "");
  CHECK_THAT(problems_of(kGoodFile, {"model=''", architecture, "tokenizer=tok"}),
             Catch::Contains("train.trainable"));
}

TEST_CASE("a language without training files is named with its line in the corpus",
          "[trainer][config]") {
  const testing::TemporaryFolder folder;
  folder.write("text.txt", "one\ntwo\n");
  folder.write("corpus.yaml",
               "languages:\n"
               "  id: {role: new, train: [text.txt]}\n"
               "  de: {role: old}\n"
               "  en: {role: old, train: []}\n");
  TrainFile file = bind_config<TrainFile>(ConfigSource::from_text(kGoodFile, "train.yaml"));
  CHECK_THROWS_WITH(resolve_job(file, folder.path()),
                    Catch::Contains("2 problems") &&
                        Catch::Contains("corpus.yaml:3: languages.de") &&
                        Catch::Contains("corpus.yaml:4: languages.en"));
  file.languages = {"id"};
  file.train.trainable = "all";
  CHECK_THROWS_WITH(resolve_job(file, folder.path()), Catch::Contains("languages.en"));
}

TEST_CASE("architectures that no family has are refused", "[trainer][config]") {
  ArchitectureConfig architecture;
  architecture.family = "llama";
  architecture.hidden_size = 16;
  architecture.num_layers = 1;
  architecture.num_heads = 3;
  architecture.num_kv_heads = 2;
  architecture.head_dim = 7;
  architecture.num_experts = 4;
  Problems problems;
  architecture.validate(problems);
  try {
    problems.throw_if_any("architecture");
    FAIL("accepted");
  } catch (const ConfigError& error) {
    for (const char* key : {"num_kv_heads", "head_dim", "num_experts", "dense_width"}) {
      CHECK_THAT(error.what(), Catch::Contains(key));
    }
  }
}

}  // namespace
}  // namespace polygraft::trainer
