// expand/profile_json.cpp: a profile as JSON and back (keys: `expand profile --json`).
#include "core/error.h"
#include "core/json.h"
#include "core/text.h"
#include "expand/profile.h"

namespace polygraft::expand {

Json Profile::to_json() const {
  Json layers_json = Json::array();
  for (const LayerProfile& layer : layers) {
    layers_json.push_back({{"layer", layer.layer},
                           {"signature", layer.signature},
                           {"softmax", layer.softmax},
                           {"softmax_floor", layer.softmax_floor}});
  }
  return {{"layers", layers_json},
          {"similarity", similarity},
          {"bits_per_byte", bits_per_byte},
          {"roles", roles},
          {"model_hash", model_hash}};
}

namespace {

/// Shares of another length than the layer's first signature, or a language without them, would be
/// read past their end later.
void check_shares(const LayerProfile& layer, const std::string& language, const std::string& what,
                  const std::filesystem::path& file) {
  const auto& shares = what == "signature" ? layer.signature : layer.softmax;
  const auto found = shares.find(language);
  const size_t num_experts = layer.signature.empty() ? 0 : layer.signature.begin()->second.size();
  const bool good =
      found != shares.end() && !found->second.empty() && found->second.size() == num_experts;
  if (good) return;
  throw FormatError(file, concat("layer ", layer.layer, " lacks a ", what, " of ", language))
      .expected("one share per expert, equally many for every language")
      .found(found == shares.end() ? "none" : concat(found->second.size(), " shares"));
}

void check_signatures(const Profile& profile, const std::filesystem::path& file) {
  if (profile.layers.empty()) throw FormatError(file, "the profile has no layer");
  for (const LayerProfile& layer : profile.layers) {
    for (const auto& [language, role] : profile.roles) {
      check_shares(layer, language, "signature", file);
      check_shares(layer, language, "softmax", file);
    }
  }
}

}  // namespace

Profile Profile::from_json(const Json& json, const std::filesystem::path& file) {
  Profile profile;
  for (const Json& layer : json_get<std::vector<Json>>(json, "layers", file)) {
    using Shares = std::map<std::string, std::vector<double>>;
    profile.layers.push_back({json_get<int64_t>(layer, "layer", file),
                              json_get<Shares>(layer, "signature", file),
                              json_get<Shares>(layer, "softmax", file),
                              json_get_or<Shares>(layer, "softmax_floor", {}, file)});
  }
  profile.similarity =
      json_get<std::map<std::string, std::map<std::string, double>>>(json, "similarity", file);
  profile.bits_per_byte = json_get<std::map<std::string, double>>(json, "bits_per_byte", file);
  profile.roles = json_get<std::map<std::string, std::string>>(json, "roles", file);
  profile.model_hash = json_get<std::string>(json, "model_hash", file);
  check_signatures(profile, file);
  return profile;
}

}  // namespace polygraft::expand
