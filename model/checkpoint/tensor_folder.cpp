// model/checkpoint/tensor_folder.cpp: from one file or from the shards of an index. Reference:
// transformers' utils/hub.py, get_checkpoint_shard_files.
#include "model/checkpoint/tensor_folder.h"

#include <algorithm>
#include <set>

#include "core/error.h"
#include "core/json.h"
#include "core/parallel.h"
#include "core/text.h"
#include "model/checkpoint/side_files.h"

namespace polygraft::model {
namespace {

constexpr const char* kSingleFile = "model.safetensors";

/// Tensor name -> file name, as the index has it.
using WeightMap = std::map<std::string, std::string>;

WeightMap read_index(const fs::path& index) {
  const Json json = read_json(index);
  const auto found = json.is_object() ? json.find("weight_map") : json.end();
  if (found == json.end() || !found->is_object() || found->empty()) {
    throw FormatError(index, "the index has no weight_map")
        .expected("\"weight_map\": an object from tensor name to file name");
  }
  WeightMap weight_map;
  for (const auto& [name, file] : found->items()) {
    if (!file.is_string()) {
      throw FormatError(index, concat("tensor ", in_quotes(name), " is mapped to no file name"))
          .found(json_excerpt(file));
    }
    weight_map.emplace(name, file.get<std::string>());
  }
  return weight_map;
}

/// Whether `file` (canonical) lies in the canonical folder, or in the blobs of the Hugging Face
/// cache entry that the folder is a snapshot of: there every file is a link
/// .../snapshots/REVISION/NAME -> .../blobs/HASH.
bool lies_inside(const fs::path& file, const fs::path& folder) {
  if (file.parent_path() == folder) return true;
  const bool snapshot = folder.parent_path().filename() == "snapshots";
  return snapshot && file.parent_path() == folder.parent_path().parent_path() / "blobs";
}

/// The path of a shard, once it is sure that opening it reads this model and nothing else on the
/// machine.
fs::path checked_file(const fs::path& folder, const std::string& name, const fs::path& named_by) {
  if (!is_plain_file_name(name)) {
    throw FormatError(named_by, "the index names a file outside the model folder")
        .expected("a plain file name such as model-00001-of-00002.safetensors")
        .found(in_quotes(name));
  }
  const fs::path file = folder / name;
  std::error_code error;
  const fs::path real_file = fs::canonical(file, error);
  if (error) {
    throw FormatError(named_by,
                      concat("the file ", in_quotes(name), " is missing or cannot be reached"))
        .found(error.message())
        .hint("the download may be incomplete; fetch the model again");
  }
  if (!lies_inside(real_file, fs::canonical(folder))) {
    throw FormatError(file, "the file is a link that leads outside the model folder")
        .found(in_quotes(real_file.string()))
        .hint("copy or hard-link the file into the folder, or open the folder that holds it");
  }
  return file;
}

[[noreturn]] void fail_without_tensors(const fs::path& folder) {
  auto error = FormatError(folder, "the folder holds no safetensors weights")
                   .expected(concat(kSingleFile, " or ", kIndexFile));
  if (fs::exists(folder / "pytorch_model.bin") ||
      fs::exists(folder / "pytorch_model.bin.index.json")) {
    throw std::move(error).hint(
        "pickled weights are not read; save the model again with safetensors");
  }
  throw error;
}

/// The index of `folder`; empty for one that has a single file of weights.
WeightMap find_weights(const fs::path& folder, std::set<std::string>& files) {
  if (!fs::exists(folder / kIndexFile)) {
    if (!fs::exists(fs::symlink_status(folder / kSingleFile))) fail_without_tensors(folder);
    files.insert(kSingleFile);
    return {};
  }
  WeightMap weight_map = read_index(checked_file(folder, kIndexFile, folder));
  for (const auto& [name, file] : weight_map) files.insert(file);
  if (fs::exists(folder / kSingleFile) && files.count(kSingleFile) == 0) {
    throw FormatError(folder,
                      concat("the folder holds both ", kSingleFile, " and an index of other files"))
        .hint("remove the one that is out of date");
  }
  return weight_map;
}

}  // namespace

TensorFolder TensorFolder::open(const fs::path& folder) {
  if (!fs::is_directory(folder)) throw IoError(folder, "no such folder");
  std::set<std::string> files;
  const WeightMap weight_map = find_weights(folder, files);

  TensorFolder result;
  result.folder_ = folder;
  result.num_files_ = static_cast<int64_t>(files.size());
  const bool indexed = !weight_map.empty();
  const fs::path named_by = indexed ? folder / kIndexFile : folder;
  // A model of many experts has a megabyte of header in each file.
  const std::vector<std::string> names(files.begin(), files.end());
  std::vector<std::vector<TensorView>> views(names.size());
  parallel_for(names.size(), /*num_threads=*/0, [&](size_t i) {
    views[i] = read_tensor_views(checked_file(folder, names[i], named_by));
  });
  for (auto& of_file : views) {
    for (TensorView& view : of_file) result.add(std::move(view));
  }
  if (indexed) result.check_against(weight_map);
  return result;
}

void TensorFolder::check_against(const std::map<std::string, std::string>& weight_map) const {
  for (const std::string& name : names_) {
    if (weight_map.count(name) != 0) continue;
    throw FormatError(folder_ / kIndexFile,
                      concat("the shards hold tensor ", in_quotes(name), ", which the index lacks"))
        .hint("the shards and the index come from different saves; fetch the model again");
  }
  for (const auto& [name, file] : weight_map) {
    const auto found = tensors_.find(name);
    if (found != tensors_.end() && found->second.file.filename() == file) continue;
    throw FormatError(folder_ / file, concat("tensor ", in_quotes(name), " is not in this file"))
        .expected(concat("the tensor, since ", kIndexFile, " says so"))
        .hint("the shards and the index come from different saves; fetch the model again");
  }
}

void TensorFolder::add(TensorView view) {
  const std::string name = view.name;
  const fs::path file = view.file;
  const auto [place, inserted] = tensors_.emplace(name, std::move(view));
  if (!inserted) {
    throw FormatError(file, concat("tensor ", in_quotes(name), " occurs twice"))
        .found(concat("also in ", place->second.file.filename().string()));
  }
  names_.push_back(name);
}

void TensorFolder::drop(const std::string& name) {
  tensors_.erase(name);
  names_.erase(std::remove(names_.begin(), names_.end(), name), names_.end());
}

const TensorView& TensorFolder::get(const std::string& name) const {
  const auto found = tensors_.find(name);
  if (found != tensors_.end()) return found->second;
  auto error = FormatError(folder_, concat("tensor ", in_quotes(name), " is missing"));
  const std::string nearest = nearest_name(name, names_);
  if (nearest.empty()) throw error;
  throw std::move(error).hint(concat("the nearest name in the folder is ", in_quotes(nearest)));
}

uint64_t TensorFolder::total_bytes() const {
  uint64_t total = 0;
  for (const auto& [name, view] : tensors_) total += view.bytes.size();
  return total;
}

}  // namespace polygraft::model
