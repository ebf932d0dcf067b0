// trainer/loop.cpp: the loop of a run: probe when due (probing.cpp), checkpoint when due, step. Its
// end is finish.cpp.
#include <ATen/Parallel.h>

#include <chrono>
#include <cmath>
#include <numbers>

#include "core/error.h"
#include "core/freed_memory.h"
#include "core/log.h"
#include "core/progress.h"
#include "core/stop.h"
#include "core/text.h"
#include "model/kernels/dispatch.h"
#include "tokenizer/base_view.h"
#include "trainer/data/self_text.h"
#include "trainer/optim/schedule.h"
#include "trainer/training_run.h"

namespace polygraft::trainer {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

bool crosses_multiple(int64_t before, int64_t after, int64_t every) {
  return after / every > before / every;
}

std::vector<int32_t> bytes_by_token(const tokenizer::Tokenizer& tokenizer) {
  std::vector<int32_t> bytes;
  for (int64_t id = 0; id < tokenizer.size(); ++id) {
    const auto token = static_cast<tokenizer::TokenId>(id);
    bytes.push_back(static_cast<int32_t>(tokenizer.token_bytes(token).size()));
  }
  return bytes;
}

int64_t text_bytes(const std::vector<Row>& rows, const std::vector<int32_t>& bytes_by_token) {
  int64_t sum = 0;
  for (const Row& row : rows) {
    for (const int32_t id : row) sum += bytes_by_token[static_cast<size_t>(id)];
  }
  return sum;
}

/// Of products on this processor, a step's and a probe's; a GPU's are bfloat16 whatever is asked.
kernels::Precision precision_of(const TrainConfig& config) {
  const bool rounds = config.device == "cpu" && config.precision == "bfloat16";
  return rounds ? kernels::Precision::kBFloat16 : kernels::Precision::kFloat32;
}

ProbeOptions probe_options(const TrainJob& job, const RunRanks& ranks) {
  ProbeOptions options;
  options.batch_tokens = job.train.batch_tokens;
  if (job.train.micro_batch_tokens > 0) options.batch_tokens = job.train.micro_batch_tokens;
  if (job.train.budget) options.confidence = job.train.budget->confidence;
  options.seed = job.seed;
  options.precision = precision_of(job.train);
  options.base_is_frozen = !job.train.changes_base();
  if (shares_experts_on_gpus(job)) options.team = parallel::Team(&ranks.grid()->experts());
  options.team_index = ranks.rank() / options.team.size();
  options.num_teams = ranks.size() / options.team.size();
  return options;
}

/// What decides every bit that follows.
std::string starting_point(const Fingerprint& fingerprint, const std::optional<TrainState>& saved) {
  return concat(Json(fingerprint).dump(), saved ? saved->step : -1, ", ", at::get_num_threads());
}

}  // namespace

/// What one step did, for its line in metrics.jsonl.
struct TrainingRun::StepReport {
  StepLoss loss;
  double bits_per_byte = 0;
  double gradient_norm = 0;
  double learning_rate = 0;
  int64_t num_tokens = 0;
  double seconds = 0;
};

TrainingRun::TrainingRun(const TrainJob& job)
    : job_(job),
      ranks_(job.ranks),
      roles_(resolve_roles(job)),
      trainee_(load_trainee(job)),
      data_(prepare_data(job, roles_, trainee_.tokenizer, trainee_.transformer.config().vocab_rows,
                         ranks_)),
      parameters_(choose_parameters()),
      optimizer_(ranks_.grid(), parameters_, job.train.optimizer),
      objective_(trainee_.transformer, trainee_.tokenizer.prefix_id(), job.train),
      probe_(trainee_.transformer, trainee_.tokenizer, roles_, std::move(data_.probe_texts),
             probe_options(job, ranks_)),
      checkpoints_(job.run_dir, fingerprint(job, roles_, data_, trainee_),
                   job.train.checkpoint.keep),
      token_bytes_(bytes_by_token(trainee_.tokenizer)),
      num_steps_(count_steps(job.train)) {
  stop_together([&] { probe_.score_base(); });  // before weights that train are another step's
  const Protection protection = protection_of(job_.train, trainee_.transformer);
  if (protection == Protection::kPolyak) {
    polyak_.emplace(trainee_.transformer, trainee_.tokenizer.prefix_id(), job_.train);
  }
  if (protection == Protection::kKl && data_.replayed && job_.train.replay.quoted > 0) {
    const auto first = static_cast<tokenizer::TokenId>(trainee_.transformer.first_added_token());
    quotations_.emplace(data_.learned.rows(),
                        tokenizer::old_parts_of_added_tokens(trainee_.tokenizer, first), first,
                        job_.train.replay.quoted, job_.seed);
  }
  if (ranks_.grid() != nullptr) {
    parallel_step_.emplace(*ranks_.grid(), *trainee_.experts, trainee_.transformer,
                           trainee_.tokenizer.prefix_id(), job_.train, optimizer_.shares());
  }
  if (job_.train.budget) {
    const bool protects = protection != Protection::kNone && data_.replayed;
    const double most = protection == Protection::kPolyak ? 1.0 : kMostProtection;
    budget_.emplace(*job_.train.budget, protects ? most : 0.0);
    best_.emplace(job_.train.budget->max_relative_bpb);
  } else if (!roles_.guarded.empty()) {
    log_warn(concat("no train.budget: nothing limits what ", join(roles_.guarded, ", "),
                    " lose; train.budget.max_relative_bpb would (0.001: 0.1 % of bits per byte)"));
  }
  if (data_.replayed) {
    log_info(concat("replayed text counts by ", replay_text(job_.train, protection)));
  }
  resume();
  if (job_.on_begin) job_.on_begin();
}

