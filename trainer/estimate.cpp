// trainer/estimate.cpp: the size of a run before it begins, from shapes and a sample of the text.
// Peak anonymous memory is the sum of
//   runtime       112 MiB: the program and LibTorch (70 measured at the start), caches of two
//                 tokenizers (24), thread stacks, what a probe leaves
//   weights       4 bytes a parameter (float32 masters are the weights computed with); a base whose
//                 additions train stays in its files, but for the matrices at work; adapted
//                 matrices are there twice, and have a gradient
//   training      12 bytes a trainable parameter (gradient, two moments)
//   activations   4 bytes times what autograd keeps of one token and what the layer at work takes
//                 besides, times the tokens that go through together
//   logits        a chunk's in float32, twice: the model's and the base's
//   metric        of Polyak's steps, with its factor, in float64
// On a GPU it is the GPU's memory: 2 bytes a weight and a number kept, 4 more for additions (their
// masters), and a chunk's logits, five times (a divergence and its gradient), unless the layer at
// work takes more. Simulated GPUs count what runs take; a test holds this to 15 %, too. What CUDA,
// its libraries and NCCL take for themselves is not in it.
// Ten kinds of runs of the study's base (6 M parameters; 1,024 to 11,264 tokens at once; additions,
// LoRA, all, dense; both precisions) took 208 to 758 MiB in a few steps: 0.92 to 1.04 times the
// estimate; whole runs of the quickstart 1.10 and 1.11 times. A test holds it to 15 %.
#include <algorithm>

#include "core/json.h"
#include "expand/packs/pack_on_base.h"
#include "model/architecture/head_loss.h"
#include "model/checkpoint/model_folder.h"
#include "trainer/data/training_data.h"
#include "trainer/grown_vocabulary.h"
#include "trainer/optim/schedule.h"
#include "trainer/shape_estimate.h"
#include "trainer/trainee.h"

