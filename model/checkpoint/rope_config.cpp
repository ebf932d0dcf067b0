// model/checkpoint/rope_config.cpp: see rope_config.h. Reference: transformers 5.23,
// modeling_rope_utils.py, convert_rope_params_to_dict and standardize_rope_params.
#include "model/checkpoint/rope_config.h"

#include "core/error.h"
#include "core/text.h"

namespace polygraft::model {
namespace {

[[noreturn]] void contradiction(const JsonFields& config, const std::string& a,
                                const std::string& b) {
  throw FormatError(config.file(), concat("keys '", a, "' and '", b, "' contradict each other"))
      .hint("keep the one that the model was trained with");
}

/// The key under which the parameters stand, or "" when there are none.
std::string parameters_key(const JsonFields& config) {
  const bool old_form = config.has("rope_scaling"), new_form = config.has("rope_parameters");
  if (old_form && new_form && config.raw("rope_scaling") != config.raw("rope_parameters")) {
    contradiction(config, "rope_scaling", "rope_parameters");
  }
  return new_form ? "rope_parameters" : old_form ? "rope_scaling" : "";
}

double positive(const JsonFields& fields, const std::string& key) {
  const double value = fields.number(key);
  if (value > 0) return value;
  throw FormatError(fields.file(), concat("key '", fields.path_of(key), "' cannot be used"))
      .expected("a number above zero")
      .found(concat(value));
}

double positive_or(const JsonFields& fields, const std::string& key, double fallback) {
  return fields.has(key) ? positive(fields, key) : fallback;
}

void refuse_partial_rotation(const JsonFields& fields) {
  if (fields.number_or("partial_rotary_factor", 1.0) == 1.0) return;
  throw NotBuiltError("rotary embedding of a part of each head (partial_rotary_factor)")
      .found(concat(fields.number("partial_rotary_factor"), " in ", fields.file().string()));
}

void refuse_per_layer_parameters(const Json& parameters, const fs::path& file) {
  for (const auto& [key, value] : parameters.items()) {
    if (!value.is_object()) continue;
    throw NotBuiltError("rotary parameters that differ between layer types")
        .found(concat(in_quotes(key), " in ", file.string()));
  }
}

std::string rope_type(const JsonFields& fields) {
  const std::string type = fields.text_or("rope_type", fields.text_or("type", "default"));
  if (type == "default" || type == "linear" || type == "llama3" || type == "yarn") return type;
  throw NotBuiltError(concat("rope type ", in_quotes(type)))
      .expected("one of default, linear, llama3, yarn")
      .found(concat(in_quotes(type), " in ", fields.file().string()));
}

void read_llama3(const JsonFields& fields, RopeConfig& rope) {
  rope.low_freq_factor = positive(fields, "low_freq_factor");
  rope.high_freq_factor = positive(fields, "high_freq_factor");
  if (rope.high_freq_factor > rope.low_freq_factor) return;
  throw FormatError(fields.file(),
                    concat("key '", fields.path_of("high_freq_factor"), "' cannot be used"))
      .expected(concat("more than low_freq_factor, ", rope.low_freq_factor))
      .found(concat(rope.high_freq_factor));
}

void read_yarn(const JsonFields& fields, RopeConfig& rope) {
  // transformers takes null and 0 alike for "not given".
  if (const double fast = fields.number_or("beta_fast", 0); fast != 0) rope.beta_fast = fast;
  if (const double slow = fields.number_or("beta_slow", 0); slow != 0) rope.beta_slow = slow;
  rope.attention_factor = fields.optional_number("attention_factor");
  rope.mscale = fields.optional_number("mscale");
  rope.mscale_all_dim = fields.optional_number("mscale_all_dim");
  rope.truncate = fields.flag_or("truncate", true);
  if (rope.beta_slow > 0 && rope.beta_fast >= rope.beta_slow) return;
  throw FormatError(fields.file(), concat("key '", fields.path_of("beta_fast"), "' cannot be used"))
      .expected("beta_fast >= beta_slow > 0")
      .found(concat(rope.beta_fast, " and ", rope.beta_slow));
}

/// The length before the extension: beside the parameters (Phi-3's habit) it wins over one among
/// them.
int64_t original_max_positions(const JsonFields& config, const JsonFields& fields) {
  constexpr const char* kKey = "original_max_position_embeddings";
  const JsonFields& holder = config.has(kKey) ? config : fields;
  return holder.integer_or(kKey, 0, 1, kMostPositions);
}

void read_scaling(const JsonFields& config, const JsonFields& fields, RopeConfig& rope) {
  if (rope.type == "default") return;
  if (rope.type != "linear") rope.original_max_positions = original_max_positions(config, fields);
  const bool derived =
      rope.type == "yarn" && !fields.has("factor") && rope.original_max_positions > 0;
  rope.factor = derived ? positive(config, "max_position_embeddings") /
                              static_cast<double>(rope.original_max_positions)
                        : positive(fields, "factor");
  if (rope.type == "llama3") read_llama3(fields, rope);
  if (rope.type == "yarn") read_yarn(fields, rope);
}

}  // namespace

RopeConfig parse_rope(const JsonFields& config, double default_theta) {
  refuse_partial_rotation(config);
  RopeConfig rope;
  rope.theta = positive_or(config, "rope_theta", default_theta);
  const std::string key = parameters_key(config);
  if (key.empty()) return rope;

  const JsonFields fields(config.raw(key), config.file(), key);
  refuse_per_layer_parameters(config.raw(key), config.file());
  refuse_partial_rotation(fields);
  const double theta = positive_or(fields, "rope_theta", rope.theta);
  if (config.has("rope_theta") && theta != rope.theta) {
    contradiction(config, "rope_theta", fields.path_of("rope_theta"));
  }
  rope.theta = theta;
  rope.type = rope_type(fields);
  read_scaling(config, fields, rope);
  return rope;
}

}  // namespace polygraft::model
