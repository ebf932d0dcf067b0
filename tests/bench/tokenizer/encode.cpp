// tests/bench/tokenizer/encode.cpp: our side of the encoding bench. Started by compare.py, which
// alternates it with the peers:
//   bench_encode TOKENIZER TEXTS.jsonl THREADS    (a JSON string a line), then one line on stdin
// for each time that all texts are to be encoded; each answer is one JSON line:
//   {"seconds": s, "tokens": n, "hash": FNV-1a over all ids, each document closed by -1}
#include <chrono>
#include <fstream>
#include <iostream>

#include "core/error.h"
#include "core/json.h"
#include "tokenizer/tokenizer.h"

namespace polygraft {
namespace {

using Clock = std::chrono::steady_clock;
using tokenizer::TokenId;
using tokenizer::Tokenizer;

std::vector<std::string> read_texts(const std::string& file) {
  std::ifstream stream(file);
  if (!stream) throw IoError(file, "cannot be opened");
  std::vector<std::string> texts;
  for (std::string line; std::getline(stream, line);) {
    texts.push_back(parse_json(line, file).get<std::string>());
  }
  return texts;
}

uint64_t hash_of(const std::vector<std::vector<TokenId>>& documents, size_t& num_tokens) {
  uint64_t hash = 0xcbf29ce484222325;
  const auto mix = [&hash](TokenId id) {
    hash = (hash ^ static_cast<uint32_t>(id)) * 0x100000001b3;
  };
  for (const auto& ids : documents) {
    for (const TokenId id : ids) mix(id);
    mix(-1);
    num_tokens += ids.size();
  }
  return hash;
}

int run(const std::string& folder, const std::string& file, int num_threads) {
  const Tokenizer tokenizer = Tokenizer::load(folder);
  const std::vector<std::string> texts = read_texts(file);
  for (std::string line; std::getline(std::cin, line);) {
    const auto start = Clock::now();
    const auto documents = tokenizer.encode_batch(texts, num_threads);
    const std::chrono::duration<double> elapsed = Clock::now() - start;
    size_t num_tokens = 0;
    const uint64_t hash = hash_of(documents, num_tokens);
    std::cout << Json({{"seconds", elapsed.count()}, {"tokens", num_tokens}, {"hash", hash}}).dump()
              << std::endl;
  }
  return 0;
}

}  // namespace
}  // namespace polygraft

int main(int argc, char** argv) {
  if (argc != 4) {
    std::cerr << "usage: bench_encode TOKENIZER TEXTS.jsonl THREADS\n";
    return 2;
  }
  try {
    return polygraft::run(argv[1], argv[2], std::stoi(argv[3]));
  } catch (const polygraft::Error& error) {
    std::cerr << error.what() << "\n";
    return static_cast<int>(error.exit_code());
  }
}
