// cli/tokenizer_encode.cpp: `polygraft tokenizer encode` and `decode`: lines of text to JSON arrays
// of ids, and back.
#include <algorithm>
#include <array>
#include <charconv>
#include <fstream>
#include <iostream>

#include "cli/command.h"
#include "core/json.h"
#include "core/text.h"
#include "tokenizer/text_stream.h"
#include "tokenizer/tokenizer.h"

namespace polygraft::cli {
namespace {

/// Calls visit(line, line number) for each line of FILE, or of stdin for "-".
void for_each_line(const std::string& file,
                   const std::function<void(const std::string&, int64_t)>& visit) {
  std::ifstream stream;
  if (file != "-") {
    if (fs::is_directory(file)) throw IoError(file, "is a folder, not a file");
    stream.open(file);
    if (!stream) throw IoError(file, "cannot be opened").hint("- reads standard input");
  }
  std::istream& in = file == "-" ? std::cin : stream;
  std::string line;
  for (int64_t number = 1; tokenizer::next_text_line(in, number == 1, line); ++number) {
    visit(line, number);
  }
  if (in.bad()) throw IoError(file, "read error");
}

/// Lines are encoded in blocks, on all threads, and written in order.
class LineEncoder {
 public:
  explicit LineEncoder(const tokenizer::Tokenizer& tokenizer) : tokenizer_(tokenizer) {}

  void add(const std::string& line) {
    constexpr size_t kBlockBytes = 4 << 20;
    num_bytes_ += line.size() + 1;
    lines_.push_back(line);
    if (num_bytes_ >= kBlockBytes) flush();
  }
  void flush() {
    std::string out;
    for (const auto& ids : tokenizer_.encode_batch(lines_)) append_array(ids, out);
    std::cout << out;
    lines_.clear();
    num_bytes_ = 0;
  }

 private:
  static void append_array(const std::vector<tokenizer::TokenId>& ids, std::string& out) {
    std::array<char, 16> digits{};
    out += '[';
    for (size_t i = 0; i < ids.size(); ++i) {
      if (i > 0) out += ',';
      const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), ids[i]).ptr;
      out.append(digits.data(), end);
    }
    out += "]\n";
  }

  const tokenizer::Tokenizer& tokenizer_;
  std::vector<std::string> lines_;
  size_t num_bytes_ = 0;
};

ExitCode encode(const Arguments& arguments) {
  const auto tokenizer = tokenizer::Tokenizer::load(arguments.path("tokenizer"));
  const std::string file = arguments.text("file");
  LineEncoder encoder(tokenizer);
  for_each_line(file, [&](const std::string& line, int64_t number) {
    if (const size_t offset = find_invalid_utf8(line); offset != std::string::npos) {
      encoder.flush();
      throw FormatError(concat(file, ":", number),
                        concat("invalid UTF-8 at byte ", offset, " of the line"));
    }
    encoder.add(line);
  });
  encoder.flush();
  return ExitCode::kDone;
}

ExitCode decode(const Arguments& arguments) {
  const auto tokenizer = tokenizer::Tokenizer::load(arguments.path("tokenizer"));
  const std::string file = arguments.text("file");
  for_each_line(file, [&](const std::string& line, int64_t number) {
    const fs::path where = concat(file, ":", number);
    const Json ids = parse_json(line, where);
    const auto is_id = [&](const Json& id) {
      return id.is_number_unsigned() &&
             id.get<uint64_t>() < static_cast<uint64_t>(tokenizer.size()) &&
             !tokenizer.token(id.get<tokenizer::TokenId>()).empty();
    };
    if (!ids.is_array() || !std::all_of(ids.begin(), ids.end(), is_id)) {
      throw FormatError(where, "not an array of ids")
          .expected(concat("[12, 7, 108], each an id of the tokenizer's, below ", tokenizer.size()))
          .found(line.substr(0, 60));
    }
    std::cout << tokenizer.decode(ids.get<std::vector<tokenizer::TokenId>>()) << "\n";
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
                add("tokenizer", po::value<std::string>()->value_name("TOKENIZER"),
                    "model folder, tokenizer.json or tokenizer.model");
                add("file", po::value<std::string>()->default_value("-")->value_name("FILE"),
                    "input; - is stdin");
              },
          .add_operands = [](po::positional_options_description& p) { p.add("file", 1); },
          .run = run,
          .reads_lines = true};
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
