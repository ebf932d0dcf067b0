// trainer/data/replay_mix.cpp: see replay_mix.h.
#include "trainer/data/replay_mix.h"

#include <algorithm>

#include "core/json.h"

namespace polygraft::trainer {
namespace {
constexpr double kByHarm = 0.75;  ///< of the shares; the rest is equal: no language goes unseen
}

ReplayMix::ReplayMix(std::map<std::string, RowStream> streams) {
  const double equal = 1.0 / static_cast<double>(streams.size());
  for (auto& [name, stream] : streams) {
    sources_.emplace(name, Source{std::move(stream), equal});
  }
}

std::map<std::string, double> ReplayMix::follow(const std::map<std::string, double>& rises) {
  const auto harm = [&](const std::string& language) {
    const auto found = rises.find(language);
    return found == rises.end() ? 0.0 : std::max(found->second, 0.0);
  };
  double sum = 0;
  for (const auto& [name, source] : sources_) sum += harm(name);
  const double equal = 1.0 / static_cast<double>(sources_.size());
  std::map<std::string, double> shares;
  for (auto& [name, source] : sources_) {
    source.share = sum > 0 ? kByHarm * harm(name) / sum + (1 - kByHarm) * equal : equal;
    shares[name] = source.share;
  }
  return shares;
}

ReplayMix::Source& ReplayMix::next_source() {
  const auto behind = std::max_element(
      sources_.begin(), sources_.end(),
      [](const auto& a, const auto& b) { return a.second.credit < b.second.credit; });
  return behind->second;
}

std::vector<Row> ReplayMix::take(int64_t granted_tokens) {
  owed_tokens_ += granted_tokens;
  for (auto& [name, source] : sources_) {
    source.credit += source.share * static_cast<double>(granted_tokens);
  }
  std::vector<Row> taken;
  while (true) {
    Source& source = next_source();
    const auto length = static_cast<int64_t>(source.stream.next().size());
    if (length > owed_tokens_) break;
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
