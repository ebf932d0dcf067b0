// model/architecture/sequence_layout.cpp: see sequence_layout.h. Both ways are rows picked out, and
// so are their gradients: on a GPU nothing is added up where rows meet, in whatever order.
#include "model/architecture/sequence_layout.h"

#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <bit>
#include <map>

#include "model/architecture/upload.h"

namespace polygraft::model {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

struct PadFunction : torch::autograd::Function<PadFunction> {
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& x_T, const at::Tensor& token_P,
                            const at::Tensor& place_T) {
    ctx->save_for_backward({place_T});
    return x_T.index_select(0, token_P);
  }
  static variable_list backward(AutogradContext* ctx, const variable_list& grads) {
    return {grads[0].index_select(0, ctx->get_saved_variables()[0]), {}, {}};
  }
};

struct UnpadFunction : torch::autograd::Function<UnpadFunction> {
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& x_P, const at::Tensor& token_P,
                            const at::Tensor& place_T, const at::Tensor& is_padding_P) {
    ctx->save_for_backward({token_P, is_padding_P});
    return x_P.index_select(0, place_T);
  }
  static variable_list backward(AutogradContext* ctx, const variable_list& grads) {
    const auto saved = ctx->get_saved_variables();
    at::Tensor d_x_P = grads[0].index_select(0, saved[0]);
    std::vector<int64_t> shape(static_cast<size_t>(d_x_P.dim()), 1);
    shape[0] = d_x_P.size(0);
    return {d_x_P.masked_fill_(saved[1].view(shape), 0), {}, {}, {}};
  }
};

}  // namespace

std::vector<SequenceGroup> group_sequences(const Batch& batch) {
  std::vector<SequenceGroup> groups;
  for (size_t s = 0; s < batch.lengths.size(); ++s) {
    const int64_t length = batch.lengths[s];
    const std::vector<int64_t>& branches = batch.branches_of(s);
    const bool joins = !groups.empty() && groups.back().length == length && branches.empty() &&
                       groups.back().branches.empty();
    if (!joins) groups.push_back({0, length, branches});
    ++groups.back().num_sequences;
  }
  return groups;
}

PaddedSequences::PaddedSequences(const std::vector<int64_t>& lengths, at::Device device) {
  std::map<int, std::vector<size_t>> by_width;  // sequences, by bits of their lengths
  std::vector<int64_t> first_token = {0};
  for (size_t s = 0; s < lengths.size(); ++s) {
    by_width[std::bit_width(static_cast<uint64_t>(lengths[s]))].push_back(s);
    first_token.push_back(first_token.back() + lengths[s]);
    longest_ = std::max(longest_, lengths[s]);
  }
  std::vector<int64_t> token, place(static_cast<size_t>(first_token.back()));
  std::vector<uint8_t> is_padding;
  for (const auto& [width, sequences] : by_width) {
    SequenceGroup& group = groups_.emplace_back();
    for (const size_t s : sequences) group.length = std::max(group.length, lengths[s]);
    group.num_sequences = std::ssize(sequences);
    for (const size_t s : sequences) {
      for (int64_t i = 0; i < group.length; ++i) {
        const bool pads = i >= lengths[s];
        if (!pads) place[static_cast<size_t>(first_token[s] + i)] = std::ssize(token);
        token.push_back(first_token[s] + (pads ? 0 : i));
        is_padding.push_back(pads ? 1 : 0);
      }
    }
  }
  token_P_ = sent_to(device, at::tensor(token, at::kLong));
  place_T_ = sent_to(device, at::tensor(place, at::kLong));
  is_padding_P_ = sent_to(device, at::tensor(is_padding, at::kByte).to(at::kBool));
}

at::Tensor PaddedSequences::pad(const at::Tensor& x_T) const {
  return PadFunction::apply(x_T, token_P_, place_T_);
}

at::Tensor PaddedSequences::unpad(const at::Tensor& x_P) const {
  return UnpadFunction::apply(x_P, token_P_, place_T_, is_padding_P_);
}

SequenceLayout lay_out(const Batch& batch, at::Device device) {
  SequenceLayout layout{group_sequences(batch), {}};
  const bool has_branches = std::any_of(layout.groups.begin(), layout.groups.end(),
                                        [](const auto& group) { return !group.branches.empty(); });
  if (!device.is_cpu() && layout.groups.size() > 1 && !has_branches) {
    layout.padded.emplace(batch.lengths, device);
  }
  return layout;
}

}  // namespace polygraft::model