Parameters TrainingRun::choose_parameters() {
  model::Weights& weights = trainee_.transformer.weights();
  Parameters chosen = select_parameters(weights, job_.train);
  if (job_.train.trainable != "lora") return chosen;
  adapters_.emplace(weights, job_.train.lora, job_.seed);
  for (Parameter& factor : adapters_->parameters()) chosen.push_back(std::move(factor));
  return chosen;
}

void TrainingRun::use_new_values() {
  if (adapters_) adapters_->merge();
  trainee_.transformer.weights().fill_banks();
  last_probe_.reset();
}

void TrainingRun::resume() {
  const fs::path metrics = job_.run_dir / "metrics.jsonl";
  const std::optional<TrainState> saved = checkpoints_.load_newest(parameters_, optimizer_);
  ranks_.require_same(starting_point(checkpoints_.fingerprint(), saved));
  if (ranks_.is_first()) metrics_.emplace(metrics, saved ? saved->metrics_bytes : 0);
  if (!saved) return;
  if (ranks_.is_first()) checkpoints_.prune(*saved);
  use_new_values();
  state_ = *saved;
  data_.learned.seek(state_.learned);
  const fs::path file = checkpoints_.state_file(state_.step);
  if (data_.replayed) data_.replayed->restore(state_.replayed, file);
  if (budget_) budget_->restore(state_.budget, file);
  if (best_) best_->restore(state_.best, file);
  log_info(concat("continuing after step ", state_.step, " of ", num_steps_));
}

TrainResult TrainingRun::run() {
  try {
    train_to_end();
  } catch (const Interrupted&) {
    save_checkpoint();      // thrown between two steps or in a probe, so the state is whole
    ranks_.wait_for_all();  // a rank that ends makes a launcher end the others
    throw;
  }
  return finish();
}

void TrainingRun::train_to_end() {
  Progress progress("training", static_cast<uint64_t>(num_steps_ * job_.train.batch_tokens),
                    "tokens");
  progress.set(static_cast<uint64_t>(state_.tokens));
  const int64_t first_step = state_.step;
  while (true) {
    ranks_.throw_if_stopped();
    if (is_probe_due()) probe();
    if (state_.stopped) save_checkpoint();  // the last one does not know that the budget ended it
    if (is_finished()) break;
    const int64_t tokens_before = state_.tokens;
    train_step();
    if (job_.on_step) job_.on_step(state_.step);
    progress.note(progress_note());
    progress.set(static_cast<uint64_t>(state_.tokens));
    const int64_t every = job_.train.checkpoint.every_tokens;
    if (crosses_multiple(tokens_before, state_.tokens, every) || is_finished()) save_checkpoint();
  }
  if (state_.step > first_step) progress.note(progress_note());  // of the last probe
  progress.finish();
}

/// The loss, and how the worst old language did at the last probe.
std::string TrainingRun::progress_note() const {
  const std::string loss = concat("loss ", fixed(last_loss_, 3));
  const std::string noted = worst_.empty() ? loss : concat(loss, ", ", worst_);
  return budget_ ? concat(noted, ", ", budget_->multipliers().text()) : noted;
}

StepLoss TrainingRun::backward(const StepRows& rows, const Multipliers& multipliers) {
  const kernels::PrecisionScope scope(precision_of(job_.train));
  return parallel_step_ ? parallel_step_->backward(rows, multipliers)
                        : objective_.backward(rows, multipliers);
}

