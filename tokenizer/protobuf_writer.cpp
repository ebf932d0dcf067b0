// tokenizer/protobuf_writer.cpp: see protobuf_writer.h.
#include "tokenizer/protobuf_writer.h"

#include <bit>

#include "tokenizer/protobuf_reader.h"

namespace polygraft::tokenizer {
namespace {

using Wire = ProtobufField::Wire;

void append_varint(std::string& message, uint64_t value) {
  for (; value >= 0x80; value >>= 7) message += static_cast<char>((value & 0x7F) | 0x80);
  message += static_cast<char>(value);
}

void append_tag(std::string& message, uint32_t number, Wire wire) {
  append_varint(message, uint64_t{number} << 3 | static_cast<uint64_t>(wire));
}

}  // namespace

void append_varint_field(std::string& message, uint32_t number, uint64_t value) {
  append_tag(message, number, Wire::kVarint);
  append_varint(message, value);
}

void append_bytes_field(std::string& message, uint32_t number, std::string_view bytes) {
  append_tag(message, number, Wire::kBytes);
  append_varint(message, bytes.size());
  message += bytes;
}

void append_float_field(std::string& message, uint32_t number, float value) {
  append_tag(message, number, Wire::kFixed32);
  const auto bits = std::bit_cast<uint32_t>(value);
  for (int shift = 0; shift < 32; shift += 8) message += static_cast<char>(bits >> shift & 0xFF);
}

}  // namespace polygraft::tokenizer
