// tokenizer/text_size.cpp: see text_size.h.
#include "tokenizer/text_size.h"

#include <cmath>

#include "core/stop.h"
#include "tokenizer/corpus.h"

namespace polygraft::tokenizer {
namespace {

constexpr int64_t kSampledBytes = int64_t{2} << 20;
constexpr int64_t kSampleEvery = 8;  ///< documents

}  // namespace

TextSize measure_texts(const std::vector<std::string>& files, const Tokenizer& tokenizer) {
  TextSize size;
  int64_t sampled_bytes = 0, sampled_tokens = 0;
  for (const std::string& file : files) {
    for_each_document(file, [&](Document&& document) {
      throw_if_stopped();
      const auto num_bytes = static_cast<int64_t>(document.text.size());
      size.num_bytes += num_bytes;
      if (size.num_documents++ % kSampleEvery != 0 || sampled_bytes > kSampledBytes) return;
      sampled_bytes += num_bytes;
      sampled_tokens += static_cast<int64_t>(tokenizer.encode(document.text).size());
    });
  }
  if (sampled_bytes == 0) return size;
  size.num_tokens =
      std::llround(static_cast<double>(size.num_bytes) * static_cast<double>(sampled_tokens) /
                   static_cast<double>(sampled_bytes));
  return size;
}

}  // namespace polygraft::tokenizer
