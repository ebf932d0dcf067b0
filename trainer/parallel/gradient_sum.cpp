// trainer/parallel/gradient_sum.cpp: see gradient_sum.h.
#include "trainer/parallel/gradient_sum.h"

#include <ATen/core/grad_mode.h>

#include <algorithm>

#include "trainer/parallel/tensor_bytes.h"

namespace polygraft::trainer {
namespace {

using parallel::Slice;

}  // namespace

GradientSum::GradientSum(const parallel::RankGrid& grid, const Shares& shares,
                         model::ExpertParallel& experts)
    : grid_(grid),
      shares_(shares),
      experts_(experts),
      device_(shares.leaves().front().value.device()),
      elements_at_once_(elements_at_once(!device_.is_cpu())) {
  for (const Shares::Leaf& leaf : shares.leaves()) {
    sums_.push_back(leaf.own.defined() ? at::empty_like(leaf.own.detach()) : at::Tensor());
    is_shared_.push_back(grid.shares_experts() && model::is_expert_matrix(leaf.name));
  }
  has_begun_.assign(sums_.size(), 0);
}

bool GradientSum::is_present(int source, size_t leaf) const {
  return present_[static_cast<size_t>(source) * sums_.size() + leaf] != std::byte{0};
}

int GradientSum::first_source(size_t leaf) const {
  int source = 0;
  while (source < grid_.size() && !is_present(source, leaf)) ++source;
  return source;
}

Slice GradientSum::held_by(size_t leaf, int from, int source) const {
  const Slice elements = shares_.leaves()[leaf].elements;
  if (!is_shared_[leaf]) return from == source ? elements : Slice{};
  if (from / grid_.ep() != source / grid_.ep()) return {};
  const int64_t num_experts = shares_.leaves()[leaf].value.size(0);
  const int64_t each = elements.count / num_experts;
  const Slice held = parallel::slice_of(num_experts, from % grid_.ep(), grid_.ep());
  return {elements.first + held.first * each, held.count * each};
}

int64_t GradientSum::num_turns() const {
  int64_t longest = 0;
  for (int r = 0; r < grid_.size(); ++r) longest = std::max(longest, shares_.of(r).count);
  return (longest + elements_of_turn() - 1) / elements_of_turn();
}

Slice GradientSum::wanted(int to, int64_t turn) const {
  const Slice share = shares_.of(to);
  return common(share, {share.first + turn * elements_of_turn(), elements_of_turn()});
}

std::vector<GradientSum::Part> GradientSum::parts(int from, int to, int64_t turn) const {
  std::vector<Part> found;
  const int row = from / grid_.ep() * grid_.ep();  // nobody has gradients by other rows' tokens
  for (int source = row; source < row + grid_.ep(); ++source) {
    for (size_t i = 0; i < sums_.size(); ++i) {
      if (!is_present(source, i)) continue;
      const Slice elements = common(held_by(i, from, source), wanted(to, turn));
      if (elements.count > 0) found.push_back({source, i, elements});
    }
  }
  // Wider numbers first, so that all lie at multiples of their size.
  std::stable_partition(found.begin(), found.end(),
                        [this](const Part& part) { return type_of(part.leaf) == at::kFloat; });
  return found;
}

/// Of its gradients, wherever they are.
at::ScalarType GradientSum::type_of(size_t leaf) const {
  return is_shared_[leaf] && !device_.is_cpu() ? at::kBFloat16 : at::kFloat;
}

int64_t GradientSum::num_bytes(const Part& part) const {
  return part.elements.count * static_cast<int64_t>(at::elementSize(type_of(part.leaf)));
}

/// What this rank has of it.
at::Tensor GradientSum::gradient_of(size_t leaf, int source) const {
  const at::Tensor& value = shares_.leaves()[leaf].value;
  return is_shared_[leaf] ? experts_.gradient(value, source % grid_.ep()) : value.grad();
}

/// As pieces one behind the other: experts of one source need not be neighbours in memory.
void GradientSum::append(const Part& part, std::vector<at::Tensor>& pieces) const {
  const at::Tensor gradient = gradient_of(part.leaf, part.source);
  const int64_t first = part.elements.first - held_by(part.leaf, grid_.rank(), part.source).first;
  const bool is_whole = gradient.dim() < 2 || gradient.is_contiguous();
  const at::Tensor rows = is_whole ? gradient.reshape({1, -1}) : gradient.flatten(1);
  const int64_t width = rows.size(1), end = first + part.elements.count;
  for (int64_t begin = first; begin < end;) {
    const int64_t row = begin / width, count = std::min(end, (row + 1) * width) - begin;
    const at::Tensor piece = rows.select(0, row).narrow(0, begin - row * width, count);
    TORCH_INTERNAL_ASSERT(piece.scalar_type() == type_of(part.leaf), "gradients of another dtype");
    pieces.push_back(piece.contiguous().view(at::kByte));
    begin += count;
  }
}

/// Side by side, in memory of their own.
at::Tensor GradientSum::bytes_of_parts(const std::vector<Part>& parts) const {
  std::vector<at::Tensor> pieces = {
      at::empty({0}, at::TensorOptions(device_).dtype(at::kByte))};  // at::cat wants one
  for (const Part& part : parts) append(part, pieces);
  return at::cat(pieces);
}

void GradientSum::share_presence(bool counts) {
  std::vector<std::byte> own;
  for (size_t i = 0; i < sums_.size(); ++i) {
    own.push_back(std::byte{counts && gradient_of(i, grid_.rank()).defined()});
  }
  present_.resize(own.size() * static_cast<size_t>(grid_.size()));
  grid_.world().all_gather(own, present_);
}

void GradientSum::add_round(bool counts) {
  const at::NoGradGuard no_grad;
  share_presence(counts);
  Turn under_way;
  for (int64_t turn = 0; turn < num_turns(); ++turn) {
    Turn next = start_turn(turn);
    finish_turn(under_way);
    under_way = std::move(next);
  }
  finish_turn(under_way);
  grid_.world().wait_for_gpu();
  for (size_t i = 0; i < sums_.size(); ++i) {
    has_begun_[i] = static_cast<char>(has_begun_[i] != 0 || first_source(i) < grid_.size());
    shares_.leaves()[i].value.mutable_grad() = at::Tensor();
  }
  experts_.clear_gradients();
}

GradientSum::Turn GradientSum::start_turn(int64_t index) const {
  Turn turn;
  parallel::Exchange exchange;
  for (int r = 0; r < grid_.size(); ++r) {
    turn.sent.push_back(bytes_of_parts(parts(grid_.rank(), r, index)));
    turn.coming.push_back(parts(r, grid_.rank(), index));
    int64_t count = 0;
    for (const Part& part : turn.coming.back()) count += num_bytes(part);
    turn.received.push_back(at::empty({count}, turn.sent.back().options()));
    exchange.send.push_back(bytes_of(turn.sent.back()));
    exchange.receive.push_back(bytes_of(turn.received.back()));
  }
  turn.pending = grid_.world().start_all_to_all_v(exchange);
  return turn;
}

void GradientSum::finish_turn(const Turn& turn) {
  if (turn.pending == nullptr) return;
  turn.pending->follow();
  for (size_t r = 0; r < turn.coming.size(); ++r) add(turn.coming[r], turn.received[r]);
}

/// In ascending order of the senders: then each element's sources ascend too.
void GradientSum::add(const std::vector<Part>& parts, const at::Tensor& received) {
  int64_t place = 0;
  for (const Part& part : parts) {
    const auto values = received.narrow(0, place, num_bytes(part)).view(type_of(part.leaf));
    const int64_t own_first = shares_.of_leaf(grid_.rank(), part.leaf).first;
    auto sum =
        sums_[part.leaf].view({-1}).narrow(0, part.elements.first - own_first, part.elements.count);
    const bool begins = has_begun_[part.leaf] == 0 && first_source(part.leaf) == part.source;
    if (begins) {
      sum.copy_(values);  // 0 + x would lose the sign of a zero
    } else {
      sum.add_(values);
    }
    place += num_bytes(part);
  }
}

void GradientSum::finish() {
  for (size_t i = 0; i < sums_.size(); ++i) {
    if (has_begun_[i] == 0 || !sums_[i].defined()) continue;
    shares_.leaves()[i].own.mutable_grad() = sums_[i];
  }
  std::fill(has_begun_.begin(), has_begun_.end(), 0);
}

}  // namespace polygraft::trainer
