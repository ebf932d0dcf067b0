// tests/core/config_example.h: structs with every kind of field that a config can have.
#pragma once
#include <map>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "core/config.h"

namespace polygraft::testing {

struct OptimizerExample {
  double learning_rate = 1e-3;
  std::vector<double> betas = {0.9, 0.95};
  template <class Visitor>
  void visit(Visitor& v) {
    v.field("learning_rate", learning_rate, "step size");
    v.field("betas", betas, "decay of the two moments");
  }
  bool operator==(const OptimizerExample&) const = default;
};

struct LanguageExample {
  std::string role;
  std::vector<std::string> train;
  template <class Visitor>
  void visit(Visitor& v) {
    v.required("role", role, "old or new");
    v.field("train", train, "");
  }
  bool operator==(const LanguageExample&) const = default;
};

struct RunExample {
  std::string name = "run";
  int64_t seed = 17;
  bool resume = false;
  std::vector<int64_t> steps;
  OptimizerExample optimizer;
  std::map<std::string, LanguageExample> languages;
  std::map<std::string, double> weights;
  std::vector<LanguageExample> extra;
  std::optional<double> limit = 2.5;
  std::optional<OptimizerExample> second;
  std::variant<std::string, std::vector<int64_t>> layers = "auto";
  std::variant<std::string, OptimizerExample> tuned = "none";

  template <class Visitor>
  void visit(Visitor& v) {
    v.field("name", name, "what the run is called");
    v.field("seed", seed, "of every random stream");
    v.field("resume", resume, "");
    v.field("steps", steps, "");
    v.field("optimizer", optimizer, "how weights move");
    v.field("languages", languages, "by code");
    v.field("weights", weights, "");
    v.field("extra", extra, "");
    v.field("limit", limit, "");
    v.field("second", second, "");
    v.field("layers", layers, "auto, or a list");
    v.field("tuned", tuned, "");
  }
  void validate(Problems& problems) const {
    problems.require(seed >= 0, "seed", std::to_string(seed), "must not be negative");
    problems.enter("optimizer");
    problems.require(optimizer.learning_rate > 0, "learning_rate",
                     std::to_string(optimizer.learning_rate), "must be positive");
    problems.leave();
  }
  bool operator==(const RunExample&) const = default;
};

inline RunExample read_example(const std::string& yaml,
                               const std::vector<std::string>& overrides = {}) {
  ConfigSource source = ConfigSource::from_text(yaml, "run.yaml");
  for (const std::string& assignment : overrides) source.set(assignment);
  return bind_config<RunExample>(source);
}

}  // namespace polygraft::testing
