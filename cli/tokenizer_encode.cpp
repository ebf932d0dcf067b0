// cli/tokenizer_encode.cpp: `polygraft tokenizer encode` and `decode`: lines of text to JSON arrays
// of ids, and back.
#include <fstream>
#include <iostream>

#include "cli/command.h"
#include "core/text.h"
#include "tokenizer/tokenizer.h"

namespace polygraft::cli {
namespace {

/// Calls visit(line, line number) for each line of FILE, or of stdin for "-".
void for_each_line(const std::string& file,
                   const std::function<void(const std::string&, int64_t)>& visit) {
  std::ifstream stream;
  if (file != "-") {
    stream.open(file);
    if (!stream) throw IoError(file, "cannot be opened").hint("- reads standard input");
  }
  std::istream& in = file == "-" ? std::cin : stream;
  std::string line;
  for (int64_t number = 1; std::getline(in, line); ++number) visit(line, number);
}

ExitCode encode(const Arguments& arguments) {
  const auto tokenizer = tokenizer::Tokenizer::load(arguments.path("tokenizer"));
  const std::string file = arguments.text("file");
  for_each_line(file, [&](const std::string& line, int64_t number) {
    if (const size_t offset = find_invalid_utf8(line); offset != std::string::npos) {
      throw FormatError(concat(file, ":", number),
                        concat("invalid UTF-8 at byte ", offset, " of the line"));
    }
    std::cout << Json(tokenizer.encode(line)).dump() << "\n";
  });
  return ExitCode::kDone;
}

ExitCode decode(const Arguments& arguments) {
  const auto tokenizer = tokenizer::Tokenizer::load(arguments.path("tokenizer"));
  const std::string file = arguments.text("file");
  for_each_line(file, [&](const std::string& line, int64_t number) {
    const fs::path where = concat(file, ":", number);
    const Json ids = parse_json(line, where);
    try {
      std::cout << tokenizer.decode(ids.get<std::vector<tokenizer::TokenId>>()) << "\n";
    } catch (const nlohmann::json::exception&) {
      throw FormatError(where, "not an array of ids")
          .expected("[12, 7, 1088]")
          .found(line.substr(0, 60));
    }
  });
  return ExitCode::kDone;
}

Command line_command(const std::string& name, const std::string& summary,
                     const std::string& example, ExitCode (*run)(const Arguments&)) {
  return {.name = name,
          .summary = summary,
          .operands = "[FILE|-]",
          .example = example,
          .add_options =
              [](po::options_description& o) {
                auto add = o.add_options();
                add("tokenizer", po::value<std::string>(), "model folder or tokenizer.json");
                add("file", po::value<std::string>()->default_value("-"), "input; - is stdin");
              },
          .add_operands = [](po::positional_options_description& p) { p.add("file", 1); },
          .run = run};
}

}  // namespace

Command tokenizer_encode_command() {
  return line_command("tokenizer encode", "text lines to JSON arrays of ids",
                      "echo 'selamat pagi' | polygraft tokenizer encode --tokenizer models/base -",
                      encode);
}

Command tokenizer_decode_command() {
  return line_command("tokenizer decode", "JSON arrays of ids to text lines",
                      "echo '[72, 105]' | polygraft tokenizer decode --tokenizer models/base -",
                      decode);
}

}  // namespace polygraft::cli
