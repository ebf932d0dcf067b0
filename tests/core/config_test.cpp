// tests/core/config_test.cpp: reading values and overrides.
#include "core/config.h"

#include <catch2/catch.hpp>
#include <limits>

#include "core/file.h"
#include "tests/core/config_example.h"
#include "tests/core/temporary_folder.h"

using namespace polygraft;
using namespace polygraft::testing;
using Catch::Matchers::Contains;

TEST_CASE("every kind of field is read, and what is absent keeps its default", "[core][config]") {
  const RunExample run = read_example(R"(
name: "two words: yes"
resume: true
steps: [1, 2]
optimizer: {learning_rate: 3}
languages:
  en: {role: old, train: [a.txt, b.txt]}
  id: {role: new}
weights: {en: 0.5}
extra:
  - role: old
  - {role: new, train: []}
limit: 1e-3
second: {betas: []}
layers: [0, 3]
tuned: {learning_rate: 7}
)");
  CHECK(run.name == "two words: yes");
  CHECK(run.resume);
  CHECK(run.seed == 17);
  CHECK(run.steps == std::vector<int64_t>{1, 2});
  CHECK(run.optimizer == OptimizerExample{3, {0.9, 0.95}});
  CHECK(run.languages.at("en") == LanguageExample{"old", {"a.txt", "b.txt"}});
  CHECK(run.languages.at("id").role == "new");
  CHECK(run.weights.at("en") == 0.5);
  CHECK(run.extra.size() == 2);
  CHECK(run.limit == 1e-3);
  CHECK(run.second->betas.empty());
  CHECK(std::get<std::vector<int64_t>>(run.layers) == std::vector<int64_t>{0, 3});
  CHECK(std::get<OptimizerExample>(run.tuned).learning_rate == 7);
}

TEST_CASE("empty files, empty sections and null mean what one expects", "[core][config]") {
  CHECK(read_example("") == RunExample{});
  CHECK(read_example("# only a comment\n") == RunExample{});
  CHECK(read_example("{}") == RunExample{});
  CHECK(read_example("optimizer:\n  # all of it commented out\n") == RunExample{});
  CHECK_FALSE(read_example("limit: null").limit.has_value());
  CHECK_FALSE(read_example("second: ~").second.has_value());
}

TEST_CASE("numbers are read in the forms people write", "[core][config]") {
  CHECK(read_example("seed: 1e9").seed == 1000000000);
  CHECK(read_example("seed: +5").seed == 5);
  CHECK(read_example("seed: 9223372036854775807").seed == INT64_MAX);
  CHECK(read_example("limit: .inf").limit == std::numeric_limits<double>::infinity());
  CHECK(read_example("limit: -.5").limit == -0.5);
  CHECK(read_example("limit: 3").limit == 3.0);
  CHECK(read_example("name: 0017").name == "0017");  // a string keeps its digits
  CHECK(read_example("name: true").name == "true");
}

TEST_CASE("an override beats the file, makes missing mappings, and is parsed as YAML",
          "[core][config]") {
  const std::string yaml = "seed: 1\noptimizer: {learning_rate: 2, betas: [1]}\n";
  CHECK(read_example(yaml, {"seed=5"}).seed == 5);
  CHECK(read_example(yaml, {"seed=5", "seed=6"}).seed == 6);
  CHECK(read_example(yaml, {"optimizer.learning_rate=9"}).optimizer == OptimizerExample{9, {1}});
  CHECK(read_example(yaml, {"optimizer={learning_rate: 9}"}).optimizer ==
        OptimizerExample{9, {0.9, 0.95}});
  CHECK(read_example("", {"languages.fr.role=new"}).languages.at("fr").role == "new");
  CHECK(read_example("optimizer:", {"optimizer.betas=[0.5]"}).optimizer.betas ==
        std::vector<double>{0.5});
  CHECK(read_example("", {"name=a=b"}).name == "a=b");
  CHECK(read_example("", {"name='true # not a comment'"}).name == "true # not a comment");
  CHECK_FALSE(read_example("", {"limit="}).limit.has_value());
}

TEST_CASE("an override that cannot be applied is refused by itself", "[core][config]") {
  ConfigSource source = ConfigSource::from_text("seed: 1\nsteps: [1]", "run.yaml");
  for (const char* broken : {"seed", "=5", "optimizer..betas=1", ".seed=1", "seed.=1", ""}) {
    CHECK_THROWS_WITH(source.set(broken), Contains("dotted.key=value"));
  }
  CHECK_THROWS_WITH(source.set("seed.x=1"),
                    Contains("'seed' is not a mapping") && Contains("run.yaml:1"));
  CHECK_THROWS_WITH(source.set("steps.x.y=1"),
                    Contains("'steps' is not a mapping") && Contains("a list"));
  CHECK_THROWS_WITH(source.set("name=[1"), Contains("--set name=[1") && Contains("not valid YAML"));
  CHECK_THROWS_WITH(source.set("name=*anchor"), Contains("not valid YAML"));
  CHECK(bind_config<RunExample>(source = ConfigSource::from_text("seed: 1", "x")).seed == 1);
}

TEST_CASE("a copy of a source does not see later overrides", "[core][config]") {
  ConfigSource source = ConfigSource::from_text("seed: 1", "run.yaml");
  const ConfigSource copy = source;
  source.set("seed=2");
  CHECK(bind_config<RunExample>(copy).seed == 1);
  CHECK(bind_config<RunExample>(source).seed == 2);
}

TEST_CASE("a source is read from a file under its name", "[core][config]") {
  const TemporaryFolder folder;
  write_file_atomically(folder / "run.yaml", "seed: x");
  const ConfigSource source = ConfigSource::from_file(folder / "run.yaml");
  CHECK(source.name() == (folder / "run.yaml").string());
  CHECK_THROWS_WITH(bind_config<RunExample>(source),
                    Contains((folder / "run.yaml").string() + ":1:"));
  CHECK_THROWS_AS(ConfigSource::from_file(folder / "missing.yaml"), IoError);
}

TEST_CASE("aliases are followed", "[core][config]") {
  const RunExample run = read_example("optimizer: &o {learning_rate: 4}\nsecond: *o\n");
  CHECK(run.second->learning_rate == 4);
}
