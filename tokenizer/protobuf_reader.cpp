// tokenizer/protobuf_reader.cpp: see protobuf_reader.h.
#include "tokenizer/protobuf_reader.h"

#include "core/error.h"
#include "core/text.h"

namespace polygraft::tokenizer {

void ProtobufReader::fail(const char* problem) const {
  throw FormatError(where_, concat(problem, " at byte ", base_ + at_))
      .expected("a SentencePiece model");
}

uint64_t ProtobufReader::varint() {
  uint64_t value = 0;
  for (int shift = 0; shift < 64; shift += 7) {
    if (at_ == message_.size()) fail("the file ends within a number");
    const auto byte = static_cast<unsigned char>(message_[at_++]);
    value |= static_cast<uint64_t>(byte & 0x7F) << shift;
    if (byte < 0x80) return value;
  }
  fail("a number of more than 64 bits");
}

uint64_t ProtobufReader::fixed(size_t num_bytes) {
  if (message_.size() - at_ < num_bytes) fail("the file ends within a number");
  uint64_t value = 0;
  for (size_t i = 0; i < num_bytes; ++i) {
    value |= static_cast<uint64_t>(static_cast<unsigned char>(message_[at_++])) << (8 * i);
  }
  return value;
}

bool ProtobufReader::next(ProtobufField& field) {
  using Wire = ProtobufField::Wire;
  if (at_ == message_.size()) return false;
  field.begin = at_;
  const uint64_t key = varint();
  field.wire = static_cast<Wire>(key & 7);
  field.number = static_cast<uint32_t>(key >> 3);
  if (field.number == 0 || key >> 3 > UINT32_MAX / 8) fail("a field number that cannot be");
  switch (field.wire) {
    case Wire::kVarint:
      field.value = varint();
      break;
    case Wire::kFixed64:
      field.value = fixed(8);
      break;
    case Wire::kFixed32:
      field.value = fixed(4);
      break;
    case Wire::kBytes: {
      const uint64_t length = varint();
      if (length > message_.size() - at_) fail("a field that is longer than the file");
      field.bytes = message_.substr(at_, length);
      at_ += length;
      break;
    }
    default:
      fail("a field of unknown kind");
  }
  field.end = at_;
  return true;
}

}  // namespace polygraft::tokenizer
