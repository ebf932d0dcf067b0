// model/checkpoint/tensors_hash.cpp: see tensors_hash.h.
#include "model/checkpoint/tensors_hash.h"

#include "core/hash.h"
#include "core/json.h"
#include "core/mapped_pages.h"
#include "core/parallel.h"
#include "core/progress.h"
#include "core/stop.h"

namespace polygraft::model {

void TensorsHash::add(const TensorSpec& spec, const std::vector<std::string_view>& pieces) {
  Sha256 hash;
  for (const std::string_view piece : pieces) hash.update(piece);
  // As JSON, so that no two different lists of tensors give the same lines.
  std::string line =
      Json{spec.name, dtype_name(spec.dtype), spec.shape, hash.finish()}.dump() + "\n";
  const std::lock_guard lock(mutex_);
  line_by_name_[spec.name] = std::move(line);
}

std::string TensorsHash::finish() const {
  Sha256 hash;
  for (const auto& [name, line] : line_by_name_) hash.update(line);
  return hash.finish();
}

std::string hash_tensors(const TensorFolder& tensors) {
  TensorsHash hash;
  const std::vector<std::string>& names = tensors.names();  // as they lie in the files
  uint64_t num_bytes = 0;
  for (const std::string& name : names) num_bytes += tensors.get(name).bytes.size();
  std::mutex mutex;
  // Never finished: where it takes a moment nothing is said.
  Progress progress("hashing the weights", num_bytes, "bytes");
  parallel_for(names.size(), /*num_threads=*/0, [&](size_t i) {
    throw_if_stopped();
    const TensorView& view = tensors.get(names[i]);
    hash.add({view.name, view.dtype, view.shape}, {view.bytes});
    const std::lock_guard lock(mutex);
    progress.advance(view.bytes.size());
  });
  return hash.finish();
}

void BackgroundTensorsHash::add(TensorSpec spec, std::vector<std::string_view> pieces) {
  const uint64_t num_bytes = spec.num_bytes();
  for (const std::string_view piece : pieces) read_ahead(piece);
  background_.add(num_bytes, [this, spec = std::move(spec), pieces = std::move(pieces)] {
    hash_.add(spec, pieces);
  });
}

std::string BackgroundTensorsHash::finish() {
  background_.finish();
  return hash_.finish();
}

}  // namespace polygraft::model
