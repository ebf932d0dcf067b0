// model/checkpoint/tensor_writer.cpp: the streaming writer. Shards are planned before the first
// byte, because a shard's name holds their number. Reference: huggingface_hub's
// serialization/_base.py, split_state_dict_into_shards_factory.
#include "model/checkpoint/tensor_writer.h"

#include <cstdio>
#include <optional>
#include <set>
#include <stdexcept>

#include "core/error.h"
#include "core/hash.h"
#include "core/json.h"
#include "core/text.h"
#include "model/checkpoint/safetensors_header.h"
#include "model/checkpoint/side_files.h"

namespace polygraft::model {
namespace {

const std::map<std::string, std::string> kTorchMetadata = {{"format", "pt"}};

/// Consecutive tensors of one file.
struct Shard {
  size_t first = 0, end = 0;  // indices into the specs
};

/// Fills each shard up to the limit; a tensor larger than the limit gets a shard of its own.
std::vector<Shard> plan_shards(const std::vector<TensorSpec>& specs, uint64_t max_shard_bytes) {
  std::vector<Shard> shards(1);
  uint64_t num_bytes = 0;
  for (size_t i = 0; i < specs.size(); ++i) {
    const uint64_t more = specs[i].num_bytes();
    const bool full = shards.back().end > shards.back().first && num_bytes + more > max_shard_bytes;
    if (full) {
      shards.push_back({i, i});
      num_bytes = 0;
    }
    shards.back().end = i + 1;
    num_bytes += more;
  }
  return shards;
}

std::string shard_name(size_t shard, size_t num_shards) {
  if (num_shards == 1) return "model.safetensors";
  char name[64];
  std::snprintf(name, sizeof name, "model-%05zu-of-%05zu.safetensors", shard + 1, num_shards);
  return name;
}

/// A shard on its way to the disk.
class ShardFile {
 public:
  ShardFile(const fs::path& path, bool hashes) : file_(path) {
    if (hashes) hash_.emplace();
  }
  void write(std::string_view bytes) {
    if (hash_) hash_->update(bytes);
    file_.write(bytes);
  }
  void commit() { file_.commit(); }
  std::string hash() { return hash_->finish(); }

 private:
  AtomicFile file_;
  std::optional<Sha256> hash_;
};

void refuse_repeated_names(const std::vector<TensorSpec>& specs, const fs::path& folder) {
  std::set<std::string> seen;
  for (const TensorSpec& spec : specs) {
    if (seen.insert(spec.name).second) continue;
    throw FormatError(folder, concat("tensor ", in_quotes(spec.name), " would be written twice"));
  }
}

}  // namespace

uint64_t TensorSpec::num_bytes() const {
  uint64_t total = dtype_bytes(dtype);
  for (int64_t size : shape) {
    if (size < 0 || __builtin_mul_overflow(total, static_cast<uint64_t>(size), &total)) {
      throw FormatError(name, "a tensor of this shape cannot exist").found(shape_text(shape));
    }
  }
  return total;
}

struct TensorWriter::State {
  fs::path folder;
  std::vector<TensorSpec> specs;
  std::vector<Shard> shards;
  std::vector<std::unique_ptr<ShardFile>> files;  // opened so far; the last one is being written
  size_t current = 0;                             // index into specs
  uint64_t current_bytes = 0;                     // of the current tensor, written so far
  bool finished = false;
  bool keeps_hashes = false;
  std::map<std::string, std::string> hashes;

  bool done() const { return current == specs.size(); }
  bool complete() const { return current_bytes == specs[current].num_bytes(); }

  std::string file_name(size_t shard) const { return shard_name(shard, shards.size()); }

  void open_next_file() {
    const size_t shard = files.size();
    const fs::path path = folder / file_name(shard);
    const auto begin = specs.begin();
    const std::vector<TensorSpec> own(begin + static_cast<std::ptrdiff_t>(shards[shard].first),
                                      begin + static_cast<std::ptrdiff_t>(shards[shard].end));
    const std::string header = encode_header(own, kTorchMetadata, path);
    files.push_back(std::make_unique<ShardFile>(path, keeps_hashes));
    files.back()->write(header);
  }

  /// Steps over tensors that have all their bytes, up to the named one.
  void advance_to(const std::string& name) {
    while (!done() && specs[current].name != name && complete()) step();
  }

  void step() {
    open_up_to_current();
    ++current;
    current_bytes = 0;
  }

  void open_up_to_current() {
    while (files.empty() || shards[files.size() - 1].end <= current) open_next_file();
  }

  void write_index() {
    Json weight_map = Json::object();
    uint64_t total_size = 0;
    for (size_t shard = 0; shard < shards.size(); ++shard) {
      for (size_t i = shards[shard].first; i < shards[shard].end; ++i) {
        weight_map[specs[i].name] = file_name(shard);
        total_size += specs[i].num_bytes();
      }
    }
    const fs::path file = folder / kIndexFile;
    write_json(file, Json{{"metadata", {{"total_size", total_size}}}, {"weight_map", weight_map}});
    if (keeps_hashes) hashes[file.filename().string()] = sha256_file(file);
  }
};

TensorWriter::TensorWriter(fs::path folder, std::vector<TensorSpec> specs, uint64_t max_shard_bytes)
    : state_(std::make_unique<State>()) {
  refuse_repeated_names(specs, folder);
  state_->shards = plan_shards(specs, max_shard_bytes);
  state_->folder = std::move(folder);
  state_->specs = std::move(specs);
}

TensorWriter::~TensorWriter() = default;

void TensorWriter::keep_hashes() {
  if (!state_->files.empty()) throw std::logic_error("hashes begin with the first tensor");
  state_->keeps_hashes = true;
}

const std::map<std::string, std::string>& TensorWriter::hashes() const { return state_->hashes; }

void TensorWriter::append(const std::string& name, std::string_view bytes) {
  State& state = *state_;
  state.advance_to(name);
  if (state.done() || state.specs[state.current].name != name) {
    throw FormatError(state.folder, concat("tensor ", in_quotes(name), " comes out of turn"))
        .expected(state.done() ? "no further tensor" : in_quotes(state.specs[state.current].name));
  }
  const uint64_t num_bytes = state.specs[state.current].num_bytes();
  if (bytes.size() > num_bytes - state.current_bytes) {
    throw FormatError(state.folder, concat("too many bytes for tensor ", in_quotes(name)))
        .expected(concat(num_bytes, " bytes for ", shape_text(state.specs[state.current].shape)))
        .found(concat(state.current_bytes + bytes.size(), " bytes"));
  }
  state.open_up_to_current();
  state.files.back()->write(bytes);
  state.current_bytes += bytes.size();
}

void TensorWriter::finish() {
  State& state = *state_;
  if (state.finished) return;
  while (!state.done() && state.complete()) state.step();
  if (!state.done()) {
    const TensorSpec& spec = state.specs[state.current];
    throw FormatError(state.folder, concat("tensor ", in_quotes(spec.name), " is incomplete"))
        .expected(concat(spec.num_bytes(), " bytes"))
        .found(concat(state.current_bytes, " bytes"));
  }
  if (state.files.empty()) state.open_next_file();  // a model without tensors is still a file
  for (size_t shard = 0; shard < state.files.size(); ++shard) {
    state.files[shard]->commit();
    if (state.keeps_hashes) state.hashes[state.file_name(shard)] = state.files[shard]->hash();
  }
  if (state.shards.size() > 1) state.write_index();  // last: without it the shards are no model
  state.finished = true;
}

}  // namespace polygraft::model
