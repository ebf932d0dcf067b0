// tests/fuzz/fuzz_model.cpp: any bytes as tokenizer.model.
#include "tests/fuzz/exercise.h"
#include "tokenizer/sentencepiece_tokenizer.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace polygraft::tokenizer;
  const std::string bytes(reinterpret_cast<const char*>(data), size);
  exercise([&] { return parse_sentencepiece(bytes, "fuzz.model", "/nowhere"); });
  return 0;
}
