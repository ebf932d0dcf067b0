// trainer/config.h: the pipeline's `train:` block, and the file of `polygraft train --config`.
// Units: tokens unless the name says otherwise.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/config.h"

namespace polygraft::trainer {

struct OptimizerConfig {
  std::string name = "adamw";
  double learning_rate = 1e-3;
  double router_learning_rate_scale = 0.5;  ///< router rows learn at learning_rate times this
  std::string schedule = "cosine";          ///< cosine | constant
  double warmup_fraction = 0.05;
  double final_fraction = 0.05;  ///< learning rate at the end, as a share of learning_rate
  std::vector<double> betas = {0.9, 0.95};
  double epsilon = 1e-8;
  double weight_decay = 0.0;  ///< decoupled; matrices only
  double max_grad_norm = 1.0;

  template <class Visitor>
  void visit(Visitor& v) {
    v.field("name", name, "adamw");
    v.required("learning_rate", learning_rate, "peak learning rate of experts and vocabulary rows");
    v.field("router_learning_rate_scale", router_learning_rate_scale,
            "router rows learn at this share of it");
    v.field("schedule", schedule, "cosine or constant");
    v.field("warmup_fraction", warmup_fraction, "share of the steps with a rising learning rate");
    v.field("final_fraction", final_fraction, "share of the peak learning rate at the last step");
    v.field("betas", betas, "decay rates of the two moments");
    v.field("epsilon", epsilon, "added to the root of the second moment");
    v.field("weight_decay", weight_decay, "decoupled, matrices only; frozen rows never decay");
    v.field("max_grad_norm", max_grad_norm,
            "global norm to which gradients are clipped; 0 = never");
  }
  void validate(Problems& problems) const;
};

struct ReplayConfig {
  double fraction = 0.25;
  std::string source = "corpus";  ///< corpus | self | corpus+self
  std::string mix = "harm";       ///< harm | text
  double quoted = 0.0;
  int64_t self_tokens = 65'536;
  double self_chats = 0;
  std::string self_system;

  /// Whether old text is written by the base.
  bool writes_text() const { return source != "corpus"; }
  template <class Visitor>
  void visit(Visitor& v) {
    v.field("fraction", fraction, "share of a batch's rows that are old text");
    v.field("source", source,
            "corpus: its old languages' text; self: what the base itself writes, where there is "
            "none; corpus+self: both, half of each");
    v.field(
        "mix", mix,
        "shares of a corpus's old languages: harm: with a budget, mostly by what the last probe "
        "says that each lost; text: as much as there is of each");
    v.field("quoted", quoted,
            "protect.method kl: share of replayed rows that stand behind a passage of the new "
            "language, as a text does that quotes or translates it");
    v.field("self_tokens", self_tokens, "tokens that the base writes; replayed again and again");
    v.field("self_chats", self_chats,
            "share of its documents that are chats, question and answer, in the model's format");
    v.field("self_system", self_system, "system text of these chats; empty: they have none");
  }
  void validate(Problems& problems) const;
};

/// Protection of old languages: what replayed text costs when additions train
/// (objective/objective.h).
struct ProtectConfig {
  std::string method = "kl";  ///< kl | hinge | polyak | prior | none (cross-entropy alone)
  double kl = 5.0;
  std::optional<double>
      hinge;  ///< unset: what the measured recipe uses for the method, 0.5 (kl) or 10 (hinge)
  double capture = 2.0;
  std::optional<double> margin;  ///< unset: 0.3 (kl) or 0.5 (hinge, polyak)
  double head = 40.0;            ///< method hinge: weight of the head cost
  double prior = 0.1;            ///< method prior: MoE-LPR's gamma
  double bos_weight = 16.0;

