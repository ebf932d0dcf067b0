// tokenizer/protobuf_reader.h: the fields of a protocol buffer message, one after the other.
// Reference: protobuf.dev, "Encoding".
#pragma once
#include <cstdint>
#include <filesystem>
#include <string_view>

namespace polygraft::tokenizer {

struct ProtobufField {
  enum class Wire { kVarint = 0, kFixed64 = 1, kBytes = 2, kFixed32 = 5 };

  uint32_t number = 0;
  Wire wire = Wire::kVarint;
  uint64_t value = 0;         ///< of a varint, or the bits of a fixed-size number
  std::string_view bytes;     ///< of kBytes
  size_t begin = 0, end = 0;  ///< the whole field in the message
};

class ProtobufReader {
 public:
  /// @param base where `message` begins in the file, for the offsets in errors.
  ProtobufReader(std::string_view message, const std::filesystem::path& where, size_t base = 0)
      : message_(message), where_(where), base_(base) {}

  /// Reads the next field; false at the end. @throws FormatError with the offset.
  bool next(ProtobufField& field);

 private:
  uint64_t varint();
  uint64_t fixed(size_t num_bytes);
  [[noreturn]] void fail(const char* problem) const;

  std::string_view message_;
  const std::filesystem::path& where_;
  size_t base_;
  size_t at_ = 0;
};

}  // namespace polygraft::tokenizer