void TrainingRun::train_step() {
  const auto start = Clock::now();
  const TrainConfig& config = job_.train;
  const auto replayed_grant = static_cast<int64_t>(
      std::llround(config.replay.fraction * static_cast<double>(config.batch_tokens)));
  StepRows rows;
  const int64_t learned_grant = config.batch_tokens - (data_.replayed ? replayed_grant : 0);
  rows.learned = data_.learned.take(learned_grant);
  if (data_.replayed) rows.replayed = data_.replayed->take(replayed_grant);
  if (quotations_) quotations_->put_before(rows.replayed, state_.step, config.sequence_length);

  StepReport report;
  report.learning_rate = learning_rate_at(config.optimizer, state_.step, num_steps_);
  const Multipliers multipliers = budget_ ? budget_->multipliers() : Multipliers();
  report.loss = backward(rows, multipliers);
  if (adapters_) adapters_->take_gradients();
  report.gradient_norm = optimizer_.clip_gradients(config.optimizer.max_grad_norm);
  if (!std::isfinite(report.loss.total) || !std::isfinite(report.gradient_norm)) {
    throw NumericError(concat("training step ", state_.step + 1), "the loss is not finite")
        .found(concat("loss ", report.loss.total, ", gradient norm ", report.gradient_norm))
        .hint("lower train.optimizer.learning_rate, or raise its warmup_fraction");
  }
  optimizer_.step(report.learning_rate);
  use_new_values();
  if (polyak_) {
    const kernels::PrecisionScope scope(precision_of(config));
    report.loss += polyak_->take(rows, multipliers);
  }

  const int64_t num_learned = num_tokens(rows.learned);
  report.num_tokens = num_learned + num_tokens(rows.replayed);
  const double nats = report.loss.cross_entropy * static_cast<double>(num_learned);
  report.bits_per_byte =
      nats / std::numbers::ln2 / static_cast<double>(text_bytes(rows.learned, token_bytes_));
  ++state_.step;
  state_.tokens += report.num_tokens;
  report.seconds = seconds_since(start);
  state_.seconds += report.seconds;
  last_loss_ = report.loss.total;
  log_step(report);
}

void TrainingRun::log_step(const StepReport& report) {
  Json line = {{"step", state_.step},
               {"tokens", state_.tokens},
               {"loss", report.loss.total},
               {"cross_entropy", report.loss.cross_entropy},
               {"bits_per_byte", report.bits_per_byte},
               {"gradient_norm", report.gradient_norm},
               {"learning_rate", report.learning_rate},
               {"tokens_per_second",
                static_cast<double>(report.num_tokens) / std::max(report.seconds, 1e-9)}};
  if (report.loss.replayed_cross_entropy > 0) {
    line["replayed_cross_entropy"] = report.loss.replayed_cross_entropy;
  }
  if (protection_of(job_.train, trainee_.transformer) != Protection::kNone) {
    line["kl"] = report.loss.kl;
    line["hinge"] = report.loss.hinge;
    line["capture"] = report.loss.capture;
    line["head"] = report.loss.head;
    line["prior"] = report.loss.prior;
  }
  if (job_.train.load_balance > 0) line["load_balance"] = report.loss.load_balance;
  append(line);
}

void TrainingRun::append(const Json& line) {
  if (metrics_) metrics_->append(line);
}

bool TrainingRun::is_probe_due() const {
  if (state_.probed_tokens < 0) return true;
  if (state_.probed_tokens == state_.tokens) return false;
  return is_finished() ||
         crosses_multiple(state_.probed_tokens, state_.tokens, job_.train.probe.every_tokens);
}

void TrainingRun::save_checkpoint() {
  ranks_.require_same_values(parameters_);
  state_.learned = data_.learned.position();
  state_.replayed = data_.replayed ? data_.replayed->to_json() : Json(nullptr);
  state_.budget = budget_ ? budget_->to_json() : Json(nullptr);
  state_.best = best_ ? best_->to_json() : Json(nullptr);
  if (!ranks_.is_first()) return optimizer_.gather_moments({});  // the first takes them, and writes
  state_.metrics_bytes = metrics_->sync();
  checkpoints_.save(state_, parameters_, optimizer_);
}

namespace {

Processes processes_of(const TrainJob& job) {
  if (job.ranks == nullptr) return {};
  const bool has_stand_in = job.open_gpu != nullptr;
  return {job.ranks->size(), has_stand_in || job.ranks->world().takes_gpu_memory()};
}

}  // namespace

void require_machine(const TrainConfig& config, const Processes& processes) {
  if (processes.count > 1) require_pieces(config, processes.count);
  if (processes.count > 1 && config.device == "cuda" && !processes.exchange_gpu_memory) {
    throw ConfigError("train.device", "mpirun's and srun's processes do not exchange GPU memory")
        .expected("cpu, or processes that torchrun started")
        .found("cuda")
        .hint("torchrun --no-python --nproc-per-node N polygraft ...");
  }
  if (kernels::has_precision(precision_of(config))) return;
  throw ConfigError("train.precision", "this processor has no products in bfloat16")
      .expected("AMX-BF16")
      .found(kernels::operations().name)
      .hint("leave it out: without such instructions float32 is no slower");
}

TrainResult train(const TrainJob& job) {
  refuse_existing_output(job.output, job.replace_output);
  require_machine(job.train, processes_of(job));
  keep_freed_memory();
  if (!job.train.replay.writes_text()) return TrainingRun(job).run();
  return TrainingRun(RunRanks(job.ranks).in_turn([&] { return with_self_text(job); })).run();
}

}  // namespace polygraft::trainer
