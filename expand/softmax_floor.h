// expand/softmax_floor.h: the least that new router rows can cost old text where the chosen
// experts' weights are not renormalised, whatever the rows are. With r = sum_j exp(n_j . u) / Z(u),
// an old weight loses log(1 + r(u)) nats. The mean over old text is convex in the rows and does not
// change when rows trade places, so that some minimum has n equal rows, and a search over one row
// finds it:
//   floor(n) = min over v of mean_old log(1 + n exp(v . u) / Z(u)).
// It is 0 where some row scores below zero on all of the text (the inputs lie on one side of the
// origin), and positive where the origin lies among them. README.md, "Weights that are not
// renormalised". Legend: T tokens, D model width, E base experts.
#pragma once
#include <ATen/ATen.h>

#include <cstdint>
#include <map>
#include <vector>

#include "model/architecture/transformer.h"

namespace polygraft::expand {

/// floor(n) in nats on these tokens; 0 where the search finds no end to the descent, so that it
/// never claims too much. float64 inside. @param input_TD router inputs after the norm. @param
/// log_normalizer_T log Z.
double softmax_floor(const at::Tensor& input_TD, const at::Tensor& log_normalizer_T,
                     int64_t num_rows);

/// Floors of one text's layers, gathered while the text goes through the model layer by layer: one
/// layer's inputs are held at a time, of its first tokens.
class SoftmaxFloors {
 public:
  /// @param num_experts floors are for 1, 2, 4, ... rows, up to so many.
  explicit SoftmaxFloors(int64_t num_experts) : num_experts_(num_experts) {}

  /// Layer after layer; within one, batch after batch.
  void tap(const model::RouterTap& tap);
  /// By layer: the floors of 1, 2, 4, ... rows. Call once, after the last tap.
  std::map<int64_t, std::vector<double>> finish();

 private:
  void close_layer();

  int64_t num_experts_;
  int64_t layer_ = -1;
  int64_t num_held_ = 0;
  std::vector<at::Tensor> input_TD_, log_normalizer_T_;
  std::map<int64_t, std::vector<double>> floors_;
};

}  // namespace polygraft::expand
