// model/checkpoint/tensors_hash.h: the hash of a model's weights as a stream, for tensors that lie
// in pieces.
#pragma once
#include <string>
#include <string_view>

#include "core/hash.h"
#include "model/checkpoint/tensor_writer.h"

namespace polygraft::model {

/// SHA-256 over (name, dtype, shape, bytes) of tensors in name order: what hash_tensors() gives.
class TensorsHash {
 public:
  /// The next tensor; its bytes follow, in as many pieces as they come. Names ascend.
  void begin(const TensorSpec& spec);
  void update(std::string_view bytes) { hash_.update(bytes); }
  std::string finish() { return hash_.finish(); }

 private:
  Sha256 hash_;
};

}  // namespace polygraft::model
