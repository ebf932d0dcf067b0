// model/checkpoint/safetensors_header.h: the header of a safetensors file, decoded with every bound
// checked, and encoded. Layout: 8 bytes little-endian header length N, N bytes of JSON (padded with
// spaces), then the data; offsets count from the data's first byte.
// https://github.com/huggingface/safetensors#format
#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "model/checkpoint/tensor_writer.h"

namespace polygraft::model {

constexpr size_t kHeaderLengthBytes = 8;           ///< of the length field
constexpr uint64_t kMaxHeaderBytes = 100'000'000;  ///< the reference implementation's limit

/// One tensor of a file: what the header says of it, and where its bytes lie.
struct HeaderEntry {
  TensorSpec spec;
  uint64_t begin = 0, end = 0;  ///< bytes from the start of the data
};

struct Header {
  std::vector<HeaderEntry>
      entries;  ///< in the order of offsets; they tile the data without hole or overlap
  uint64_t data_offset = 0;  ///< bytes from the start of the file
};

/// @param content the whole file. @throws FormatError for everything that TensorFolder::open
/// promises to refuse.
Header decode_header(std::string_view content, const fs::path& file);

/// The same for a header that is kept without its data. @throws FormatError also when anything
/// follows it.
Header decode_lone_header(std::string_view content, const fs::path& file);

/// Length field and padded JSON for tensors laid end to end in the order given. No "__metadata__"
/// when `metadata` is empty.
/// @throws FormatError for a name that is not UTF-8 or occurs twice, or a header over the format's
/// 100 MB.
std::string encode_header(const std::vector<TensorSpec>& specs,
                          const std::map<std::string, std::string>& metadata, const fs::path& file);

}  // namespace polygraft::model
