// model/checkpoint/safetensors_encode.cpp: writing a safetensors header, byte for byte as the
// reference writer does.
#include <set>

#include "core/error.h"
#include "core/json.h"
#include "core/text.h"
#include "model/checkpoint/safetensors_header.h"

namespace polygraft::model {
namespace {

constexpr size_t kAlignment = 8;  // of the data's first byte

std::string json_string(const std::string& text, const fs::path& file) {
  try {
    return Json(text).dump();
  } catch (const Json::exception&) {
    throw FormatError(file, concat("name ", in_quotes(text), " is not valid UTF-8"));
  }
}

std::string json_shape(const std::vector<int64_t>& shape) {
  std::vector<std::string> sizes;
  for (int64_t size : shape) sizes.push_back(concat(size));
  return "[" + join(sizes, ",") + "]";
}

std::string metadata_json(const std::map<std::string, std::string>& metadata,
                          const fs::path& file) {
  std::vector<std::string> pairs;
  for (const auto& [key, value] : metadata) {
    pairs.push_back(json_string(key, file) + ":" + json_string(value, file));
  }
  return "\"__metadata__\":{" + join(pairs, ",") + "}";
}

}  // namespace

std::string encode_header(const std::vector<TensorSpec>& specs,
                          const std::map<std::string, std::string>& metadata,
                          const fs::path& file) {
  std::vector<std::string> parts;
  if (!metadata.empty()) parts.push_back(metadata_json(metadata, file));
  std::set<std::string> seen;
  uint64_t position = 0;
  for (const TensorSpec& spec : specs) {
    if (!seen.insert(spec.name).second) {
      throw FormatError(file, concat("tensor ", in_quotes(spec.name), " would be written twice"));
    }
    const uint64_t end = position + spec.num_bytes();
    parts.push_back(concat(json_string(spec.name, file), ":{\"dtype\":\"", dtype_name(spec.dtype),
                           "\",\"shape\":", json_shape(spec.shape), ",\"data_offsets\":[", position,
                           ",", end, "]}"));
    position = end;
  }
  std::string json = "{" + join(parts, ",") + "}";
  json.resize((json.size() + kAlignment - 1) / kAlignment * kAlignment, ' ');
  if (json.size() > kMaxHeaderBytes) {
    throw FormatError(file, "the safetensors header would be too long")
        .expected(concat("at most ", kMaxHeaderBytes, " bytes"))
        .found(concat(json.size(), " bytes"))
        .hint("write smaller shards");
  }
  std::string header;
  for (size_t i = 0; i < kHeaderLengthBytes; ++i)
    header += static_cast<char>(json.size() >> (8 * i) & 0xFF);
  return header + json;
}

}  // namespace polygraft::model
