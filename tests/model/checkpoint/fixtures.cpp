// tests/model/checkpoint/fixtures.cpp: see fixtures.h.
#include "fixtures.h"

#include "core/json.h"
#include "core/text.h"
#include "model/checkpoint/tensor_writer.h"

namespace polygraft::model {

std::string safetensors_bytes(std::string_view header, std::string_view data) {
  std::string bytes;
  for (int i = 0; i < 8; ++i) bytes += static_cast<char>(header.size() >> (8 * i) & 0xFF);
  return bytes.append(header).append(data);
}

Json tiny_config(const std::string& family) {
  Json config = {
      {"model_type", family},     {"hidden_size", 16},        {"num_hidden_layers", 2},
      {"num_attention_heads", 4}, {"num_key_value_heads", 2}, {"head_dim", 8},
      {"intermediate_size", 24},  {"vocab_size", 48},         {"max_position_embeddings", 64},
      {"rms_norm_eps", 1e-6},     {"hidden_act", "silu"},     {"tie_word_embeddings", false},
      {"dtype", "bfloat16"}};
  if (family == "qwen3_moe") {
    config.update({{"num_experts", 4}, {"num_experts_per_tok", 2}, {"moe_intermediate_size", 8}});
  }
  return config;
}

std::string patterned_bytes(const std::string& name, uint64_t num_bytes) {
  std::string bytes(num_bytes, '\0');
  for (size_t i = 0; i < bytes.size(); ++i) {
    bytes[i] = static_cast<char>(name[i % name.size()] + static_cast<char>(i / name.size()));
  }
  return bytes;
}

void write_tiny_tensors(const fs::path& folder, const std::vector<TensorSpec>& specs) {
  TensorWriter writer(folder, specs);
  for (const TensorSpec& spec : specs) {
    writer.append(spec.name, patterned_bytes(spec.name, spec.num_bytes()));
  }
  writer.finish();
}

void write_tiny_model(const fs::path& folder, const Json& config_json, ExpertLayout layout) {
  fs::create_directories(folder);
  write_json(folder / "config.json", config_json);
  write_tiny_tensors(folder,
                     expected_tensors(parse_model_config(config_json, "config.json"), layout));
}

}  // namespace polygraft::model
