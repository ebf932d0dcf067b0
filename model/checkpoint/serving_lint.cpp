// model/checkpoint/serving_lint.cpp: see serving_lint.h. The facts are those of vLLM's and
// llama.cpp's CUDA kernels as of late 2026: fused top-k routing is compiled for powers of two up to
// 512, and vocabulary shards are padded to 64 rows.
#include "model/checkpoint/serving_lint.h"

#include <bit>

#include "core/text.h"

namespace polygraft::model {
namespace {

constexpr int64_t kMostFusedExperts = 512;
constexpr int64_t kVocabularyPadding = 64;

void check_expert_count(int64_t num_experts, std::vector<std::string>& warnings) {
  std::vector<std::string> uneven;
  for (const int64_t devices : {2, 4, 8}) {
    if (num_experts % devices != 0) uneven.push_back(concat(devices));
  }
  if (!uneven.empty()) {
    warnings.push_back(concat("num_experts is ", num_experts, ": not divisible by ",
                              join(uneven, ", "),
                              ", which expert-parallel serving over so many devices asks for"));
  }
  if (num_experts > kMostFusedExperts) {
    warnings.push_back(concat("num_experts is ", num_experts, ": more than ", kMostFusedExperts,
                              ", the most that fused routing kernels and llama.cpp take"));
  } else if (!std::has_single_bit(static_cast<uint64_t>(num_experts))) {
    warnings.push_back(concat("num_experts is ", num_experts,
                              ": no power of two, so that fused top-k routing kernels of serving "
                              "engines give way to slower ones"));
  }
}

void check_vocabulary(const ServingShape& shape, std::vector<std::string>& warnings) {
  if (shape.tokenizer_size > shape.vocab_rows) {
    warnings.push_back(concat("the tokenizer has ", shape.tokenizer_size,
                              " entries, the embedding only ", shape.vocab_rows,
                              " rows: some ids have no row"));
  }
  if (shape.vocab_rows % kVocabularyPadding != 0) {
    warnings.push_back(concat("the vocabulary has ", shape.vocab_rows, " rows: no multiple of ",
                              kVocabularyPadding,
                              ", so that tensor-parallel serving pads it and matrix products are "
                              "slower"));
  }
}

}  // namespace

std::vector<std::string> serving_warnings(const ServingShape& shape) {
  std::vector<std::string> warnings;
  if (shape.num_experts > 0) check_expert_count(shape.num_experts, warnings);
  check_vocabulary(shape, warnings);
  if (!shape.has_generation_config) {
    warnings.emplace_back(
        "generation_config.json is missing: engines sample with their own defaults then, and know "
        "no end-of-text id but config.json's");
  }
  return warnings;
}

}  // namespace polygraft::model
