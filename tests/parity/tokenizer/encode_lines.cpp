// tests/parity/tokenizer/encode_lines.cpp: ids and decoded texts of a tokenizer, for comparison
// with the reference library.
//   encode_lines TOKENIZER TEXTS.jsonl > RESULTS.jsonl
// Each input line is a JSON string; each output line is {"ids", "decoded", "decoded_plain"}, the
// last without special tokens.
#include <exception>
#include <fstream>
#include <iostream>
#include <string>

#include "core/json.h"
#include "tokenizer/tokenizer.h"

int main(int argc, char** argv) try {
  using namespace polygraft;
  if (argc != 3) {
    std::cerr << "usage: encode_lines TOKENIZER TEXTS.jsonl\n";
    return 2;
  }
  const auto tokenizer = tokenizer::Tokenizer::load(argv[1]);
  std::ifstream texts(argv[2]);
  if (!texts) throw std::runtime_error(std::string("cannot read ") + argv[2]);
  for (std::string line; std::getline(texts, line);) {
    const auto text = parse_json(line, argv[2]).get<std::string>();
    const auto ids = tokenizer.encode(text);
    Json result;
    result["ids"] = ids;
    result["decoded"] = tokenizer.decode(ids);
    result["decoded_plain"] = tokenizer.decode(ids, /*skip_special_tokens=*/true);
    std::cout << result.dump() << '\n';
  }
  return 0;
} catch (const std::exception& error) {
  std::cerr << error.what() << '\n';
  return 1;
}
