// trainer/data/replay_mix.h: old text to replay, out of several streams by shares that may change
// while a run goes on. Where a language is near the new one, nearly all harm is done to it, and
// what protects it is its own text: shares follow what the last probe says that each language lost
// (`replay.mix: harm`), as group DRO weighs groups by their losses (Sagawa et al. 2020, arXiv
// 1911.08731):
//   share_l = 3/4 U_l / sum U + 1/4 1/n
// over n languages, U_l the upper bound of l's rise, at least 0; equal shares at first and while no
// U is positive.
#pragma once
#include <map>
#include <string>
#include <vector>

#include "trainer/data/row_stream.h"

namespace polygraft::trainer {

class ReplayMix {
 public:
  /// @param streams by language, at least one.
  explicit ReplayMix(std::map<std::string, RowStream> streams);

  /// @param rises upper bounds by language; those of others than the streams' do not count.
  /// @return the shares from now on.
  std::map<std::string, double> follow(const std::map<std::string, double>& rises);

  /// As RowStream::take(), but none where the grants so far are less than a row. Each row comes
  /// from the stream whose share of the tokens so far is furthest behind.
  std::vector<Row> take(int64_t granted_tokens);

  /// All that a checkpoint needs to continue.
  Json to_json() const;
  void restore(const Json& json, const fs::path& file);

 private:
  struct Source {
    RowStream stream;
    double share;
    double credit = 0;  ///< tokens that its share has earned and that were not handed out
  };
  Source& next_source();

  std::map<std::string, Source> sources_;
  int64_t owed_tokens_ = 0;  ///< as StreamPosition's, of all streams together
};

}  // namespace polygraft::trainer
