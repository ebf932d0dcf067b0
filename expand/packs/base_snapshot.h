// expand/packs/base_snapshot.h: the folder polygraft.base of an expanded model: all of its base
// that the expansion would lose, so that taking the additions away gives the base back byte for
// byte.
//   snapshot.json             what is here, with hashes, and what is not
//   files/NAME                every side file of the base as it was: config.json, tokenizer, ...
//   headers/NAME              the header of each of its safetensors files; the data is in the model
//   dropped.safetensors       stored tensors that the model does not use
//   displaced_rows.safetensors   see model/checkpoint/displaced_rows.h
#pragma once
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "model/checkpoint/displaced_rows.h"
#include "model/checkpoint/model_folder.h"
#include "model/checkpoint/safetensors_header.h"

namespace polygraft::expand {

using model::kBaseFolder;

/// Makes MODEL/polygraft.base from a base folder. Weights in other formats and subfolders are left
/// out, and noted.
void write_base_snapshot(const model::ModelFolder& base, const std::filesystem::path& model);

/// Copies a subfolder of one model to another; nothing when `from` has none.
void copy_part(const std::filesystem::path& from, const std::string& subfolder,
               const std::filesystem::path& to);

struct BaseSnapshot {
  struct Shard {
    std::string name;
    std::string header_bytes;
    model::Header header;
  };
  std::filesystem::path files;                     ///< folder of the side files
  std::map<std::string, std::string> file_hashes;  ///< SHA-256 of each, by name
  std::vector<Shard> shards;                       ///< by name
  std::map<std::string, model::TensorView> dropped;
  std::vector<std::string> left_out;  ///< names of the base that are not here

  /// @throws FormatError when the model has no snapshot, or a broken one.
  static BaseSnapshot open(const std::filesystem::path& model);
};

}  // namespace polygraft::expand
