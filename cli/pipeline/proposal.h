// cli/pipeline/proposal.h: what `polygraft init` proposes for a model, a text and a machine. Pure.
// Rules, and where their numbers come from (the recipe was measured at width 192, see expand/ and
// trainer/README.md):
//   new tokens     one for every 2 kB of new text, 200 to 10,000
//   new experts    a quarter of the base's (three times as many brought 2 % less), made a multiple
//                  of 8 where the base's count is one
//   a step         8 rows of new and 3 of old text, rows of 512 tokens
//   length         two epochs of the new text, or as many tokens as the given hours allow
//   learning rate  4e-3 * 192 / width, at most 4e-3
// Then micro-batches shrink to single rows, and the experts' number by halves down to one (below 8
// of any count), until the estimated peak of memory is at most 70 % of the machine's.
#pragma once
#include "cli/pipeline/config.h"
#include "cli/pipeline/shape_plan.h"
#include "tokenizer/text_size.h"

namespace polygraft::cli {

struct ProposalInputs {
  std::string base;              ///< model folder, absolute
  tokenizer::TextSize new_text;  ///< of what is learned, in the base's tokens
  MachineConfig machine;
  double hours = 8;          ///< of training, at most
  bool has_old_text = true;  ///< else the base writes it
};

struct Proposal {
  PipelineConfig config;  ///< without run_dir and languages
  ShapePlan plan;
};

/// @throws ConfigError when even the smallest expansion does not fit the machine's memory.
Proposal propose_pipeline(const ProposalInputs& inputs);

}  // namespace polygraft::cli
