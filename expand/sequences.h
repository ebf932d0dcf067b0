// expand/sequences.h: training text as token sequences for forward passes: sampled, encoded, laid
// into batches.
#pragma once
#include <string>
#include <vector>

#include "core/random.h"
#include "model/architecture/transformer.h"
#include "tokenizer/corpus.h"
#include "tokenizer/tokenizer.h"

namespace polygraft::expand {

/// The first documents of `files`, in order, until they hold `num_bytes` of text.
std::vector<tokenizer::Document> leading_documents(const std::vector<std::string>& files,
                                                   int64_t num_bytes);

/// More than any real text has: what to sample of it for a number of tokens. Too much does no harm.
inline constexpr int64_t kMaxBytesPerToken = 8;

/// About `num_bytes` of text out of `files` (at least one document), in an order drawn from
/// `stream`. Reads no more than the first few times that many bytes, evenly from the files, so that
/// a corpus of any size is sampled in bounded time.
std::vector<tokenizer::Document> sample_documents(const std::vector<std::string>& files,
                                                  int64_t num_bytes, RandomStream stream);

using Sequence = std::vector<tokenizer::TokenId>;

struct SequenceOptions {
  int64_t max_tokens = 0;         ///< all sequences together, prefixes included
  int64_t sequence_tokens = 512;  ///< a longer document goes on in a new sequence; at least 2
};

/// Documents in order; ends once max_tokens is reached. A sequence begins as a scoring window does
/// (eval/windows.h): with the tokenizer's prefix id where its document begins, and with the token
/// before it where it goes on.
std::vector<Sequence> encode_sequences(const std::vector<tokenizer::Document>& documents,
                                       const tokenizer::Tokenizer& tokenizer,
                                       const SequenceOptions& options);

/// Sequences of one token each: the distinct tokens of `sequences`, the first `most_tokens` of
/// them. Whatever stands first sees itself alone, so that this is all a model ever makes of such a
/// token in that place, where large models build their attention sink (massive activations, arXiv
/// 2402.17762) and a token routed otherwise costs the whole window.
std::vector<Sequence> lone_tokens(const std::vector<Sequence>& sequences, int64_t most_tokens);

int64_t count_tokens(const std::vector<Sequence>& sequences);

/// Whole sequences, in order, about `batch_tokens` tokens a batch.
std::vector<model::Batch> make_batches(const std::vector<Sequence>& sequences,
                                       int64_t batch_tokens = 4096);

/// Sequence length for a model: 512, or its context where that is shorter.
int64_t sequence_tokens_for(const model::ModelConfig& config);

}  // namespace polygraft::expand