namespace polygraft::trainer {
namespace {

constexpr int64_t kRuntimeBytes = int64_t{112} << 20;
constexpr int64_t kConvertedElements = int64_t{4} << 20;  ///< of a stored matrix at once

struct Shapes {
  model::ModelConfig config;  ///< with the additions
  int64_t num_added_experts = 0;
  int64_t num_added_vocab_rows = 0;
  /// Base rows whose places added ones have taken: not stored any more, but kept apart and trained
  /// with the others where all weights are. Less the padding, which is stored and does not train.
  int64_t num_unstored_vocab_rows = 0;
};

int64_t num_moe_layers(const model::ModelConfig& config) {
  return std::count(config.layer_is_moe.begin(), config.layer_is_moe.end(), true);
}

/// Factors of an adapter: `rank` times what its matrix' two sides are long. Experts that were added
/// train whole.
int64_t count_adapters(const Shapes& shapes, int64_t rank) {
  const model::ModelConfig& config = shapes.config;
  const int64_t width = config.hidden_size;
  const int64_t query = config.num_heads * config.head_dim;
  const int64_t key_value = 2 * config.num_kv_heads * config.head_dim;
  const int64_t attention = 2 * (width + query) + 2 * width + key_value;
  const int64_t expert = width + 2 * config.expert_width + config.expert_width + width;
  const int64_t shared =
      config.shared_expert_width > 0 ? 3 * (width + config.shared_expert_width) : 0;
  const int64_t moe = (config.num_experts - shapes.num_added_experts) * expert + shared;
  const int64_t dense = 3 * (width + config.dense_width);
  int64_t sum = 0;
  for (const bool is_moe : config.layer_is_moe) sum += rank * (attention + (is_moe ? moe : dense));
  return sum;
}

int64_t count_vocab_rows(const Shapes& shapes, int64_t num_rows) {
  return (shapes.config.tied_embeddings ? 1 : 2) * num_rows * shapes.config.hidden_size;
}

int64_t count_additions(const Shapes& shapes) {
  const int64_t width = shapes.config.hidden_size;
  const int64_t expert = 3 * shapes.config.expert_width * width + width;  // its router row included
  return num_moe_layers(shapes.config) * shapes.num_added_experts * expert +
         count_vocab_rows(shapes, shapes.num_added_vocab_rows);
}

/// What select_parameters() and LowRankAdapters make of the model, from shapes alone.
int64_t count_trainable(const Shapes& shapes, const TrainConfig& train) {
  const std::string& trainable = train.trainable;
  const model::ModelConfig& config = shapes.config;
  if (trainable == "all") {
    return model::count_parameters(config).total +
           count_vocab_rows(shapes, shapes.num_unstored_vocab_rows);
  }
  if (trainable == "lora") return count_adapters(shapes, train.lora.rank) + count_additions(shapes);
  if (trainable == "none-but-router") {
    const int64_t added = shapes.num_added_experts;
    const int64_t num_rows = added > 0 ? added : config.num_experts;
    return num_moe_layers(config) * num_rows * config.hidden_size;
  }
  return count_additions(shapes);
}

/// Numbers of one token.
struct TokenNumbers {
  int64_t kept = 0;     ///< by autograd, of all layers: what backward reads
  int64_t at_work = 0;  ///< by the layer whose backward takes most
};

/// @param base_trains inputs of the base's own products are kept, too.
int64_t kept_by_attention(const model::ModelConfig& config, bool base_trains) {
  const int64_t width = config.hidden_size;
  const int64_t query = config.num_heads * config.head_dim;
  const int64_t key = config.num_kv_heads * config.head_dim, value = key;
  const bool has_norm = config.qk_norm != model::QkNorm::kNone;
  const int64_t before_norm = has_norm ? query + key : 0;
  const int64_t input = width, normed = base_trains ? width : 0;
  return input + normed + before_norm + query + key + value + /*output=*/query;
}

/// Where products are rounded, the kernels keep an expert's gate and up in half of the memory.
int64_t kept_by_ffn(const model::ModelConfig& config, bool is_moe, bool rounds) {
  const int64_t input = 2 * config.hidden_size;  // before its norm and behind it
  if (!is_moe) return input + 4 * config.dense_width;
  const int64_t gate_up = (rounds ? 1 : 2) * config.expert_width;
  const int64_t routing = 3 * (config.num_experts + config.top_k);
  return input + config.top_k * gate_up + routing + 4 * config.shared_expert_width;
}

/// Gradients of [gate | up] and h, an expert's outputs before they are combined, the gradients of
/// the layer's output and input; on a GPU the inputs of all experts, too.
int64_t taken_by_ffn(const model::ModelConfig& config, bool is_moe, bool on_gpu) {
  const int64_t ends = 2 * config.hidden_size;
  if (!is_moe) return ends + 3 * config.dense_width;
  return ends + config.top_k * (3 * config.expert_width + (on_gpu ? 2 : 1) * config.hidden_size);
}

TokenNumbers count_token_numbers(const model::ModelConfig& config, bool rounds, bool base_trains,
                                 bool on_gpu = false) {
  TokenNumbers numbers{.kept =
                           4 * config.hidden_size};  // of the embedding, the last norm, the loss
  for (const bool is_moe : config.layer_is_moe) {
    numbers.kept += kept_by_attention(config, base_trains) + kept_by_ffn(config, is_moe, rounds);
    numbers.at_work = std::max(numbers.at_work, taken_by_ffn(config, is_moe, on_gpu));
  }
  return numbers;
}

int64_t logits_bytes(const Shapes& shapes, int64_t tokens, bool on_gpu) {
  const int64_t rows = shapes.config.vocab_rows;
  return 4 * std::min(tokens, model::head_chunk_tokens(rows, on_gpu)) * rows;
}

/// Tokens that only go forward, once the others are done, leave nothing for a backward pass.
int64_t peak_bytes_on_gpu(const TrainConfig& train, const Shapes& shapes, int64_t num_trainable) {
  constexpr int64_t kOfDivergence = 5, kOfCrossEntropy = 3;  // matrices of a chunk's logits
  const int64_t tokens =
      train.micro_batch_tokens > 0 ? train.micro_batch_tokens : train.batch_tokens;
  const auto replayed = static_cast<int64_t>(static_cast<double>(tokens) * train.replay.fraction);
  const bool only_forward = train.protect.method == "hinge" || train.protect.method == "polyak";
  const int64_t differentiated = only_forward ? tokens - replayed : tokens;
  const int64_t weights = 2 * model::count_parameters(shapes.config).total + 4 * num_trainable;
  const TokenNumbers numbers =
      count_token_numbers(shapes.config, /*rounds=*/false, train.changes_base(), /*on_gpu=*/true);
  const int64_t at_work = 2 * differentiated * numbers.at_work;
  const int64_t divergence =
      train.protect.method == "kl" ? kOfDivergence * logits_bytes(shapes, replayed, true) : 0;
  const int64_t logits =
      std::max(divergence, kOfCrossEntropy * logits_bytes(shapes, tokens - replayed, true));
  return weights + 12 * num_trainable + 2 * differentiated * numbers.kept +
         std::max(at_work, logits);
}

int64_t peak_bytes(const TrainConfig& train, const Shapes& shapes, int64_t num_trainable) {
  if (train.device == "cuda") return peak_bytes_on_gpu(train, shapes, num_trainable);
  const int64_t tokens =
      train.micro_batch_tokens > 0 ? train.micro_batch_tokens : train.batch_tokens;
  const int64_t in_memory =
      train.changes_base() ? model::count_parameters(shapes.config).total
                           : std::max(count_additions(shapes), num_trainable) + kConvertedElements;
  const int64_t weights = (train.trainable == "lora" ? 12 : 4) * in_memory;
  const TokenNumbers numbers =
      count_token_numbers(shapes.config, train.precision == "bfloat16", train.changes_base());
  const int64_t activations = 4 * tokens * (numbers.kept + numbers.at_work);
  const int64_t logits = 2 * logits_bytes(shapes, tokens, /*on_gpu=*/false);
  const int64_t width = shapes.config.hidden_size;
  const int64_t metric = train.protect.method == "polyak" ? 3 * 8 * width * width : 0;
  return kRuntimeBytes + weights + 12 * num_trainable + activations + logits + metric;
}

/// Of the folder, or as grow_vocabulary() makes it.
model::RowLayout vocabulary_of(const TrainJob& job, const model::ModelFolder& folder,
                               const tokenizer::Tokenizer& tokenizer) {
  if (job.tokenizer.empty()) return folder.vocab_layout();
  return grown_layout(tokenizer::Tokenizer::load(job.model), tokenizer, folder.config.vocab_rows);
}

void set_vocabulary(Shapes& shapes, const model::RowLayout& layout) {
  shapes.config.vocab_rows = layout.num_rows();
  shapes.num_added_vocab_rows = layout.num_added;
  shapes.num_unstored_vocab_rows = layout.num_displaced() - layout.placement.num_padding;
}

Shapes shapes_of(const TrainJob& job, const std::optional<expand::Pack>& pack,
                 const tokenizer::Tokenizer& tokenizer) {
  if (job.scratch) {
    const OrderedJson json = scratch_config_json(*job.scratch, tokenizer);
    return {model::parse_model_config(Json(json), "architecture")};
  }
  const auto folder = model::ModelFolder::open(job.model);
  require_additions(job, folder);
  require_positions(folder.config, job.train);
  Shapes shapes{folder.config, folder.num_added_experts()};
  set_vocabulary(shapes, vocabulary_of(job, folder, tokenizer));
  if (pack) {
    shapes.num_added_experts += pack->num_experts();
    shapes.num_added_vocab_rows += pack->num_vocab_rows();
    shapes.config.num_experts += pack->num_experts();
    shapes.config.vocab_rows = std::max(shapes.config.vocab_rows, tokenizer.size());
    shapes.config.tied_embeddings = !pack->has_head();
  }
  return shapes;
}

tokenizer::Tokenizer tokenizer_of(const TrainJob& job, const std::optional<expand::Pack>& pack) {
  if (pack) return expand::tokenizer_with(job.model, *pack);
  return tokenizer::Tokenizer::load(job.tokenizer.empty() ? job.model : job.tokenizer);
}

}  // namespace

TrainEstimate estimate_training(const TrainJob& job) {
  std::optional<expand::Pack> pack;
  if (!job.pack.empty()) pack = expand::open_pack(job.pack).pack;
  const tokenizer::Tokenizer tokenizer = tokenizer_of(job, pack);
  const Shapes shapes = shapes_of(job, pack, tokenizer);
  require_documents(job.corpus, resolve_roles(job).probed());
  TrainEstimate estimate;
  estimate.steps = count_steps(job.train);
  estimate.trainable_parameters = count_trainable(shapes, job.train);
  estimate.peak_memory_bytes = peak_bytes(job.train, shapes, estimate.trainable_parameters);
  return estimate;
}

ShapeEstimate estimate_additions(const model::ModelConfig& expanded, int64_t num_added_experts,
                                 int64_t num_added_vocab_rows, const TrainConfig& train) {
  const Shapes shapes{expanded, num_added_experts, num_added_vocab_rows};
  ShapeEstimate estimate;
  estimate.steps = count_steps(train);
  estimate.trainable_parameters = count_trainable(shapes, train);
  estimate.peak_memory_bytes = peak_bytes(train, shapes, estimate.trainable_parameters);
  // Two for a parameter and token forward, two backward (gradients of inputs; the few weights that
  // train are not counted); replayed tokens go through the base once more.
  // Rows of an embedding table of its own are looked up, not multiplied with.
  const int64_t looked_up =
      expanded.tied_embeddings ? 0 : expanded.vocab_rows * expanded.hidden_size;
  const auto active =
      static_cast<double>(model::count_parameters(expanded).active_per_token - looked_up);
  estimate.flops = active * static_cast<double>(train.tokens) * (4 + 2 * train.replay.fraction);
  return estimate;
}

}  // namespace polygraft::trainer
