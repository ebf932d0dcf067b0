// tests/parity/model/fixture.cpp: see fixture.h.
#include "tests/parity/model/fixture.h"

#include <algorithm>

#include "core/error.h"
#include "model/architecture/stored_tensors.h"

namespace polygraft::parity {
namespace {

namespace fs = std::filesystem;

at::Tensor numbers(const Json& list) {
  return at::tensor(list.get<std::vector<float>>(), at::kFloat);
}

Expected read_expected(const Json& json, int64_t vocab_rows) {
  Expected expected;
  expected.loss = json.at("loss").get<double>();
  expected.logits_TV = numbers(json.at("logits")).view({-1, vocab_rows});
  for (const auto& [name, list] : json.at("gradients").items())
    expected.gradients[name] = numbers(list);
  return expected;
}

void read_sequences(const Json& sequences, Fixture& fixture) {
  std::vector<int64_t> ids, targets;
  for (const auto& sequence : sequences) {
    const auto tokens = sequence.get<std::vector<int64_t>>();
    ids.insert(ids.end(), tokens.begin(), tokens.end());
    targets.insert(targets.end(), tokens.begin() + 1, tokens.end());
    targets.push_back(-1);
    fixture.batch.lengths.push_back(static_cast<int64_t>(tokens.size()));
    fixture.num_targets += static_cast<int64_t>(tokens.size()) - 1;
  }
  fixture.batch.ids_T = at::tensor(ids, at::kLong);
  fixture.targets_T = at::tensor(targets, at::kLong);
}

model::FolderLayout parse_layout(const std::string& name) {
  if (name == "fused") return model::ExpertLayout::kFused;
  if (name == "mixed")
    return model::FolderLayout({model::ExpertLayout::kPerExpert, model::ExpertLayout::kFused});
  return name == "per_expert" ? model::ExpertLayout::kPerExpert : model::ExpertLayout::kNone;
}

Fixture read_fixture(const fs::path& file) {
  const Json json = read_json(file);
  Fixture fixture;
  fixture.name = json.at("case").get<std::string>();
  fixture.seed = json.at("seed").get<uint64_t>();
  fixture.layout = parse_layout(json.at("layout").get<std::string>());
  fixture.config_json = json.at("config");
  fixture.config = model::parse_model_config(fixture.config_json, file);
  read_sequences(json.at("sequences"), fixture);
  fixture.float32 = read_expected(json.at("float32"), fixture.config.vocab_rows);
  fixture.bfloat16 = read_expected(json.at("bfloat16"), fixture.config.vocab_rows);
  fixture.adamw_losses = json.at("adamw").at("losses").get<std::vector<double>>();
  fixture.bfloat16_adamw_losses = json.at("adamw").at("bfloat16_losses").get<std::vector<double>>();
  fixture.learning_rate = json.at("adamw").at("settings").at("lr").get<double>();
  fixture.weight_decay = json.at("adamw").at("settings").at("weight_decay").get<double>();
  fixture.folder = file.parent_path() / fixture.name;
  return fixture;
}

uint64_t fnv1a(const std::string& text) {
  uint64_t value = 0xCBF29CE484222325;
  for (const unsigned char byte : text) value = (value ^ byte) * 0x100000001B3;
  return value;
}

/// Number `index` of a tensor's stream: splitmix64, upper 24 bits, in [-1, 1).
float unit(uint64_t start, uint64_t index) {
  uint64_t z = start + (index + 1) * 0x9E3779B97F4A7C15;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
  z = z ^ (z >> 31);
  return static_cast<float>(z >> 40) / static_cast<float>(1 << 23) - 1.0F;
}

}  // namespace

std::vector<Fixture> read_fixtures(const fs::path& folder) {
  std::vector<fs::path> files;
  for (const auto& entry : fs::directory_iterator(folder)) {
    if (entry.path().extension() == ".json") files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  if (files.empty())
    throw IoError(folder, "holds no fixture").hint("run tests/parity/model/make_fixtures.py");
  std::vector<Fixture> fixtures;
  for (const auto& file : files) fixtures.push_back(read_fixture(file));
  return fixtures;
}

model::Weights formula_weights(const Fixture& fixture, at::ScalarType dtype) {
  const auto& config = fixture.config;
  auto weights =
      model::allocate_weights(config, {config.num_experts, config.vocab_rows}, at::kFloat);
  model::for_each_stored_tensor(weights, config, fixture.layout,
                                [&](const std::string& name, std::vector<at::Tensor>& parts) {
                                  const bool norm = name.find("norm") != std::string::npos;
                                  const uint64_t start = fnv1a(name) + fixture.seed;
                                  auto values = at::empty(parts.at(0).sizes(), at::kFloat);
                                  float* out = values.mutable_data_ptr<float>();
                                  for (int64_t i = 0; i < values.numel(); ++i) {
                                    const float u = unit(start, static_cast<uint64_t>(i));
                                    out[i] = norm ? 1.0F + 0.25F * u : 0.5F * u;
                                  }
                                  parts[0].copy_(values);
                                });
  weights.for_each([&](const std::string&, at::Tensor& tensor) { tensor = tensor.to(dtype); });
  return weights;
}

}  // namespace polygraft::parity
