// tests/parity/tokenizer/make_tokenizer.cpp: tokenizers of our own making, for the reference to
// read.
//   make_tokenizer train PATTERN VOCAB_SIZE FOLDER TEXTS...
//   make_tokenizer extend SOURCE NEW_TOKENS FOLDER NEW_TEXT[,NEW_TEXT...] GUARD_TEXTS...
// `extend` prints its report as JSON. The first new text's language is "new", a further one's the
// name of its file.
#include <cstdlib>
#include <exception>
#include <iostream>
#include <sstream>
#include <string>
#include <vector>

#include "core/json.h"
#include "tokenizer/bpe_trainer.h"

namespace {

using polygraft::tokenizer::ExtendOptions;
using polygraft::tokenizer::TrainOptions;
namespace fs = std::filesystem;

std::map<std::string, std::vector<fs::path>> new_texts(const std::string& list) {
  std::map<std::string, std::vector<fs::path>> texts;
  std::istringstream files(list);
  for (std::string file; std::getline(files, file, ',');) {
    texts[texts.empty() ? "new" : fs::path(file).stem().string()].emplace_back(file);
  }
  return texts;
}

void extend(const std::vector<std::string>& arguments) {
  std::map<std::string, std::vector<fs::path>> guard;
  for (size_t i = 5; i < arguments.size(); ++i) {
    guard[fs::path(arguments[i]).stem().string()].emplace_back(arguments[i]);
  }
  ExtendOptions options;
  options.new_tokens = std::atoll(arguments[2].c_str());
  const auto report = polygraft::tokenizer::extend_tokenizer(arguments[1], new_texts(arguments[4]),
                                                             guard, options, arguments[3]);
  std::cout << report.to_json().dump() << '\n';
}

void train(const std::vector<std::string>& arguments) {
  TrainOptions options;
  options.pattern = arguments[1];
  options.vocab_size = std::atoll(arguments[2].c_str());
  polygraft::tokenizer::train_tokenizer({arguments.begin() + 4, arguments.end()}, options,
                                        arguments[3]);
}

}  // namespace

int main(int argc, char** argv) try {
  const std::vector<std::string> arguments(argv + 1, argv + argc);
  if (arguments.size() < 5) {
    std::cerr << "usage: make_tokenizer train PATTERN VOCAB_SIZE FOLDER TEXTS...\n"
                 "       make_tokenizer extend SOURCE NEW_TOKENS FOLDER NEW_TEXT[,NEW_TEXT...] "
                 "GUARD_TEXTS...\n";
    return 2;
  }
  arguments[0] == "train" ? train(arguments) : extend(arguments);
  return 0;
} catch (const std::exception& error) {
  std::cerr << error.what() << '\n';
  return 1;
}
