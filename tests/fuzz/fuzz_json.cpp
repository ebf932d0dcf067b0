// tests/fuzz/fuzz_json.cpp: any bytes as tokenizer.json.
#include "tests/fuzz/exercise.h"
#include "tokenizer/tokenizer_json.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace polygraft::tokenizer;
  const std::string text(reinterpret_cast<const char*>(data), size);
  exercise([&] { return parse_tokenizer(text, "fuzz.json", "/nowhere"); });
  return 0;
}
