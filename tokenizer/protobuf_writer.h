// tokenizer/protobuf_writer.h: fields appended to a serialized protocol buffer message.
// What is appended to a message is merged into it: a repeated field gets further elements, a nested
// message the fields given, a scalar the last value. Every other byte stays as it was.
// Reference: protobuf.dev, "Encoding".
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

namespace polygraft::tokenizer {

void append_varint_field(std::string& message, uint32_t number, uint64_t value);
void append_bytes_field(std::string& message, uint32_t number, std::string_view bytes);
void append_float_field(std::string& message, uint32_t number, float value);

}  // namespace polygraft::tokenizer
