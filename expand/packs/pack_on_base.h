// expand/packs/pack_on_base.h: one pack put onto its base in memory to be trained, and written as a
// pack again: neither the base nor the sum is.
#pragma once
#include <filesystem>

#include "expand/packs/pack.h"
#include "model/architecture/weights.h"
#include "model/checkpoint/model_folder.h"
#include "tokenizer/tokenizer.h"

namespace polygraft::expand {

struct PackOnBase {
  model::Manifest manifest;        ///< that attach_packs() would write
  model::ModelConfig config;       ///< likewise
  model::Weights weights;          ///< float32: the base where it lies, additions in memory
  tokenizer::Tokenizer tokenizer;  ///< the base's with the pack's tokens
};

/// Reads the base's tensors once, for their hash. @throws NotComparable when the pack belongs to
/// another base, ConfigError when `base` has packs already, whatever open_pack() throws.
PackOnBase put_pack_on(const model::ModelFolder& base, const std::filesystem::path& pack);

/// The base's tokenizer with the pack's tokens. @throws as put_pack_on(), but for weights.
tokenizer::Tokenizer tokenizer_with(const std::filesystem::path& base, const Pack& pack);

/// Writes `pack` with other values of its rows into `out` (an AtomicFolder's path), each tensor
/// rounded to the dtype that it had. @param provenance what its pack.json says of how it was made.
void write_trained_pack(const std::filesystem::path& pack, const Additions& additions,
                        const OrderedJson& provenance, const std::filesystem::path& out);

}  // namespace polygraft::expand
