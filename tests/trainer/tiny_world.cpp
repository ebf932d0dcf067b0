// tests/trainer/tiny_world.cpp: see tiny_world.h.
#include "tests/trainer/tiny_world.h"

#include <ATen/Parallel.h>

#include "core/log.h"
#include "core/random.h"
#include "core/text.h"
#include "expand/graft.h"
#include "expand/place_rows.h"
#include "model/checkpoint/tensors_hash.h"
#include "tokenizer/bpe_trainer.h"

namespace polygraft::testing {
namespace {

constexpr int64_t kNumDocuments = 120;
constexpr int64_t kNumAddedExperts = 2;
constexpr int64_t kPadTo = 64;

std::vector<std::string> syllables_of(const std::string& language) {
  if (language == "aa") return {"ka", "ri", "to", "mun", "sel"};
  if (language == "bb") return {"fro", "wen", "dig", "lich", "ung"};
  return {"jala", "pu", "nang", "tira", "be"};
}

void write_corpus(TinyWorld& world) {
  for (const std::string language : {"aa", "bb", "cc"}) {
    const auto file = world.folder / (language + ".txt");
    write_file_atomically(file, invented_text(language, kNumDocuments));
    world.corpus.languages[language].role = language == "cc" ? "new" : "old";
    world.corpus.languages[language].train = {file.string()};
  }
}

/// Trained for a second: only a base that has learned something can be harmed.
void train_base(TinyWorld& world) {
  world.base = world.folder / "base";
  trainer::TrainJob job;
  job.scratch = tiny_architecture();
  job.tokenizer = world.tokenizer;
  job.corpus = world.corpus;
  job.run_dir = world.folder / "base-run";
  job.output = world.base;
  job.train.trainable = "all";
  job.train.tokens = 256 * 80;
  job.train.sequence_length = 32;
  job.train.batch_tokens = 256;
  job.train.optimizer.learning_rate = 2e-2;
  job.train.checkpoint.every_tokens = job.train.tokens;
  trainer::train(job);
}

at::Tensor small_random(at::IntArrayRef shape, const std::string& name) {
  RandomStream random(11, name);
  at::Tensor tensor = at::empty(shape, at::kFloat);
  float* values = tensor.mutable_data_ptr<float>();
  for (int64_t i = 0; i < tensor.numel(); ++i)
    values[i] = static_cast<float>(0.1 * random.normal());
  return tensor;
}

expand::Additions random_additions(const model::ModelConfig& config, int64_t num_rows) {
  const int64_t n = kNumAddedExperts, width = config.hidden_size, expert = config.expert_width;
  expand::Additions additions;
  const auto add = [&](const std::string& name, at::IntArrayRef shape) {
    additions[name] = small_random(shape, name);
  };
  add("embedding.added", {num_rows, width});
  add("head.added", {num_rows, width});
  for (int64_t layer = 0; layer < config.num_layers; ++layer) {
    if (!config.layer_is_moe[static_cast<size_t>(layer)]) continue;
    const std::string prefix = concat("layers.", layer, ".moe.");
    add(prefix + "router.added", {n, width});
    add(prefix + "gate_up.added", {n, 2 * expert, width});
    add(prefix + "down.added", {n, width, expert});
  }
  return additions;
}

void write_expanded_model(TinyWorld& world) {
  const auto extended = world.folder / "extended-tokenizer";
  std::map<std::string, std::vector<std::filesystem::path>> fresh, guard;
  for (const auto& [language, texts] : world.corpus.languages) {
    (language == "cc" ? fresh : guard)[language] = {texts.train[0]};
  }
  tokenizer::ExtendOptions options;
  options.new_tokens = 8;
  const auto report = tokenizer::extend_tokenizer(world.base, fresh, guard, options, extended);
  world.expanded = world.folder / "expanded";
  write_expansion(world.base, extended, static_cast<int64_t>(report.tokens.size()), world.expanded);
}

}  // namespace

void write_expansion(const std::filesystem::path& base, const std::filesystem::path& extended,
                     int64_t num_rows, const std::filesystem::path& out) {
  const auto source = model::ModelFolder::open(base);
  const model::ModelConfig& config = source.config;
  const auto tokenizer = tokenizer::Tokenizer::load(base);
  expand::ExpandedFolder expanded;
  expanded.tokenizer = extended;
  expanded.untie_head = config.tied_embeddings;
  model::Manifest& manifest = expanded.manifest;
  manifest.base_tensors_hash = model::hash_tensors(source.tensors);
  manifest.base_tokenizer_hash = tokenizer.hash();
  manifest.base_num_experts = config.num_experts;
  manifest.base_vocab_rows = config.vocab_rows;
  manifest.base_tied_embeddings = config.tied_embeddings;
  manifest.vocab_placement =
      expand::place_rows(config.vocab_rows, tokenizer.size(), num_rows, kPadTo).placement;
  manifest.packs.push_back(
      {"cc", config.num_experts, kNumAddedExperts, tokenizer.size(), num_rows});
  expand::write_expanded(source, random_additions(config, num_rows), expanded, out);
}

std::string invented_text(const std::string& language, int64_t num_documents) {
  const std::vector<std::string> syllables = syllables_of(language);
  RandomStream random(3, language);
  std::string text;
  for (int64_t document = 0; document < num_documents; ++document) {
    const uint64_t num_words = 4 + random.below(16);
    for (uint64_t word = 0; word < num_words; ++word) {
      if (word > 0) text += ' ';
      for (uint64_t part = 0; part < 1 + random.below(3); ++part) {
        text += syllables[random.below(syllables.size())];
      }
    }
    text += '\n';
  }
  return text;
}

trainer::ArchitectureConfig tiny_architecture() {
  trainer::ArchitectureConfig architecture;
  architecture.hidden_size = 16;
  architecture.num_layers = 2;
  architecture.num_heads = 2;
  architecture.num_kv_heads = 1;
  architecture.head_dim = 8;
  architecture.expert_width = 16;
  architecture.num_experts = 4;
  architecture.top_k = 2;
  architecture.max_positions = 64;
  architecture.dtype = "float32";
  return architecture;
}

const TinyWorld& tiny_world() {
  static const TinyWorld* world = [] {
    at::set_num_threads(1);         // tensors this small gain nothing from a second one
    set_log_level(LogLevel::kOff);  // broken files and budgets exceeded on purpose are no news
    static TinyWorld made;
    write_corpus(made);
    made.tokenizer = made.folder / "tokenizer";
    tokenizer::TrainOptions options;
    options.vocab_size = 300;
    const std::vector<std::filesystem::path> texts = {made.folder / "aa.txt",
                                                      made.folder / "bb.txt"};
    tokenizer::train_tokenizer(texts, options, made.tokenizer);
    train_base(made);
    write_expanded_model(made);
    return &made;
  }();
  return *world;
}

namespace {

trainer::TrainJob short_job(const std::filesystem::path& run) {
  trainer::TrainJob job;
  job.corpus = tiny_world().corpus;
  job.run_dir = run;
  job.output = run / "model";
  job.train.tokens = 128 * 12;
  job.train.sequence_length = 32;
  job.train.batch_tokens = 128;
  job.train.optimizer.learning_rate = 1e-2;
  job.train.probe.every_tokens = 128 * 4;
  job.train.probe.bytes_per_language = 400;
  job.train.checkpoint.every_tokens = 128 * 3;
  return job;
}

}  // namespace

trainer::TrainJob additions_job(const std::filesystem::path& run) {
  trainer::TrainJob job = short_job(run);
  job.model = tiny_world().expanded;
  job.train.trainable = "additions";
  job.train.budget.emplace();
  job.train.budget->max_relative_bpb = 5.0;  // the last probe is the best, unless a test says else
  return job;
}

void set_mode(trainer::TrainJob& job, const std::string& mode) {
  if (mode == "all" || mode == "lora") {
    job.model = tiny_world().base;
    job.train.trainable = mode;
    job.languages = {"cc"};
  }
  if (mode == "self") {
    job.train.replay.source = "self";
    job.train.replay.self_tokens = 300;
  }
  if (mode == "quoted") job.train.replay.quoted = 0.5;
  if (mode == "rollback") {
    job.train.protect.method = "none";
    job.train.optimizer.learning_rate = 0.05;
    job.train.replay.fraction = 0;
    job.train.probe.every_tokens = 128 * 2;
    job.train.budget->max_relative_bpb = 0.1;
  }
}

trainer::TrainJob scratch_job(const std::filesystem::path& run) {
  trainer::TrainJob job = short_job(run);
  job.scratch = tiny_architecture();
  job.tokenizer = tiny_world().tokenizer;
  job.train.trainable = "all";
  job.train.load_balance = 0.01;
  return job;
}

}  // namespace polygraft::testing
