// expand/expert_clones.h: a new expert from a donor: copied, then partly re-initialised.
// Drop-upcycling (Nakamura et al. 2025, arXiv 2502.19261): one aligned set of intermediate units
// across gate, up and down is redrawn from the statistics of what it replaces, so that the clone
// differs and keeps the donor's scale. Legend: D model width, F expert width, G = 2F (gate rows
// first, then up).
#pragma once
#include <ATen/ATen.h>

#include "core/random.h"

namespace polygraft::expand {

struct Expert {
  at::Tensor gate_up_GD;
  at::Tensor down_DF;

  Expert to(at::ScalarType dtype) const { return {gate_up_GD.to(dtype), down_DF.to(dtype)}; }
};

/// A copy of `donor` (in any dtype), in float32, in which round(reinit_ratio x F) units are
/// redrawn: rows of gate and of up, columns of down, the same indices in all three; each matrix
/// from a normal distribution with the mean and standard deviation of its own dropped entries.
/// @param stream RandomStream(seed, "layers.3.expert.2") of the new expert.
Expert clone_expert(const Expert& donor, double reinit_ratio, RandomStream stream);

/// The same clone, rounded to another dtype, for a donor of many: what is kept of it is rounded
/// once. @param donor float32, contiguous. @param rounded donor.to(dtype).
Expert clone_rounded(const Expert& donor, const Expert& rounded, double reinit_ratio,
                     RandomStream stream);

}  // namespace polygraft::expand
