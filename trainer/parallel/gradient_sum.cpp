// trainer/parallel/gradient_sum.cpp: see gradient_sum.h.
#include "trainer/parallel/gradient_sum.h"

#include <algorithm>
#include <cstring>

namespace polygraft::trainer {
namespace {

using parallel::Slice;

bool is_expert_bank(const std::string& name) {
  return name.find(".moe.gate_up.") != std::string::npos ||
         name.find(".moe.down.") != std::string::npos;
}

Slice common(Slice a, Slice b) {
  const int64_t first = std::max(a.first, b.first);
  return {first, std::max<int64_t>(std::min(a.end(), b.end()) - first, 0)};
}

}  // namespace

GradientSum::GradientSum(const parallel::RankGrid& grid, const Parameters& trained,
                         model::ExpertParallel& experts)
    : grid_(grid), experts_(experts) {
  for (const Parameter& parameter : trained) {
    const int64_t count = parameter.value.numel();
    const bool is_shared = grid.shares_experts() && is_expert_bank(parameter.name);
    entries_.push_back({parameter.value, num_elements_, count, is_shared});
    num_elements_ += count;
  }
  const Slice own = parallel::slice_of(num_elements_, grid.rank(), grid.size());
  slice_.resize(static_cast<size_t>(own.count));
  has_begun_.assign(entries_.size(), 0);
}

bool GradientSum::is_present(int source, size_t entry) const {
  return present_[static_cast<size_t>(source) * entries_.size() + entry] != std::byte{0};
}

int GradientSum::first_source(size_t entry) const {
  int source = 0;
  while (source < grid_.size() && !is_present(source, entry)) ++source;
  return source;
}

Slice GradientSum::held_by(const Entry& entry, int from, int source) const {
  if (!entry.is_shared) return from == source ? Slice{entry.first, entry.count} : Slice{};
  if (from / grid_.ep() != source / grid_.ep()) return {};
  const int64_t num_experts = entry.value.size(0), each = entry.count / num_experts;
  const Slice held = parallel::slice_of(num_experts, from % grid_.ep(), grid_.ep());
  return {entry.first + held.first * each, held.count * each};
}

std::vector<GradientSum::Part> GradientSum::parts(int from, int to) const {
  const Slice wanted = parallel::slice_of(num_elements_, to, grid_.size());
  std::vector<Part> found;
  const int row = from / grid_.ep() * grid_.ep();  // nobody has gradients by other rows' tokens
  for (int source = row; source < row + grid_.ep(); ++source) {
    for (size_t i = 0; i < entries_.size(); ++i) {
      if (!is_present(source, i)) continue;
      const Slice elements = common(held_by(entries_[i], from, source), wanted);
      if (elements.count > 0) found.push_back({source, i, elements});
    }
  }
  return found;
}

/// What this rank has of it.
at::Tensor GradientSum::gradient_of(const Entry& entry, int source) const {
  return entry.is_shared ? experts_.gradient(entry.value, source % grid_.ep()) : entry.value.grad();
}

void GradientSum::append(const Part& part, std::vector<float>& out) const {
  const Entry& entry = entries_[part.entry];
  const at::Tensor gradient = gradient_of(entry, part.source).contiguous();
  const int64_t first = held_by(entry, grid_.rank(), part.source).first;
  const float* elements = gradient.const_data_ptr<float>() + (part.elements.first - first);
  out.insert(out.end(), elements, elements + part.elements.count);
}

void GradientSum::share_presence(bool counts) {
  std::vector<std::byte> own;
  for (const Entry& entry : entries_) {
    own.push_back(std::byte{counts && gradient_of(entry, grid_.rank()).defined()});
  }
  present_.resize(own.size() * static_cast<size_t>(grid_.size()));
  grid_.world().all_gather(own, present_);
}

void GradientSum::add_round(bool counts) {
  const at::NoGradGuard no_grad;
  share_presence(counts);
  const auto num_ranks = static_cast<size_t>(grid_.size());
  std::vector<std::vector<float>> sent(num_ranks), received(num_ranks);
  std::vector<std::vector<Part>> coming;
  parallel::Exchange exchange;
  for (int r = 0; r < grid_.size(); ++r) {
    auto& out = sent[static_cast<size_t>(r)];
    for (const Part& part : parts(grid_.rank(), r)) append(part, out);
    coming.push_back(parts(r, grid_.rank()));
    int64_t count = 0;
    for (const Part& part : coming.back()) count += part.elements.count;
    auto& in = received[static_cast<size_t>(r)];
    in.resize(static_cast<size_t>(count));
    exchange.send.push_back(std::as_bytes(std::span(out)));
    exchange.receive.push_back(std::as_writable_bytes(std::span(in)));
  }
  grid_.world().all_to_all_v(exchange);
  for (size_t r = 0; r < num_ranks; ++r) add(coming[r], received[r].data());
  for (size_t i = 0; i < entries_.size(); ++i) {
    has_begun_[i] = static_cast<char>(has_begun_[i] != 0 || first_source(i) < grid_.size());
    entries_[i].value.mutable_grad() = at::Tensor();
  }
  experts_.clear_gradients();
}

/// In ascending order of the senders: then each element's sources ascend too.
void GradientSum::add(const std::vector<Part>& received, const float* values) {
  const int64_t own_first = parallel::slice_of(num_elements_, grid_.rank(), grid_.size()).first;
  for (const Part& part : received) {
    float* sum = slice_.data() + (part.elements.first - own_first);
    const bool begins = has_begun_[part.entry] == 0 && first_source(part.entry) == part.source;
    if (begins) {
      std::copy(values, values + part.elements.count, sum);  // 0 + x would lose the sign of a zero
    } else {
      for (int64_t i = 0; i < part.elements.count; ++i) sum[i] += values[i];
    }
    values += part.elements.count;
  }
}

void GradientSum::finish() {
  const at::NoGradGuard no_grad;
  std::vector<float> all(static_cast<size_t>(num_elements_));
  const int64_t own_first = parallel::slice_of(num_elements_, grid_.rank(), grid_.size()).first;
  std::copy(slice_.begin(), slice_.end(), all.begin() + own_first);
  grid_.world()
      .start_all_gather_slices(std::as_writable_bytes(std::span(all)), sizeof(float))
      ->wait();
  for (size_t i = 0; i < entries_.size(); ++i) {
    if (has_begun_[i] == 0) continue;
    Entry& entry = entries_[i];
    auto gradient = at::empty(entry.value.sizes(), entry.value.options().requires_grad(false));
    std::memcpy(gradient.mutable_data_ptr<float>(), all.data() + entry.first,
                static_cast<size_t>(entry.count) * sizeof(float));
    entry.value.mutable_grad() = gradient;
  }
  std::fill(has_begun_.begin(), has_begun_.end(), 0);
}

}  // namespace polygraft::trainer
