// tokenizer/text_stream.cpp: see text_stream.h.
#include "tokenizer/text_stream.h"

#include <boost/iostreams/device/file_descriptor.hpp>
#include <boost/iostreams/filter/gzip.hpp>
#include <boost/iostreams/filter/zstd.hpp>
#include <boost/iostreams/filtering_stream.hpp>

#include "core/error.h"
#include "core/text.h"

namespace polygraft::tokenizer {
namespace {

namespace io = boost::iostreams;
constexpr std::streamsize kBufferBytes = 1 << 18;

}  // namespace

struct TextStream::Chain {
  io::filtering_istream stream;
};

TextStream::TextStream(const std::filesystem::path& file)
    : file_(file), chain_(std::make_unique<Chain>()) {
  if (!std::filesystem::exists(file)) throw IoError(file, "no such file");
  if (!std::filesystem::is_regular_file(file)) throw IoError(file, "not a regular file");
  const std::string extension = file.extension().string();
  auto& stream = chain_->stream;
  if (extension == ".gz")
    stream.push(io::gzip_decompressor(io::zlib::default_window_bits, kBufferBytes));
  if (extension == ".zst") stream.push(io::zstd_decompressor(kBufferBytes));
  try {
    stream.push(io::file_descriptor_source(file.string()), kBufferBytes);
  } catch (const std::exception& error) {
    throw IoError(file, "cannot be read").found(error.what());
  }
  // Without this, a broken member looks like the end of the file.
  stream.exceptions(std::ios::badbit);
}

TextStream::~TextStream() = default;

bool TextStream::next_line(std::string& line) {
  try {
    if (!std::getline(chain_->stream, line)) return false;
  } catch (const std::exception& error) {
    throw FormatError(file_, concat("line ", line_number_ + 1, " cannot be read"))
        .found(error.what())
        .hint("the compressed file may be cut off or damaged");
  }
  ++line_number_;
  if (!line.empty() && line.back() == '\r') line.pop_back();
  return true;
}

std::string uncompressed_extension(const std::filesystem::path& file) {
  const std::string last = file.extension().string();
  return last == ".gz" || last == ".zst" ? file.stem().extension().string() : last;
}

}  // namespace polygraft::tokenizer
