// trainer/config.cpp: the rules of every training setting; all broken ones are reported at once.
#include "trainer/config.h"

#include <algorithm>
#include <cmath>
#include <set>

#include "core/text.h"

namespace polygraft::trainer {
namespace {

// Bounds of whole numbers: far above every run there is, and low enough that sums of them, and
// products with a model's sizes, fit into 63 bits.
constexpr int64_t kMostTokens = 1'000'000'000'000'000;
constexpr int64_t kMostStepTokens = 1'000'000'000;
constexpr int64_t kMostSelfTokens = 1'000'000'000'000;
constexpr int64_t kMostRank = 1 << 16;

void require_weight(Problems& problems, const std::string& path, double value) {
  problems.require_in(path, value, 0.0, 1e6);
}

template <class Part>
void validate_part(Problems& problems, const std::string& name, const Part& part) {
  problems.enter(name);
  part.validate(problems);
  problems.leave();
}

}  // namespace

void OptimizerConfig::validate(Problems& problems) const {
  problems.require_one_of("name", name, {"adamw"});
  problems.require_in("learning_rate", learning_rate, 0, 1, Ends::kHigh);
  problems.require_in("router_learning_rate_scale", router_learning_rate_scale, 0.0, 100.0);
  problems.require_one_of("schedule", schedule, {"cosine", "constant"});
  problems.require_in("warmup_fraction", warmup_fraction, 0.0, 1.0);
  problems.require_in("final_fraction", final_fraction, 0.0, 1.0);
  const bool two_decays =
      betas.size() == 2 &&
      std::all_of(betas.begin(), betas.end(), [](double b) { return b >= 0 && b < 1; });
  problems.require(two_decays, "betas", concat(betas.size(), " numbers"),
                   "must be two numbers in [0, 1)");
  problems.require_in("epsilon", epsilon, 0, 1, Ends::kHigh);
  problems.require_in("weight_decay", weight_decay, 0.0, 10.0);
  require_weight(problems, "max_grad_norm", max_grad_norm);
}

void ReplayConfig::validate(Problems& problems) const {
  problems.require(fraction >= 0 && fraction < 1, "fraction", concat(fraction),
                   "must lie in [0, 1): some text must be new");
  problems.require_one_of("source", source, {"corpus", "self", "corpus+self"});
  problems.require_one_of("mix", mix, {"text", "harm"});
  problems.require(!writes_text() || fraction > 0, "fraction", concat(fraction),
                   "must be above 0 where the base writes old text");
  problems.require_in("quoted", quoted, 0.0, 1.0);
  problems.require_in("self_tokens", self_tokens, 1, kMostSelfTokens);
  problems.require_in("self_chats", self_chats, 0.0, 1.0);
  problems.require(writes_text() || self_chats == 0, "self_chats", concat(self_chats),
                   "needs `source: self` or `corpus+self`");
}

void ProtectConfig::validate(Problems& problems) const {
  problems.require_one_of("method", method, {"kl", "hinge", "polyak", "prior", "none"});
  require_weight(problems, "kl", kl);
  require_weight(problems, "hinge", hinge_or_default());
  require_weight(problems, "capture", capture);
  problems.require_in("margin", margin_or_default(), 0.0, 100.0);
  require_weight(problems, "head", head);
  require_weight(problems, "prior", prior);
  problems.require_in("bos_weight", bos_weight, 0, 1e6, Ends::kHigh);
}

void ProbeConfig::validate(Problems& problems) const {
  problems.require_at_least("every_tokens", every_tokens, 1);
  problems.require_at_least("bytes_per_language", bytes_per_language, 1);
}

void BudgetConfig::validate(Problems& problems) const {
  problems.require_in("max_relative_bpb", max_relative_bpb, 0.0, 10.0);
  problems.require_in("confidence", confidence, 0.5, 1, Ends::kNeither);
  problems.require_one_of("on_exceeded", on_exceeded, {"protect", "stop"});
}

void LoraConfig::validate(Problems& problems) const {
  problems.require_in("rank", rank, 1, kMostRank);
  problems.require_in("alpha", alpha, 0, 1e6, Ends::kHigh);
}

void CheckpointConfig::validate(Problems& problems) const {
  problems.require_at_least("every_tokens", every_tokens, 1);
  problems.require_at_least("keep", keep, 1);
}

void TrainConfig::validate(Problems& problems) const {
  problems.require_one_of("trainable", trainable, {"additions", "all", "lora", "none-but-router"});
  problems.require_one_of("precision", precision, {"float32", "bfloat16"});
  problems.require_one_of("device", device, {"cpu", "cuda"});
  problems.require(device != "cuda" || trainable == "additions", "device", device,
                   "trains additions alone; leave it out for `trainable: " + trainable + "`");
  problems.require_in("tokens", tokens, 1, kMostTokens);
  problems.require_at_least("sequence_length", sequence_length, 2);
  problems.require(batch_tokens >= sequence_length, "batch_tokens", concat(batch_tokens),
                   concat("must hold one row of sequence_length (", sequence_length, ") tokens"));
  for (const auto& [path, value] :
       {std::pair("batch_tokens", batch_tokens), {"micro_batch_tokens", micro_batch_tokens}}) {
    problems.require(value <= kMostStepTokens, path, concat(value),
                     concat("must not exceed ", kMostStepTokens));
  }
  problems.require(
      micro_batch_tokens == 0 || micro_batch_tokens >= sequence_length, "micro_batch_tokens",
      concat(micro_batch_tokens),
      concat("must be 0 or hold one row of sequence_length (", sequence_length, ") tokens"));
  validate_part(problems, "optimizer", optimizer);
  validate_part(problems, "lora", lora);
  validate_part(problems, "replay", replay);
  const auto learned_tokens =
      std::llround((1 - replay.fraction) * static_cast<double>(batch_tokens));
  problems.require(trainable != "additions" || batch_tokens < sequence_length ||
                       learned_tokens >= sequence_length,
                   "replay.fraction", concat(replay.fraction),
                   concat("leaves ", learned_tokens,
                          " of batch_tokens to the text to learn: it must hold one row of ",
                          "sequence_length (", sequence_length, ") tokens"));
  const bool weighs_kl = protect.method == "kl" && !changes_base() && replay.fraction > 0;
  problems.require(replay.quoted == 0 || weighs_kl, "replay.quoted", concat(replay.quoted),
                   "needs text that counts by KL: `protect.method: kl`, old weights that stay, and "
                   "a replay.fraction above 0");
  validate_part(problems, "protect", protect);
  validate_part(problems, "probe", probe);
  if (budget) validate_part(problems, "budget", *budget);
  validate_part(problems, "checkpoint", checkpoint);
  require_weight(problems, "load_balance", load_balance);
}

void ArchitectureConfig::validate(Problems& problems) const {
  problems.require_one_of("family", family, {"qwen3_moe", "qwen3", "llama"});
  problems.require_at_least("hidden_size", hidden_size, 1);
  problems.require_at_least("num_layers", num_layers, 1);
  problems.require_at_least("num_heads", num_heads, 1);
  problems.require(num_kv_heads > 0 && num_heads % num_kv_heads == 0, "num_kv_heads",
                   concat(num_kv_heads), concat("must divide num_heads (", num_heads, ")"));
  problems.require(head_dim > 0 && head_dim % 2 == 0, "head_dim", concat(head_dim),
                   "must be positive and even (rotary positions turn pairs)");
  if (family == "qwen3_moe") {
    problems.require_at_least("expert_width", expert_width, 1);
    problems.require_at_least("num_experts", num_experts, 1);
    problems.require(top_k > 0 && top_k <= num_experts, "top_k", concat(top_k),
                     concat("must lie in [1, num_experts] (", num_experts, ")"));
  } else {
    problems.require_at_least("dense_width", dense_width, 1);
    problems.require(num_experts == 0, "num_experts", concat(num_experts),
                     concat("must be 0: ", family, " is a dense family"));
  }
  problems.require_in("rope_theta", rope_theta, 0, 1e12, Ends::kHigh);
  problems.require_at_least("max_positions", max_positions, 1);
  problems.require_one_of("dtype", dtype, {"bfloat16", "float16", "float32"});
}

void TrainFile::validate(Problems& problems) const {
  problems.require(version == 1, "version", concat(version), "must be 1");
  problems.require(model.empty() == architecture.has_value(), "model", model,
                   "give either `model` (to continue) or `architecture` (from scratch)");
  if (architecture) {
    validate_part(problems, "architecture", *architecture);
    problems.require(!tokenizer.empty(), "tokenizer", tokenizer,
                     "is required with `architecture`: the tokenizer of the new model");
    problems.require(train.trainable == "all", "train.trainable", train.trainable,
                     "must be all with `architecture`: a new model has nothing to freeze");
    problems.require(train.sequence_length <= architecture->max_positions, "train.sequence_length",
                     concat(train.sequence_length), "must not exceed architecture.max_positions");
  }
  problems.require(architecture || tokenizer.empty() || train.changes_base(), "tokenizer",
                   tokenizer,
                   "with `model` needs train.trainable all or lora: a frozen base keeps its "
                   "tokenizer, and `expand graft` brings the additions' own");
  problems.require(
      pack.empty() || (!model.empty() && train.trainable == "additions"), "pack", pack,
      "needs `model`, its base, and train.trainable additions: a pack holds nothing else");
  problems.require(!corpus.empty(), "corpus", corpus, "must name a corpus.yaml");
  problems.require(!run_dir.empty(), "run_dir", run_dir, "must name a folder");
  problems.require(!output.empty(), "output", output, "must name a folder");
  problems.require(seed >= 0, "seed", concat(seed), "must not be negative");
  const std::set<std::string> distinct(languages.begin(), languages.end());
  problems.require(distinct.size() == languages.size(), "languages", join(languages, ", "),
                   "must not name a language twice");
  validate_part(problems, "train", train);
}

}  // namespace polygraft::trainer
