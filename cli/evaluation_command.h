// cli/evaluation_command.h: what `eval bpb` and `eval choice` do around their scoring: dry run,
// ranks, an output folder that appears whole, scores kept until then.
#pragma once
#include <functional>
#include <iostream>
#include <optional>
#include <string>

#include "cli/command.h"
#include "cli/evaluate.h"
#include "cli/ranks.h"
#include "core/file.h"
#include "core/log.h"
#include "core/text.h"

namespace polygraft::cli {

template <class Result>
struct Evaluation {
  std::string planned;                                   ///< what would be scored, for a dry run
  std::string warning = {};                              ///< said before any work; "": none
  std::function<Result(const MeasuredModel&)> evaluate;  ///< on every rank
  void (*write)(const Result&, const fs::path& folder);
  void (*show)(const Arguments&, const Result&);
};

/// @param measured as the arguments say; its team and where it keeps scores are set here.
template <class Result>
ExitCode run_evaluation(const Arguments& arguments, MeasuredModel measured,
                        const Evaluation<Result>& evaluation) {
  const fs::path output = arguments.output();
  const Ranks ranks(arguments);
  if (!evaluation.warning.empty()) log_warn(evaluation.warning);
  if (arguments.dry_run()) {
    check_measured(measured);
    if (ranks.is_first()) {
      arguments.say_plan(concat("would score ", evaluation.planned, " into ", output));
    }
    return ExitCode::kDone;
  }
  refuse_existing_output(output, arguments.force());
  std::optional<EvaluationOutput> target;
  if (ranks.is_first()) target.emplace(output, arguments.force());
  measured.unfinished = Unfinished::beside(output);
  measured.team = ranks.team();
  const Result result = evaluation.evaluate(measured);
  if (target) {
    evaluation.write(result, target->path());
    target->commit();
    evaluation.show(arguments, result);
  }
  ranks.team().wait_for_all();
  return ExitCode::kDone;
}

}  // namespace polygraft::cli
