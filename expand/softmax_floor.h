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
#include <string>
#include <vector>

#include "eval/passes.h"

namespace polygraft::expand {

/// floor(n) in nats on these tokens; 0 where the search finds no end to the descent, so that it
/// never claims too much. float64 inside. @param input_TD router inputs after the norm. @param
/// log_normalizer_T log Z.
double softmax_floor(const at::Tensor& input_TD, const at::Tensor& log_normalizer_T,
                     int64_t num_rows);

/// Which tokens the floors of several texts are measured on: leading ones of some batches.
struct FloorSample {
  std::vector<std::string> text_of_batch;
  std::vector<int64_t> rows_of_batch;  ///< 0: none
  int64_t width = 0;                   ///< D
};
/// As many tokens of a text as its floors need, and no more than the first pass that meets it has:
/// a pass of one process, on any number of ranks.
/// @param texts whose floors are wanted. @param pass_tokens as PassOptions::most_tokens.
FloorSample choose_floor_sample(const std::vector<model::Batch>& batches,
                                const std::vector<std::string>& text_of_batch,
                                const std::vector<std::string>& texts, int64_t width,
                                int64_t pass_tokens);

/// Floors of texts' layers, gathered while the texts go through the model layer by layer: one
/// layer's inputs are held at a time. Ranks share out the texts.
class SoftmaxFloors {
 public:
  using ByLayer = std::map<int64_t, std::vector<double>>;

  /// @param num_experts floors are for 1, 2, 4, ... rows, up to so many.
  SoftmaxFloors(FloorSample sample, int64_t num_experts, const parallel::Team& team)
      : sample_(std::move(sample)), num_experts_(num_experts), team_(team) {}

  /// Of this rank's batches.
  void tap(const model::RouterTap& tap);
  /// By every rank, once a layer's router has seen all batches of the pass; communicates.
  void close_layer(int64_t layer, eval::PassRange pass);

  const std::map<std::string, ByLayer>& by_text() const { return floors_; }

 private:
  /// What a router saw of a batch's sampled tokens. float32.
  struct Seen {
    at::Tensor input_TD, log_normalizer_T;
  };
  /// A text's floors in one layer, and the rank that measures them.
  struct Job {
    std::string text;
    std::vector<size_t> batches;
    int rank;
  };
  std::vector<Job> jobs_of(eval::PassRange pass) const;
  void gather_inputs(const std::vector<Job>& jobs);
  std::vector<double> measure(const Job& job) const;

  FloorSample sample_;
  int64_t num_experts_;
  parallel::Team team_;
  std::map<size_t, Seen> seen_;  // by batch, of the layer that is being run
  std::map<std::string, ByLayer> floors_;
};

}  // namespace polygraft::expand