  template <class Visitor>
  void visit(Visitor& v) {
    v.field("method", method,
            "kl, hinge, polyak (the hinge's terms by projecting steps), prior (cross-entropy and "
            "MoE-LPR's routing loss: a control), or none");
    v.field("kl", kl,
            "weight of KL(base || expanded) on old text; this and the other weights of protection "
            "are where the budget starts from");
    v.field("hinge", hinge,
            "weight of the hinge that keeps new router scores below the last chosen old one on old "
            "text; unset: 0.5 (kl), 10 (hinge)");
    v.field("capture", capture,
            "weight of the hinge that lifts the best new router scores on new text");
    v.field("margin", margin, "score margin of both hinges; unset: 0.3 (kl), 0.5 (hinge, polyak)");
    v.field("head", head,
            "method hinge: weight of the mass that new vocabulary rows take on old text");
    v.field("prior", prior,
            "method prior: weight of the routing loss that sends old text to the base's experts");
    v.field("bos_weight", bos_weight, "methods hinge and polyak: weight of a row's first position");
  }
  void validate(Problems& problems) const;
  double hinge_or_default() const { return hinge.value_or(method == "hinge" ? 10.0 : 0.5); }
  double margin_or_default() const {
    return margin.value_or(method == "hinge" || method == "polyak" ? 0.5 : 0.3);
  }
};

struct ProbeConfig {
  int64_t every_tokens = 50'000;
  int64_t bytes_per_language = 65'536;
  template <class Visitor>
  void visit(Visitor& v) {
    v.field("every_tokens", every_tokens, "training tokens between two probes of every language");
    v.field("bytes_per_language", bytes_per_language,
            "text that a probe scores; taken from the end of the training text, not held-out");
  }
  void validate(Problems& problems) const;
};

struct BudgetConfig {
  double max_relative_bpb = 0.001;
  double confidence = 0.95;
  std::string on_exceeded = "protect";  ///< protect (harder, then roll back) | stop
  template <class Visitor>
  void visit(Visitor& v) {
    v.field("max_relative_bpb", max_relative_bpb,
            "largest relative rise in bits per byte of the worst old language: the weights of "
            "`protect` are moved to keep it, and the result lies inside; a file without the block "
            "`budget` has no such limit");
    v.field("confidence", confidence, "of the intervals that are held against it");
    v.field("on_exceeded", on_exceeded,
            "protect: harder, then return to the best weights; stop: end the run");
  }
  void validate(Problems& problems) const;
};

struct CheckpointConfig {
  int64_t every_tokens = 100'000;
  int64_t keep = 2;
  template <class Visitor>
  void visit(Visitor& v) {
    v.field("every_tokens", every_tokens, "training tokens between two checkpoints");
    v.field("keep", keep, "checkpoints kept, beside the best one");
  }
  void validate(Problems& problems) const;
};

/// Low-rank adapters, for `trainable: lora` (optim/lora.h).
struct LoraConfig {
  int64_t rank = 16;
  double alpha = 32.0;
  template <class Visitor>
  void visit(Visitor& v) {
    v.field("rank", rank, "of the change of each attention and FFN matrix");
    v.field("alpha", alpha, "the change is scaled by alpha / rank");
  }
  void validate(Problems& problems) const;
};

/// The `train:` block.
struct TrainConfig {
  std::string trainable = "additions";  ///< additions | all | lora | none-but-router
  std::string device = "cpu";           ///< cpu | cuda
  std::string precision = "float32";    ///< float32 | bfloat16
  int64_t tokens = 0;
  int64_t sequence_length = 256;
  int64_t batch_tokens = 4096;
  int64_t micro_batch_tokens = 0;  ///< tokens in one forward and backward pass; 0: the whole step
  OptimizerConfig optimizer;
  LoraConfig lora;
  ReplayConfig replay;
  ProtectConfig protect;
  ProbeConfig probe;
  std::optional<BudgetConfig> budget;
  CheckpointConfig checkpoint;
  double load_balance = 0.0;

