// trainer/data/replay_mix.h: old text to replay, out of several streams by shares that may change
// while a run goes on. Where a language is near the new one, nearly all harm is done to it, and
// what protects it is its own text: shares follow what the last probe says that each language lost
// (`replay.mix: harm`), as group DRO weighs groups by their losses (Sagawa et al. 2020, arXiv
// 1911.08731):
//   share_l -> 1/2 U_l / sum U + 1/2 1/n,   U_l the upper bound of l's rise, at least 0
// over n languages; equal while no U is positive.
#pragma once
#include <map>
#include <string>
#include <vector>

#include "trainer/data/row_stream.h"

namespace polygraft::trainer {

/// By language. @param rises upper bounds; those of other languages do not count.
std::map<std::string, double> shares_by_harm(const std::vector<std::string>& languages,
                                             const std::map<std::string, double>& rises);

class ReplayMix {
 public:
  /// @param streams by name, at least one; shares are equal at first.
  explicit ReplayMix(std::map<std::string, RowStream> streams);

  std::vector<std::string> names() const;
  /// Goes half of the way to other shares, so that a language that was spared for once is not left
  /// alone at once. @param shares of every stream; they sum to one. @return those from now on.
  std::map<std::string, double> follow(const std::map<std::string, double>& shares);

  /// As RowStream::take(). Each row comes from the stream whose share of the tokens so far is
  /// furthest behind.
  std::vector<Row> take(int64_t granted_tokens, bool at_least_one);

  /// All that a checkpoint needs to continue.
  Json to_json() const;
  void restore(const Json& json, const fs::path& file);

 private:
  struct Source {
    RowStream stream;
    double share = 1;
    double credit = 0;  ///< tokens that its share has earned and that were not handed out
  };
  Source& next_source();

  std::map<std::string, Source> sources_;
  int64_t owed_tokens_ = 0;  ///< as StreamPosition's, of all streams together
};

}  // namespace polygraft::trainer
