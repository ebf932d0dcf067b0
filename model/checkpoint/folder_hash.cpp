// model/checkpoint/folder_hash.cpp: one hash for all weights of a folder, the same however they are
// split into files.
#include "core/hash.h"
#include "core/json.h"
#include "core/parallel.h"
#include "model/checkpoint/model_folder.h"
#include "model/checkpoint/tensors_hash.h"

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
  parallel_for(names.size(), /*num_threads=*/0, [&](size_t i) {
    const TensorView& view = tensors.get(names[i]);
    hash.add({view.name, view.dtype, view.shape}, {view.bytes});
  });
  return hash.finish();
}

BackgroundTensorsHash::BackgroundTensorsHash() : thread_([this] { work(); }) {}

BackgroundTensorsHash::~BackgroundTensorsHash() {
  {
    const std::lock_guard lock(mutex_);
    waiting_.clear();
  }
  end();
}

void BackgroundTensorsHash::end() {
  {
    const std::lock_guard lock(mutex_);
    ended_ = true;
  }
  changed_.notify_all();
  if (thread_.joinable()) thread_.join();
}

void BackgroundTensorsHash::add(TensorSpec spec, std::vector<std::string_view> pieces) {
  constexpr uint64_t kMostBytes = uint64_t{32} << 20;
  const uint64_t num_bytes = spec.num_bytes();
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return waiting_bytes_ < kMostBytes; });
  waiting_bytes_ += num_bytes;
  waiting_.push_back({std::move(spec), std::move(pieces)});
  changed_.notify_all();
}

void BackgroundTensorsHash::work() {
  std::unique_lock lock(mutex_);
  while (true) {
    changed_.wait(lock, [this] { return ended_ || !waiting_.empty(); });
    if (waiting_.empty()) return;
    Waiting next = std::move(waiting_.front());
    waiting_.pop_front();
    lock.unlock();
    try {
      hash_.add(next.spec, next.pieces);
    } catch (...) {
      error_ = std::current_exception();
    }
    lock.lock();
    waiting_bytes_ -= next.spec.num_bytes();
    changed_.notify_all();
  }
}

std::string BackgroundTensorsHash::finish() {
  end();
  if (error_) std::rethrow_exception(error_);
  return hash_.finish();
}

}  // namespace polygraft::model
