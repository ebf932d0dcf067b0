// model/architecture/sequence_layout.h: a batch's sequences as attention takes them, made once for
// all layers. Legend: T tokens, P places, padding included.
#pragma once
#include <ATen/ATen.h>

#include <optional>
#include <vector>

#include "model/architecture/batch.h"

namespace polygraft::model {

/// Consecutive sequences of equal length, attended to in one call: rows of a training batch form a
/// single group. One with branches is a group of its own.
struct SequenceGroup {
  int64_t num_sequences = 0;
  int64_t length = 0;
  std::vector<int64_t> branches = {};
  int64_t num_tokens() const { return num_sequences * length; }
};

std::vector<SequenceGroup> group_sequences(const Batch& batch);

/// Sequences of many lengths as few groups: each padded, behind its end, to the longest of those
/// whose lengths have as many bits, so to less than twice its own. Causal attention sees nothing of
/// it. For GPUs, where a call for every length costs more than what it computes.
class PaddedSequences {
 public:
  PaddedSequences(const std::vector<int64_t>& lengths, at::Device device);

  const std::vector<SequenceGroup>& groups() const { return groups_; }
  int64_t longest() const { return longest_; }

  /// @param x_T [T, ...]. @return [P, ...]; padding is the sequence's first token again. The
  /// gradient of padding, which must be zero, is dropped.
  at::Tensor pad(const at::Tensor& x_T) const;
  /// @param x_P [P, ...]. @return [T, ...]. Padding's gradient is zero.
  at::Tensor unpad(const at::Tensor& x_P) const;

 private:
  std::vector<SequenceGroup> groups_;
  int64_t longest_ = 0;
  at::Tensor token_P_, place_T_;  // int64, on the device: whose place, and where a token is
  at::Tensor is_padding_P_;       // bool
};

struct SequenceLayout {
  std::vector<SequenceGroup> groups;
  std::optional<PaddedSequences> padded;  ///< on a GPU, of several groups without branches
};

SequenceLayout lay_out(const Batch& batch, at::Device device);

}  // namespace polygraft::model
