// model/checkpoint/unsupported_features.cpp: see unsupported_features.h.
#include "model/checkpoint/unsupported_features.h"

#include <algorithm>

#include "core/error.h"
#include "core/text.h"
#include "model/checkpoint/quote.h"

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

/// Qwen configs name a window even when it is off; null under use_sliding_window is off as well.
void refuse_sliding_window(const JsonFields& config, const Family& family) {
  if (!family.switches.sliding_window || !config.flag_or("use_sliding_window", false)) return;
  if (config.states_null("sliding_window")) return;
  refuse(config, "sliding-window attention", "use_sliding_window");
}

void refuse_other_layer_types(const JsonFields& config) {
  if (!config.has("layer_types")) return;
  const Json& types = config.raw("layer_types");
  if (!types.is_array()) {
    throw FormatError(config.file(), "key 'layer_types' is not a list").found(json_excerpt(types));
  }
  const auto num_layers = config.integer("num_hidden_layers", 1, INT64_MAX);
  if (static_cast<int64_t>(types.size()) != num_layers) {
    throw FormatError(config.file(), "key 'layer_types' has the wrong length")
        .expected(concat(num_layers, ", one entry per layer"))
        .found(concat(types.size()));
  }
  for (const Json& type : types) {
    if (type == "full_attention") continue;
    throw NotBuiltError(concat("attention layers of type ", json_excerpt(type)))
        .expected("\"full_attention\" in every layer")
        .found(concat("\"layer_types\" in ", config.file().string()));
  }
}

}  // namespace

void refuse_unsupported_features(const JsonFields& config, const Family& family) {
  refuse_quantised(config);
  refuse_other_architecture(config, family);
  refuse_other_activation(config);
  refuse_sliding_window(config, family);
  refuse_other_layer_types(config);
}

}  // namespace polygraft::model
