// tokenizer/text_stream.h: lines of a plain, gzip (.gz) or Zstandard (.zst) file, streamed.
#pragma once
#include <cstdint>
#include <filesystem>
#include <istream>
#include <memory>
#include <string>

namespace polygraft::tokenizer {

/// The next line without its end ("\n" or "\r\n"), the first one without a byte order mark. False
/// at the end.
bool next_text_line(std::istream& in, bool is_first, std::string& line);

class TextStream {
 public:
  /// @throws IoError when the file is missing or unreadable.
  explicit TextStream(const std::filesystem::path& file);
  ~TextStream();
  TextStream(const TextStream&) = delete;
  TextStream& operator=(const TextStream&) = delete;

  /// The file's next line, without its end; false behind the last. @throws FormatError naming the
  /// line when the compressed data is broken or cut off.
  bool next_line(std::string& line);
  int64_t line_number() const { return line_number_; }  ///< of the line read last, from 1

 private:
  struct Chain;
  std::filesystem::path file_;
  std::unique_ptr<Chain> chain_;
  int64_t line_number_ = 0;
};

/// The file's name without .gz or .zst decides the format: ".txt", ".jsonl".
std::string uncompressed_extension(const std::filesystem::path& file);

}  // namespace polygraft::tokenizer
