// trainer/parallel/shared_optimizer.cpp: see shared_optimizer.h.
#include "trainer/parallel/shared_optimizer.h"

#include "trainer/parallel/tensor_bytes.h"

namespace polygraft::trainer {
namespace {

using parallel::Slice;

parallel::Exchange empty_exchange(int num_ranks) {
  const auto size = static_cast<size_t>(num_ranks);
  return {std::vector<parallel::ConstBytes>(size), std::vector<parallel::Bytes>(size)};
}

}  // namespace

SharedOptimizer::SharedOptimizer(const parallel::RankGrid* grid, const Parameters& parameters,
                                 const OptimizerConfig& config)
    : grid_(grid),
      parameters_(parameters),
      shares_(parameters, rank(), grid == nullptr ? 1 : grid->size()),
      own_(shares_.own_parameters()),
      adamw_(own_, config) {}

double SharedOptimizer::clip_gradients(double max_norm) {
  const double norm = global_norm(gathered(block_norms(own_)));
  limit_gradients(own_, norm, max_norm);
  return norm;
}

/// Every rank's, in the order of ranks, which is that of all blocks.
std::vector<double> SharedOptimizer::gathered(const std::vector<double>& own_norms) const {
  if (grid_ == nullptr) return own_norms;
  std::vector<size_t> first = {0};
  for (int r = 0; r < grid_->size(); ++r) {
    int64_t num_blocks = 0;
    for (size_t i = 0; i < parameters_.size(); ++i) {
      num_blocks += count_blocks(shares_.of_parameter(r, i).count);
    }
    first.push_back(first.back() + static_cast<size_t>(num_blocks));
  }
  std::vector<double> all(first.back());
  parallel::Exchange exchange;
  for (size_t r = 0; r + 1 < first.size(); ++r) {
    exchange.send.push_back(std::as_bytes(std::span(own_norms)));
    exchange.receive.push_back(
        std::as_writable_bytes(std::span(all).subspan(first[r], first[r + 1] - first[r])));
  }
  grid_->world().all_to_all_v(exchange);
  return all;
}

void SharedOptimizer::step(double learning_rate) {
  adamw_.step(learning_rate);
  clear_gradients(own_);
  share_values();
}

void SharedOptimizer::share_values() const {
  if (grid_ == nullptr) return;
  std::vector<parallel::PendingPtr> under_way;
  for (size_t i = 0; i < parameters_.size(); ++i) {
    parallel::Exchange exchange;
    for (int r = 0; r < grid_->size(); ++r) {
      const auto part = [&](int of) {
        return bytes_of(parameters_[i].value, shares_.of_parameter(of, i));
      };
      exchange.send.push_back(part(rank()));
      exchange.receive.push_back(part(r));
    }
    under_way.push_back(grid_->world().start_all_to_all_v(exchange));
  }
  for (const auto& exchange : under_way) exchange->wait();
}

std::vector<Moments> SharedOptimizer::own_moments() const {
  std::vector<Moments> own;
  for (size_t i = 0; i < parameters_.size(); ++i) {
    const Slice elements = shares_.of_parameter(rank(), i);
    if (elements.count == 0) continue;
    const size_t place = own.size();
    own.push_back({i, elements, adamw_.first_moments()[place], adamw_.second_moments()[place]});
  }
  return own;
}

void SharedOptimizer::gather_moments(const TakeMoments& take) const {
  const std::vector<Moments> own = own_moments();
  auto next = own.begin();
  for (size_t i = 0; i < parameters_.size(); ++i) {
    Moments part{i, {}, {}, {}};
    if (next != own.end() && next->parameter == i) part = *next++;
    const Moments whole{
        i, {0, parameters_[i].value.numel()}, gathered(part.first, i), gathered(part.second, i)};
    if (rank() == 0) take(whole);
  }
}

/// @param own_moment undefined where this rank has nothing of it. @return undefined on all ranks
/// but the first.
at::Tensor SharedOptimizer::gathered(const at::Tensor& own_moment, size_t parameter) const {
  if (grid_ == nullptr) return own_moment;
  const at::Tensor& value = parameters_[parameter].value;
  at::Tensor whole;
  parallel::Exchange exchange = empty_exchange(grid_->size());
  if (own_moment.defined()) exchange.send[0] = bytes_of(own_moment);
  if (grid_->is_first()) {
    whole = at::empty(value.sizes(), value.options().requires_grad(false));
    for (int r = 0; r < grid_->size(); ++r) {
      exchange.receive[static_cast<size_t>(r)] =
          bytes_of(whole, shares_.of_parameter(r, parameter));
    }
  }
  grid_->world().all_to_all_v(exchange);
  return whole;
}

}  // namespace polygraft::trainer
