// tokenizer/text_stream.cpp: see text_stream.h.
#include "tokenizer/text_stream.h"

#include <zstd.h>

#include <boost/iostreams/device/file_descriptor.hpp>
#include <boost/iostreams/filter/gzip.hpp>
#include <boost/iostreams/filtering_stream.hpp>
#include <fstream>
#include <stdexcept>
#include <vector>

#include "core/error.h"
#include "core/text.h"
#include "tokenizer/text_faults.h"

namespace polygraft::tokenizer {
namespace {

namespace io = boost::iostreams;
constexpr std::streamsize kBufferBytes = 1 << 18;

/// A .zst file as a Boost.Iostreams source. Boost's own filter stops after the first of several
/// frames and takes a file that is cut off for one that ends.
class ZstdSource : public io::source {
 public:
  explicit ZstdSource(const std::filesystem::path& file) : state_(std::make_shared<State>(file)) {}

  std::streamsize read(char* text, std::streamsize size) {
    ZSTD_outBuffer output{text, static_cast<size_t>(size), 0};
    while (output.pos == 0) {
      const bool used_up = state_->input.pos == state_->input.size;
      if (used_up && !state_->holds_output && !refill()) return -1;
      const size_t result = ZSTD_decompressStream(state_->context.get(), &output, &state_->input);
      if (ZSTD_isError(result) != 0) throw std::runtime_error(ZSTD_getErrorName(result));
      state_->inside_frame = result != 0;
      state_->holds_output = state_->inside_frame && output.pos == output.size;
    }
    return static_cast<std::streamsize>(output.pos);
  }

 private:
  struct State {
    explicit State(const std::filesystem::path& path)
        : file(path, std::ios::binary),
          buffer(kBufferBytes),
          context(ZSTD_createDCtx(), ZSTD_freeDCtx) {
      if (!file) throw std::runtime_error("cannot be opened");
      // The default stops at 128 MiB; `zstd --long=31` writes windows of 2 GiB.
      ZSTD_DCtx_setParameter(context.get(), ZSTD_d_windowLogMax,
                             ZSTD_dParam_getBounds(ZSTD_d_windowLogMax).upperBound);
    }
    std::ifstream file;
    std::vector<char> buffer;
    ZSTD_inBuffer input{nullptr, 0, 0};
    std::unique_ptr<ZSTD_DCtx, decltype(&ZSTD_freeDCtx)> context;
    bool inside_frame = false;
    bool holds_output = false;  ///< the decoder may have more, without more input
  };

  /// False at the file's end.
  bool refill() {
    state_->file.read(state_->buffer.data(), kBufferBytes);
    state_->input = {state_->buffer.data(), static_cast<size_t>(state_->file.gcount()), 0};
    if (state_->file.bad()) throw std::runtime_error("read error");
    if (state_->input.size > 0) return true;
    if (state_->inside_frame) throw std::runtime_error("the Zstandard data is cut off");
    return false;
  }

  std::shared_ptr<State> state_;  // Boost copies its devices
};

}  // namespace

bool next_text_line(std::istream& in, bool is_first, std::string& line) {
  if (!std::getline(in, line)) return false;
  if (is_first) line.erase(0, line.size() - without_byte_order_mark(line).size());
  if (!line.empty() && line.back() == '\r') line.pop_back();
  return true;
}

struct TextStream::Chain {
  io::filtering_istream stream;
};

TextStream::TextStream(const std::filesystem::path& file)
    : file_(file), chain_(std::make_unique<Chain>()) {
  if (!std::filesystem::exists(file)) throw IoError(file, "no such file");
  if (!std::filesystem::is_regular_file(file)) throw IoError(file, "not a regular file");
  const std::string extension = file.extension().string();
  auto& stream = chain_->stream;
  if (extension == ".gz") {
    stream.push(io::gzip_decompressor(io::zlib::default_window_bits, kBufferBytes));
  }
  try {
    if (extension == ".zst") {
      stream.push(ZstdSource(file), kBufferBytes);
    } else {
      stream.push(io::file_descriptor_source(file.string()), kBufferBytes);
    }
  } catch (const std::exception& error) {
    throw IoError(file, "cannot be read").found(error.what());
  }
  // Without this, a broken member looks like the end of the file.
  stream.exceptions(std::ios::badbit);
}

TextStream::~TextStream() = default;

bool TextStream::next_line(std::string& line) {
  try {
    if (!next_text_line(chain_->stream, line_number_ == 0, line)) return false;
  } catch (const std::exception& error) {
    throw FormatError(file_, concat("line ", line_number_ + 1, " cannot be read"))
        .found(error.what())
        .hint(compression_hint(file_));
  }
  ++line_number_;
  return true;
}

std::string uncompressed_extension(const std::filesystem::path& file) {
  const std::string last = file.extension().string();
  return last == ".gz" || last == ".zst" ? file.stem().extension().string() : last;
}

}  // namespace polygraft::tokenizer
