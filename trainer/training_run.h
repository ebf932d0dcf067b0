// trainer/training_run.h: one run from start or checkpoint to the written model. Between two steps
// everything that decides what comes next is in TrainState, the trainable tensors and AdamW's
// moments; that is why resuming is exact.
#pragma once
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "trainer/checkpoint.h"
#include "trainer/data/quotations.h"
#include "trainer/metrics.h"
#include "trainer/objective/polyak_steps.h"
#include "trainer/optim/lora.h"
#include "trainer/parallel/parallel_step.h"
#include "trainer/parallel/run_ranks.h"
#include "trainer/parallel/shared_optimizer.h"
#include "trainer/probe.h"
#include "trainer/trainee.h"

namespace polygraft::trainer {

class TrainingRun {
 public:
  /// Loads everything, scores the base, and restores the newest checkpoint of job.run_dir.
  explicit TrainingRun(const TrainJob& job);

  /// Trains to the end and writes the output. @throws Interrupted after a signal, with a checkpoint
  /// written.
  TrainResult run();

 private:
  struct StepReport;

  Parameters choose_parameters();
  /// After every change of trainable tensors.
  void use_new_values();
  void resume();
  void train_to_end();
  void train_step();
  StepLoss backward(const StepRows& rows, const Multipliers& multipliers);
  std::string progress_note() const;
  bool is_finished() const { return state_.stopped || state_.step >= num_steps_; }

  bool is_probe_due() const;
  void stop_together(const std::function<void()>& work) const;
  ProbeResult run_probe() const;
  Json run_probe_line();
  void probe();
  void share_out_replay(Json& line);
  double rate_still_to_fall() const;
  void apply_budget(const ProbeSummary& summary, Json& line);
  void roll_back();
  bool offer_best(const ProbeSummary& summary);
  void load_best(int64_t step);

  void save_checkpoint();
  void log_step(const StepReport& report);
  void append(const Json& line);
  std::optional<Blend> blend_into_budget();  // finish.cpp
  bool is_untrained(const TrainResult& result) const;
  void tell_result(const TrainResult& result) const;
  TrainResult finish();

  TrainJob job_;
  RunRanks ranks_;
  LanguageRoles roles_;
  Trainee trainee_;
  TrainingData data_;
  std::optional<LowRankAdapters> adapters_;
  Parameters parameters_;
  SharedOptimizer optimizer_;
  Objective objective_;
  std::optional<Quotations> quotations_;       ///< with method kl
  std::optional<PolyakSteps> polyak_;          ///< with method polyak
  std::optional<ParallelStep> parallel_step_;  ///< in its place where there are several ranks
  InterferenceProbe probe_;
  CheckpointStore checkpoints_;
  std::vector<int32_t> token_bytes_;  ///< UTF-8 bytes by token id
  int64_t num_steps_ = 0;

  TrainState state_;
  std::optional<BudgetController> budget_;
  std::optional<BestTracker> best_;
  std::optional<MetricsFile> metrics_;     ///< of the first rank
  std::optional<ProbeResult> last_probe_;  ///< of the weights as they are now
  double last_loss_ = 0;
  std::string worst_;  ///< the worst old language at the last probe, for the progress line
};

}  // namespace polygraft::trainer
