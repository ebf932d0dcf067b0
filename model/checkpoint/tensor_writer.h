// model/checkpoint/tensor_writer.h: writing safetensors shards as a stream, tensor after tensor, in
// bounded memory.
#pragma once
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "model/checkpoint/dtype.h"

namespace polygraft::model {

struct TensorSpec {
  std::string name;
  Dtype dtype = Dtype::kF32;
  std::vector<int64_t> shape;
  uint64_t num_bytes() const;
};

/// Writes the tensors of a model folder in the order of `specs`, laid end to end. One file
/// (model.safetensors) when everything fits into max_shard_bytes, else
/// model-0000i-of-0000N.safetensors and model.safetensors.index.json. Header metadata
/// {"format":"pt"}. Every name appears in finish(), none before: a writer that is destroyed
/// unfinished leaves nothing behind.
class TensorWriter {
 public:
  static constexpr uint64_t kDefaultShardBytes = 5'000'000'000;
  TensorWriter(fs::path folder, std::vector<TensorSpec> specs,
               uint64_t max_shard_bytes = kDefaultShardBytes);
  ~TensorWriter();

  /// Hashes what is written, as it is written: before the first append().
  void keep_hashes();
  /// Appends bytes to the current tensor; a tensor may come in several parts (old rows, then new
  /// rows).
  /// @throws FormatError when more bytes come than the spec has, or a tensor comes out of turn;
  /// IoError on a full disk.
  void append(const std::string& name, std::string_view bytes);
  /// Closes the last file and writes the index. @throws FormatError when a tensor is incomplete.
  void finish();
  /// After finish(), with keep_hashes(): SHA-256 of each file, the index too, by its name.
  const std::map<std::string, std::string>& hashes() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// One whole safetensors file at once, for small things (packs, optimizer state): name -> (spec,
/// bytes). The bytes are those that the reference writer (safetensors 0.8, save_file) makes: widest
/// dtype first, then by name, so that each is aligned.
struct OwnedTensor {
  TensorSpec spec;
  std::string bytes;
};
void write_tensor_file(const fs::path& file, const std::map<std::string, OwnedTensor>& tensors,
                       const std::map<std::string, std::string>& metadata = {});

}  // namespace polygraft::model
