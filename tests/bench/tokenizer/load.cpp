// tests/bench/tokenizer/load.cpp: how long a tokenizer takes to load.
//   bench_load TOKENIZER [TIMES]    prints the least processor time of all loads, and the entries.
#include <algorithm>
#include <ctime>
#include <iostream>

#include "core/error.h"
#include "core/json.h"
#include "tokenizer/tokenizer.h"

int main(int argc, char** argv) try {
  if (argc < 2) {
    std::cerr << "usage: bench_load TOKENIZER [TIMES]\n";
    return 2;
  }
  const int times = argc > 2 ? std::stoi(argv[2]) : 5;
  double least_seconds = 1e9;
  int64_t entries = 0;
  for (int i = 0; i < times; ++i) {
    const std::clock_t start = std::clock();
    const auto tokenizer = polygraft::tokenizer::Tokenizer::load(argv[1]);
    const auto ticks = static_cast<double>(std::clock() - start);
    least_seconds = std::min(least_seconds, ticks / CLOCKS_PER_SEC);
    entries = tokenizer.size();
  }
  std::cout << polygraft::Json({{"seconds", least_seconds}, {"entries", entries}}).dump() << "\n";
  return 0;
} catch (const polygraft::Error& error) {
  std::cerr << error.what() << "\n";
  return static_cast<int>(error.exit_code());
}