  template <class Visitor>
  void visit(Visitor& v) {
    v.field("trainable", trainable,
            "additions, all (from scratch, dense continual, full MoE), lora (merged when written), "
            "or none-but-router");
    v.field("device", device,
            "cpu, or cuda: this process's GPU, in bfloat16 with float32 masters; additions alone");
    v.field(
        "precision", precision,
        "of products on the CPU, a step's and a probe's: float32, or bfloat16: operands rounded, "
        "sums float32 (needs AMX)");
    v.required("tokens", tokens, "training tokens, replayed ones included; steps are whole, and there is one at least");
    v.field(
        "sequence_length", sequence_length,
        "longest row; a longer document becomes several, later ones begin with the token before");
    v.field("batch_tokens", batch_tokens, "tokens of one optimizer step, replayed ones included");
    v.field("micro_batch_tokens", micro_batch_tokens,
            "tokens in one forward and backward pass, to save memory; 0: the whole step at once");
    v.required("optimizer", optimizer, "");
    v.field("lora", lora, "low-rank adapters, for trainable: lora");
    v.field("replay", replay, "");
    v.field("protect", protect, "");
    v.field("probe", probe, "");
    v.field("budget", budget, "interference as a constraint");
    v.field("checkpoint", checkpoint, "");
    v.field("load_balance", load_balance,
            "weight of the load-balancing loss over the experts that train (Switch, eq. 4)");
  }
  void validate(Problems& problems) const;
  /// Whether old weights change, so that there is no base left to protect or to mask back to.
  bool changes_base() const { return trainable == "all" || trainable == "lora"; }
  /// Whether shares of replayed languages follow the probe.
  bool replays_by_harm() const {
    return budget.has_value() && replay.mix == "harm" && replay.source == "corpus";
  }
};

/// Shapes of a model to be trained from scratch.
struct ArchitectureConfig {
  std::string family = "qwen3_moe";
  int64_t hidden_size = 0, num_layers = 0, num_heads = 0, num_kv_heads = 0, head_dim = 0;
  int64_t dense_width = 0, expert_width = 0, num_experts = 0, top_k = 0;
  bool tied_embeddings = true;
  double rope_theta = 10000.0;
  int64_t max_positions = 1024;
  std::string dtype = "bfloat16";  ///< of the written weights; training keeps float32 masters

  template <class Visitor>
  void visit(Visitor& v) {
    v.field("family", family, "qwen3_moe, qwen3 or llama");
    v.required("hidden_size", hidden_size, "");
    v.required("num_layers", num_layers, "");
    v.required("num_heads", num_heads, "query heads");
    v.required("num_kv_heads", num_kv_heads, "key and value heads");
    v.required("head_dim", head_dim, "");
    v.field("dense_width", dense_width, "intermediate size of dense layers");
    v.field("expert_width", expert_width, "intermediate size of one expert");
    v.field("num_experts", num_experts, "0: dense");
    v.field("top_k", top_k, "experts per token");
    v.field("tied_embeddings", tied_embeddings, "input and output embeddings share their rows");
    v.field("rope_theta", rope_theta, "");
    v.field("max_positions", max_positions, "");
    v.field("dtype", dtype, "of the written weights: bfloat16, float16 or float32");
  }
  void validate(Problems& problems) const;
};

/// The file of `polygraft train --config FILE`. Paths are relative to the file.
struct TrainFile {
  int64_t version = 1;
  std::string model;                               ///< start from this folder; or
  std::string pack;                                ///< put onto `model`, and trained
  std::optional<ArchitectureConfig> architecture;  ///< from scratch, with
  std::string tokenizer;               ///< this tokenizer; with `model`: an extension of its own
  std::string corpus;                  ///< corpus.yaml
  std::vector<std::string> languages;  ///< of the corpus; empty: from scratch and `all`: the old
                                       ///< ones; additions: the new one
  std::string run_dir;                 ///< metrics.jsonl and checkpoints
  std::string output;                  ///< the trained model folder, or pack
  int64_t seed = 17;
  TrainConfig train;

  template <class Visitor>
  void visit(Visitor& v) {
    v.field("version", version, "of this file's format");
    v.field("model", model, "model folder to continue from");
    v.field("pack", pack,
            "pack of `model`, its base: put on in memory and trained; the output is a pack again");
    v.field("architecture", architecture, "shapes of a new model, instead of `model`");
    v.field("tokenizer", tokenizer,
            "tokenizer folder of a new model; with `model`: an extension of the model's own, whose "
            "new tokens get rows");
    v.required("corpus", corpus, "corpus.yaml");
    v.field("languages", languages,
            "languages to learn; empty: the new ones for additions, the old ones otherwise");
    v.required("run_dir", run_dir, "metrics.jsonl and checkpoints");
    v.required("output", output, "the trained model folder, or pack");
    v.field("seed", seed, "of data order and initial weights");
    v.required("train", train, "");
  }
  void validate(Problems& problems) const;
};

}  // namespace polygraft::trainer
