// expand/softmax_floor.cpp: see softmax_floor.h.
#include "expand/softmax_floor.h"

#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <bit>
#include <cmath>

#include "expand/lbfgs.h"
#include "model/architecture/tensor_bytes.h"

namespace polygraft::expand {

namespace {

/// Fewer tokens than a multiple of the width are told apart by chance alone (Cover 1965: up to
/// twice as many points as dimensions lie on one side of some plane), which says nothing of other
/// text.
constexpr int64_t kTokensPerDimension = 4;
constexpr int64_t kLeastTokens = 4096;

int64_t most_tokens(int64_t width) { return std::max(kLeastTokens, kTokensPerDimension * width); }

/// The Hessian's bound at r = 1, where log(1 + r) is most curved: u u' / 4.
at::Tensor factor_moment(const at::Tensor& input_TD) {
  const int64_t width = input_TD.size(1);
  const at::Tensor moment_DD =
      at::mm(input_TD.t(), input_TD) / (4.0 * static_cast<double>(input_TD.size(0)));
  const double ridge = 1e-6 * moment_DD.trace().item<double>() / static_cast<double>(width);
  return std::get<0>(
      at::linalg_cholesky_ex(moment_DD + at::eye(width, at::kDouble) * std::max(ridge, 1e-30)));
}

}  // namespace

double softmax_floor(const at::Tensor& input_TD, const at::Tensor& log_normalizer_T,
                     int64_t num_rows) {
  const at::NoGradGuard no_grad;
  const at::Tensor inputs = input_TD.to(at::kDouble);
  const at::Tensor offset_T =
      std::log(static_cast<double>(num_rows)) - log_normalizer_T.to(at::kDouble);
  const auto count = static_cast<double>(inputs.size(0));
  const Objective lost = [&](const at::Tensor& row_D, at::Tensor& gradient_D) {
    const at::Tensor log_r_T = at::mv(inputs, row_D) + offset_T;
    gradient_D = at::mv(inputs.t(), at::sigmoid(log_r_T)) / count;
    return at::logaddexp(log_r_T, at::zeros_like(log_r_T)).mean().item<double>();
  };
  const at::Tensor factor_DD = factor_moment(inputs);
  const Preconditioner precondition = [&](const at::Tensor& gradient_D) {
    return at::cholesky_solve(gradient_D.unsqueeze(1), factor_DD).squeeze(1);
  };
  LbfgsOptions options;
  options.max_iterations = 200;
  const LbfgsResult result =
      minimize(lost, at::zeros({inputs.size(1)}, at::kDouble), precondition, options);
  return result.converged ? result.value : 0.0;
}

FloorSample choose_floor_sample(const std::vector<model::Batch>& batches,
                                const std::vector<std::string>& text_of_batch,
                                const std::vector<std::string>& texts, int64_t width,
                                int64_t pass_tokens) {
  FloorSample sample{text_of_batch, std::vector<int64_t>(batches.size()), width};
  std::map<std::string, size_t> pass_of_text;  // by its first batch
  std::map<std::string, int64_t> num_taken;
  for (size_t first = 0, end = 0; first < batches.size(); first = end) {
    end = eval::end_of_pass(batches, first, pass_tokens);
    for (size_t b = first; b < end; ++b) {
      const std::string& text = text_of_batch[b];
      if (std::find(texts.begin(), texts.end(), text) == texts.end()) continue;
      if (pass_of_text.try_emplace(text, first).first->second != first) continue;
      int64_t& taken = num_taken[text];
      sample.rows_of_batch[b] = std::min(most_tokens(width) - taken, batches[b].ids_T.numel());
      taken += sample.rows_of_batch[b];
    }
  }
  return sample;
}

void SoftmaxFloors::tap(const model::RouterTap& tap) {
  const int64_t rows = sample_.rows_of_batch[tap.batch];
  if (rows == 0) return;
  seen_[tap.batch] = {tap.input_TD.narrow(0, 0, rows).to(at::kFloat).contiguous(),
                      at::logsumexp(tap.base_TE.narrow(0, 0, rows), 1)};
}

/// Texts in turn.
std::vector<SoftmaxFloors::Job> SoftmaxFloors::jobs_of(eval::PassRange pass) const {
  std::map<std::string, std::vector<size_t>> batches_of_text;
  for (size_t b = pass.first; b < pass.end; ++b) {
    if (sample_.rows_of_batch[b] > 0) batches_of_text[sample_.text_of_batch[b]].push_back(b);
  }
  std::vector<Job> jobs;
  for (auto& [text, batches] : batches_of_text) {
    jobs.push_back({text, std::move(batches), team_.owner_of(jobs.size())});
  }
  return jobs;
}

void SoftmaxFloors::gather_inputs(const std::vector<Job>& jobs) {
  parallel::Deliveries inputs(team_);
  for (const Job& job : jobs) {
    for (const size_t b : job.batches) {
      Seen& seen = seen_[b];
      const int64_t rows = sample_.rows_of_batch[b];
      if (job.rank == team_.rank() && !team_.owns(b)) {
        seen = {at::empty({rows, sample_.width}, at::kFloat), at::empty({rows}, at::kFloat)};
      }
      inputs.to_one(team_.owner_of(b), job.rank, model::bytes_of(seen.input_TD));
      inputs.to_one(team_.owner_of(b), job.rank, model::bytes_of(seen.log_normalizer_T));
    }
  }
  inputs.wait();
}

std::vector<double> SoftmaxFloors::measure(const Job& job) const {
  std::vector<at::Tensor> inputs, log_normalizers;
  for (const size_t b : job.batches) {
    inputs.push_back(seen_.at(b).input_TD);
    log_normalizers.push_back(seen_.at(b).log_normalizer_T);
  }
  const at::Tensor input_TD = at::cat(inputs), log_normalizer_T = at::cat(log_normalizers);
  const bool enough = input_TD.size(0) >= 2 * input_TD.size(1);
  std::vector<double> floors;
  for (int64_t rows = 1; rows <= num_experts_; rows *= 2) {
    floors.push_back(enough ? softmax_floor(input_TD, log_normalizer_T, rows) : 0.0);
  }
  return floors;
}

void SoftmaxFloors::close_layer(int64_t layer, eval::PassRange pass) {
  const std::vector<Job> jobs = jobs_of(pass);
  gather_inputs(jobs);
  parallel::Deliveries results(team_);
  for (const Job& job : jobs) {
    std::vector<double>& floors = floors_[job.text][layer];
    if (job.rank == team_.rank()) floors = measure(job);
    floors.resize(static_cast<size_t>(std::bit_width(static_cast<uint64_t>(num_experts_))));
    results.to_all(job.rank, std::as_writable_bytes(std::span(floors)));
  }
  results.wait();
  seen_.clear();
}

}  // namespace polygraft::expand
