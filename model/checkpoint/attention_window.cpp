// model/checkpoint/attention_window.cpp: see attention_window.h. Reference: transformers 5.23,
// __post_init__ of Qwen2Config, Qwen2MoeConfig, Qwen3Config, Qwen3MoeConfig and MixtralConfig.
#include "model/checkpoint/attention_window.h"

#include "core/error.h"
#include "core/json.h"
#include "core/text.h"

namespace polygraft::model {
namespace {

constexpr int64_t kMostTokens = int64_t{1} << 40;
constexpr int64_t kDefaultMaxWindowLayers = 28;
constexpr const char* kFull = "full_attention";
constexpr const char* kSliding = "sliding_attention";

/// Whether each layer is a windowed one, as `layer_types` has it.
std::vector<bool> read_layer_types(const JsonFields& config, int64_t num_layers) {
  const Json& types = config.list("layer_types");
  if (static_cast<int64_t>(types.size()) != num_layers) {
    throw FormatError(config.file(), "key 'layer_types' has the wrong length")
        .expected(concat(num_layers, ", one entry per layer"))
        .found(concat(types.size()));
  }
  std::vector<bool> is_windowed;
  for (const Json& type : types) {
    if (type != kFull && type != kSliding) {
      throw NotBuiltError(concat("attention layers of type ", json_excerpt(type)))
          .expected(concat(kFull, " or ", kSliding))
          .found(concat("\"layer_types\" in ", config.file().string()));
    }
    is_windowed.push_back(type == kSliding);
  }
  return is_windowed;
}

/// The window, or 0 where it is switched off.
int64_t read_window(const JsonFields& config, const Family& family) {
  const WindowRule rule = family.switches.window;
  const bool has_switch = rule != WindowRule::kEveryLayer;
  if (rule == WindowRule::kNone || config.states_null("sliding_window")) return 0;
  // Qwen configs name a window even when it is off.
  if (has_switch && !config.flag_or("use_sliding_window", false)) return 0;
  if (!config.has("sliding_window")) return family.defaults.sliding_window;
  return config.integer("sliding_window", 1, kMostTokens);
}

std::vector<bool> windowed_layers(const JsonFields& config, WindowRule rule, int64_t num_layers) {
  const bool every = rule == WindowRule::kEveryLayer || rule == WindowRule::kEveryLayerIfOn;
  if (every) return std::vector<bool>(static_cast<size_t>(num_layers), true);
  if (config.has("layer_types")) return read_layer_types(config, num_layers);
  const int64_t limit =
      config.integer_or("max_window_layers", kDefaultMaxWindowLayers, 0, kMostTokens);
  std::vector<bool> is_windowed;
  for (int64_t layer = 0; layer < num_layers; ++layer) {
    is_windowed.push_back(rule == WindowRule::kLaterLayers ? layer >= limit
                                                           : layer % 2 == 0 && layer < limit);
  }
  return is_windowed;
}

}  // namespace

std::vector<int64_t> read_windows(const JsonFields& config, const Family& family,
                                  int64_t num_layers) {
  const WindowRule rule = family.switches.window;
  const int64_t window = read_window(config, family);
  const bool by_layer = rule == WindowRule::kLaterLayers || rule == WindowRule::kEvenLayers;
  if (config.has("layer_types") && (window == 0 || !by_layer)) {
    for (const bool is_windowed : read_layer_types(config, num_layers)) {
      if (!is_windowed) continue;
      throw FormatError(config.file(), "key 'layer_types' asks for a window that is not there")
          .expected("full_attention in every layer, or a window that is switched on")
          .found(concat(in_quotes(kSliding), " in a ", family.model_type, " without one"));
    }
  }
  std::vector<int64_t> windows;
  if (window == 0) return windows;
  for (const bool is_windowed : windowed_layers(config, rule, num_layers)) {
    windows.push_back(is_windowed ? window : 0);
  }
  return windows;
}

}  // namespace polygraft::model
