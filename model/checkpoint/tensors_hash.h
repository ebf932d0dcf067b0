// model/checkpoint/tensors_hash.h: one hash for all weights of a model, the same however they are
// split into files, or lie in pieces.
#pragma once
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "core/background.h"
#include "model/checkpoint/tensor_folder.h"
#include "model/checkpoint/tensor_writer.h"

namespace polygraft::model {

/// SHA-256 over one line for each tensor in name order: [name, dtype, shape, SHA-256 of its bytes]
/// as JSON. A tensor's own hash needs no other, so tensors are hashed in
/// any order and on several threads.
class TensorsHash {
 public:
  /// A tensor, its bytes in as many pieces as they come. May be called from several threads.
  void add(const TensorSpec& spec, const std::vector<std::string_view>& pieces);
  std::string finish() const;

 private:
  std::mutex mutex_;
  std::map<std::string, std::string> line_by_name_;
};

/// Of all tensors of a folder, with progress where it takes long. @throws Interrupted between two
/// tensors once a signal has arrived.
std::string hash_tensors(const TensorFolder& tensors);

/// The same in a thread of its own, beside a caller that copies or compares the tensors: pages are
/// read from the disk once for both, from when they are added.
class BackgroundTensorsHash {
 public:
  /// The bytes must stay where they are until finish().
  void add(TensorSpec spec, std::vector<std::string_view> pieces);
  /// Waits for what is still to be hashed. To be called once.
  std::string finish();

 private:
  TensorsHash hash_;
  BackgroundWork background_{uint64_t{32} << 20};
};

}  // namespace polygraft::model
