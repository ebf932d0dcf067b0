// expand/vocabulary_rows.cpp: merge trees of new tokens, and means over their leaves.
#include "expand/vocabulary_rows.h"

#include "core/error.h"
#include "core/text.h"
#include "expand/merge_list.h"

namespace polygraft::expand {

namespace {

using tokenizer::TokenId;

void append_parts(const TokenParts& parts, TokenId id, int64_t num_old,
                  std::vector<TokenId>& leaves) {
  if (id < num_old) {
    leaves.push_back(id);
    return;
  }
  const auto& known = parts[static_cast<size_t>(id - num_old)];
  leaves.insert(leaves.end(), known.begin(), known.end());
}

void check_complete(const TokenParts& parts, const tokenizer::Tokenizer& extended, int64_t num_old,
                    const std::filesystem::path& file) {
  for (size_t i = 0; i < parts.size(); ++i) {
    if (!parts[i].empty()) continue;
    const auto id = static_cast<TokenId>(num_old + static_cast<int64_t>(i));
    throw FormatError(file, concat("new token ", id, " ('", extended.token(id),
                                   "') is made by no merge of old tokens"))
        .hint(
            "extend the tokenizer with `polygraft tokenizer extend`; tokens put in by hand have "
            "no merge");
  }
}

}  // namespace

TokenParts read_token_parts(const Json& tokenizer_json, const tokenizer::Tokenizer& extended,
                            int64_t num_old, const std::filesystem::path& file) {
  TokenParts parts(static_cast<size_t>(extended.size() - num_old));
  for (const auto& [left, right] : read_merges(tokenizer_json, file)) {
    const auto made = extended.find(left + right);
    if (!made || *made < num_old) continue;
    auto& leaves = parts[static_cast<size_t>(*made - num_old)];
    if (!leaves.empty()) continue;  // an earlier merge makes it already
    const auto left_id = extended.find(left), right_id = extended.find(right);
    if (!left_id || !right_id) {
      throw FormatError(file, concat("merge '", left, " ", right, "' names an unknown token"));
    }
    append_parts(parts, *left_id, num_old, leaves);
    append_parts(parts, *right_id, num_old, leaves);
  }
  check_complete(parts, extended, num_old, file);
  return parts;
}

namespace {

/// The rows of a new token's parts, float64 [parts, D].
at::Tensor part_rows(const at::Tensor& rows_VD, const std::vector<TokenId>& leaves) {
  const std::vector<int64_t> ids(leaves.begin(), leaves.end());
  return rows_VD.index_select(0, at::tensor(ids, at::kLong)).to(at::kDouble);
}

}  // namespace

at::Tensor mean_rows(const at::Tensor& rows_VD, const TokenParts& parts) {
  const at::NoGradGuard no_grad;
  std::vector<at::Tensor> means;
  for (const auto& leaves : parts) {
    means.push_back(part_rows(rows_VD, leaves).mean(0).to(at::kFloat));
  }
  return at::stack(means);
}

at::Tensor norm_mean_rows(const at::Tensor& rows_VD, const TokenParts& parts) {
  const at::NoGradGuard no_grad;
  std::vector<at::Tensor> means;
  for (const auto& leaves : parts) {
    const at::Tensor part_PD = part_rows(rows_VD, leaves);
    const at::Tensor mean_D = part_PD.mean(0);
    const double norm = mean_D.norm().item<double>();
    const double wanted = part_PD.norm(2, 1).mean().item<double>();
    means.push_back((norm > 0 ? mean_D * (wanted / norm) : mean_D).to(at::kFloat));
  }
  return at::stack(means);
}

}  // namespace polygraft::expand
