// trainer/data/replay_mix.cpp: see replay_mix.h.
#include "trainer/data/replay_mix.h"

#include <algorithm>

namespace polygraft::trainer {
namespace {
constexpr double kEqualPart = 0.5;  ///< of the shares: no language goes unseen
}

std::map<std::string, double> shares_by_harm(const std::vector<std::string>& languages,
                                             const std::map<std::string, double>& rises) {
  const auto harm = [&](const std::string& language) {
    const auto found = rises.find(language);
    return found == rises.end() ? 0.0 : std::max(found->second, 0.0);
  };
  double sum = 0;
  for (const std::string& language : languages) sum += harm(language);
  const double equal = 1.0 / static_cast<double>(languages.size());
  std::map<std::string, double> shares;
  for (const std::string& language : languages) {
    shares[language] =
        sum > 0 ? (1 - kEqualPart) * harm(language) / sum + kEqualPart * equal : equal;
  }
  return shares;
}

ReplayMix::ReplayMix(std::map<std::string, RowStream> streams) {
  const double equal = 1.0 / static_cast<double>(streams.size());
  for (auto& [name, stream] : streams) {
    sources_.emplace(name, Source{std::move(stream), equal});
  }
}

std::vector<std::string> ReplayMix::names() const {
  std::vector<std::string> names;
  for (const auto& [name, source] : sources_) names.push_back(name);
  return names;
}

std::map<std::string, double> ReplayMix::follow(const std::map<std::string, double>& shares) {
  std::map<std::string, double> now;
  for (auto& [name, source] : sources_) {
    source.share = (source.share + shares.at(name)) / 2;
    now[name] = source.share;
  }
  return now;
}

ReplayMix::Source& ReplayMix::next_source() {
  const auto behind = std::max_element(
      sources_.begin(), sources_.end(),
      [](const auto& a, const auto& b) { return a.second.credit < b.second.credit; });
  return behind->second;
}

std::vector<Row> ReplayMix::take(int64_t granted_tokens, bool at_least_one) {
  owed_tokens_ += granted_tokens;
  for (auto& [name, source] : sources_) {
    source.credit += source.share * static_cast<double>(granted_tokens);
  }
  std::vector<Row> taken;
  while (true) {
    Source& source = next_source();
    const auto length = static_cast<int64_t>(source.stream.next().size());
    if (length > owed_tokens_ && !(at_least_one && taken.empty())) break;
    taken.push_back(source.stream.pop());
    owed_tokens_ -= length;
    source.credit -= static_cast<double>(length);
  }
  sort_longest_first(taken);
  return taken;
}

Json ReplayMix::to_json() const {
  Json json = {{"owed_tokens", owed_tokens_}, {"streams", Json::object()}};
  for (const auto& [name, source] : sources_) {
    json["streams"][name] = {{"position", source.stream.position().to_json()},
                             {"share", source.share},
                             {"credit", source.credit}};
  }
  return json;
}

void ReplayMix::restore(const Json& json, const fs::path& file) {
  owed_tokens_ = json_get<int64_t>(json, "owed_tokens", file);
  const auto streams = json_get<Json>(json, "streams", file);
  for (auto& [name, source] : sources_) {
    const auto saved = json_get<Json>(streams, name, file);
    source.stream.seek(StreamPosition::from_json(json_get<Json>(saved, "position", file), file));
    source.share = json_get<double>(saved, "share", file);
    source.credit = json_get<double>(saved, "credit", file);
  }
}

}  // namespace polygraft::trainer
