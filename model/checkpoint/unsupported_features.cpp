// model/checkpoint/unsupported_features.cpp: see unsupported_features.h.
#include "model/checkpoint/unsupported_features.h"

#include <algorithm>

#include "core/error.h"
#include "core/json.h"
#include "core/text.h"

namespace polygraft::model {
namespace {

[[noreturn]] void refuse(const JsonFields& config, const std::string& feature,
                         const std::string& key) {
  throw NotBuiltError(feature).found(
      concat("\"", key, "\": ", json_excerpt(config.raw(key)), " in ", config.file().string()));
}

void refuse_quantised(const JsonFields& config) {
  for (const char* key : {"quantization_config", "compression_config"}) {
    if (config.has(key)) refuse(config, "quantised weights", key);
  }
}

void refuse_other_architecture(const JsonFields& config, const Family& family) {
  if (!config.has("architectures")) return;
  const Json& stated = config.raw("architectures");
  const bool listed =
      stated.is_array() && std::any_of(stated.begin(), stated.end(),
                                       [&](auto& name) { return name == family.architecture; });
  if (listed) return;
  throw NotBuiltError("a model that is not a causal language model of its family")
      .expected(family.architecture)
      .found(concat("\"architectures\": ", json_excerpt(stated), " in ", config.file().string()));
}

void refuse_other_activation(const JsonFields& config) {
  const std::string activation = config.text_or("hidden_act", "silu");
  if (activation == "silu" || activation == "swish") return;
  refuse(config, concat("activation ", in_quotes(activation)), "hidden_act");
}

}  // namespace

void refuse_unsupported_features(const JsonFields& config, const Family& family) {
  refuse_quantised(config);
  refuse_other_architecture(config, family);
  refuse_other_activation(config);
}

}  // namespace polygraft::model
