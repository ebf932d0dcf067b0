// expand/sequences.cpp: sampling, encoding and batching of calibration and profile text.
#include "expand/sequences.h"

#include <algorithm>
#include <set>

namespace polygraft::expand {

std::vector<tokenizer::Document> leading_documents(const std::vector<std::string>& files,
                                                   int64_t num_bytes) {
  std::vector<tokenizer::Document> documents;
  for (const std::string& file : files) {
    if (num_bytes <= 0) break;
    for (tokenizer::Document& document : tokenizer::read_leading_documents(file, num_bytes)) {
      num_bytes -= static_cast<int64_t>(document.text.size());
      documents.push_back(std::move(document));
    }
  }
  return documents;
}

std::vector<tokenizer::Document> sample_documents(const std::vector<std::string>& files,
                                                  int64_t num_bytes, RandomStream stream) {
  // Text is ordered (by topic, by site), so the sample is drawn from much more than it needs.
  constexpr int64_t kReadFactor = 16, kMinReadBytes = 8 << 20;
  const int64_t num_files = std::max<int64_t>(1, static_cast<int64_t>(files.size()));
  const int64_t bytes_per_file = std::max(kReadFactor * num_bytes, kMinReadBytes) / num_files + 1;
  std::vector<tokenizer::Document> read;
  for (const std::string& file : files) {
    for (tokenizer::Document& document : tokenizer::read_leading_documents(file, bytes_per_file))
      read.push_back(std::move(document));
  }
  std::vector<tokenizer::Document> sample;
  int64_t bytes_taken = 0;
  for (const int64_t index : stream.permutation(static_cast<int64_t>(read.size()))) {
    if (bytes_taken >= num_bytes && !sample.empty()) break;
    tokenizer::Document& document = read[static_cast<size_t>(index)];
    bytes_taken += static_cast<int64_t>(document.text.size());
    sample.push_back(std::move(document));
  }
  return sample;
}

std::vector<Sequence> encode_sequences(const std::vector<tokenizer::Document>& documents,
                                       const tokenizer::Tokenizer& tokenizer,
                                       const SequenceOptions& options) {
  const int64_t text_tokens = std::max<int64_t>(1, options.sequence_tokens - 1);
  std::vector<Sequence> sequences;
  int64_t tokens_left = options.max_tokens;
  for (const tokenizer::Document& document : documents) {
    if (tokens_left <= 1) break;
    const Sequence ids = tokenizer.encode(document.text);
    for (size_t begin = 0; begin < ids.size() && tokens_left > 1; begin += text_tokens) {
      const int64_t length =
          std::min({static_cast<int64_t>(ids.size() - begin), text_tokens, tokens_left - 1});
      Sequence sequence{begin == 0 ? tokenizer.prefix_id() : ids[begin - 1]};
      const auto first = ids.begin() + static_cast<std::ptrdiff_t>(begin);
      sequence.insert(sequence.end(), first, first + length);
      tokens_left -= length + 1;
      sequences.push_back(std::move(sequence));
    }
  }
  return sequences;
}

std::vector<Sequence> lone_tokens(const std::vector<Sequence>& sequences, int64_t most_tokens) {
  std::vector<Sequence> alone;
  std::set<tokenizer::TokenId> seen;
  for (const Sequence& sequence : sequences) {
    for (const tokenizer::TokenId id : sequence) {
      if (static_cast<int64_t>(alone.size()) >= most_tokens) return alone;
      if (seen.insert(id).second) alone.push_back({id});
    }
  }
  return alone;
}

int64_t count_tokens(const std::vector<Sequence>& sequences) {
  int64_t num_tokens = 0;
  for (const Sequence& sequence : sequences) num_tokens += static_cast<int64_t>(sequence.size());
  return num_tokens;
}

namespace {

model::Batch make_batch(const std::vector<int64_t>& ids, std::vector<int64_t> lengths) {
  return {at::tensor(ids, at::kLong), std::move(lengths)};
}

}  // namespace

std::vector<model::Batch> make_batches(const std::vector<Sequence>& sequences,
                                       int64_t batch_tokens) {
  std::vector<model::Batch> batches;
  std::vector<int64_t> ids, lengths;
  for (const Sequence& sequence : sequences) {
    if (!ids.empty() && static_cast<int64_t>(ids.size() + sequence.size()) > batch_tokens) {
      batches.push_back(make_batch(ids, std::move(lengths)));
      ids.clear();
      lengths.clear();
    }
    ids.insert(ids.end(), sequence.begin(), sequence.end());
    lengths.push_back(static_cast<int64_t>(sequence.size()));
  }
  if (!ids.empty()) batches.push_back(make_batch(ids, std::move(lengths)));
  return batches;
}

int64_t sequence_tokens_for(const model::ModelConfig& config) {
  constexpr int64_t kSequenceTokens = 512;
  return config.max_positions > 0 ? std::min(kSequenceTokens, config.max_positions)
                                  : kSequenceTokens;
}

}  // namespace polygraft::expand
