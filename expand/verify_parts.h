// expand/verify_parts.h: the checks that verify_expansion() is made of.
#pragma once
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "expand/verify.h"
#include "model/architecture/transformer.h"
#include "tokenizer/tokenizer.h"

namespace polygraft::expand {

/// Notes a difference in the report: every one makes it not ok, the first 100 are listed.
void add_difference(VerifyReport& report, Difference difference);
/// The same for what is no tensor row: a missing tensor, a file.
void add_difference(VerifyReport& report, const std::string& tensor, const std::string& reason);

/// Old tensors and old rows byte by byte; what is not old must be an addition. Fills
/// tensors_checked and bytes_compared. @return hash_tensors() of the base, read once for both.
std::string verify_bytes(const model::ModelFolder& base, const model::ModelFolder& expanded,
                         VerifyReport& report);

/// config.json equal but for what an expansion changes; polygraft.json names this base.
void verify_description(const model::ModelFolder& base, const std::string& base_hash,
                        const model::ModelFolder& expanded, VerifyReport& report);

/// tokenizer.json: old tokens keep their ids, old merges their ranks, the rest is equal.
void verify_tokenizer(const model::ModelFolder& base, const model::ModelFolder& expanded,
                      VerifyReport& report);

/// Held-out text that step0 and the probes use, by old language.
using HeldoutTexts = std::map<std::string, std::vector<tokenizer::Document>>;
HeldoutTexts read_heldout(const tokenizer::Corpus& corpus, int64_t bytes_per_language);

/// Sequences to compare logits on: random ids of the base's vocabulary, the same every time, and
/// `texts` as its tokenizer cuts them.
std::vector<model::Batch> make_probes(const model::ModelFolder& base, const HeldoutTexts& texts);

/// SHA-256 of each probe's float32 logits with additions masked: equal exactly when the bits are.
/// The logits of a large vocabulary are not kept.
std::vector<std::string> masked_logit_hashes(const model::Transformer& transformer,
                                             const std::vector<model::Batch>& probes);

}  // namespace polygraft::expand
