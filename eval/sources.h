// eval/sources.h: where the two sides of a comparison come from, as far as their results say.
#pragma once
#include <cstdint>
#include <string>

#include "core/json_fwd.h"

namespace polygraft::eval {

struct Comparison;
struct ResultFolder;
struct Table;

/// Texts are "" and numbers 0 where the results do not state them.
struct ResultSource {
  std::string model;           ///< its path or name
  std::string model_hash;      ///< SHA-256 of its tensors
  std::string tokenizer_hash;  ///< SHA-256
  std::string texts_hash;      ///< SHA-256 over the tasks' hashes, which cover what was scored
  std::string packs;           ///< put onto the model: folder names and hashes of their additions
  std::string mask;            ///< additions left out
  std::string program;         ///< "polygraft 0.1.0"
  std::string kernels;         ///< those of the processor, whose sums round in their own way
  std::string files;           ///< the names of the results files that were read
  int64_t date = 0;            ///< of the evaluation, seconds since 1970

  Json to_json() const;  ///< less date, paths and files: the same comparison, the same bytes
};

ResultSource source_of(const ResultFolder& folder);

/// What tells that two results are of different models: the hashes of their tensors or their
/// revisions, or else their names; or the additions left out. "" when nothing does.
/// @param one, other as ResultFolder::results
std::string model_difference(const OrderedJson& one, const OrderedJson& other);

/// A row for each thing that a side states; none where neither does.
Table sources_table(const Comparison& comparison);

}  // namespace polygraft::eval
