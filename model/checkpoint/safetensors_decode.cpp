// model/checkpoint/safetensors_decode.cpp: reading a safetensors header that may have been written
// by an enemy.
#include <algorithm>
#include <tuple>

#include "core/error.h"
#include "core/json.h"
#include "core/text.h"
#include "model/checkpoint/safetensors_header.h"

namespace polygraft::model {
namespace {

constexpr const char* kMetadataKey = "__metadata__";
constexpr const char* kFetchAgain =
    "the file is truncated or damaged; fetch it again from its source";

uint64_t header_length(std::string_view content, const fs::path& file) {
  if (content.size() < kHeaderLengthBytes) {
    throw FormatError(file, "the file is too short for a safetensors header")
        .expected("at least 8 bytes")
        .found(concat(content.size(), " bytes"))
        .hint(kFetchAgain);
  }
  uint64_t length = 0;
  for (size_t i = kHeaderLengthBytes; i-- > 0;)
    length = length << 8 | static_cast<uint8_t>(content[i]);
  const uint64_t most = std::min<uint64_t>(kMaxHeaderBytes, content.size() - kHeaderLengthBytes);
  if (content.starts_with("version https://git-lfs")) {
    throw FormatError(file, "is a pointer of Git LFS, not the weights").hint("git lfs pull");
  }
  if (length == 0 || length > most) {
    throw FormatError(file, "impossible safetensors header length")
        .expected(concat("1 to ", most, " bytes"))
        .found(concat(length, " bytes"))
        .hint(kFetchAgain);
  }
  return length;
}

/// One tensor's JSON object, with a failure that names the tensor.
class EntryReader {
 public:
  EntryReader(const std::string& name, const Json& json, const fs::path& file)
      : name_(name), json_(json), file_(file) {}

  HeaderEntry read() const {
    if (!json_.is_object()) fail("is not described by a JSON object", "", json_excerpt(json_));
    HeaderEntry entry;
    entry.spec.name = name_;
    entry.spec.dtype = read_dtype();
    for (uint64_t size : unsigned_list("shape")) entry.spec.shape.push_back(checked_size(size));
    const std::vector<uint64_t> offsets = unsigned_list("data_offsets");
    if (offsets.size() != 2 || offsets[0] > offsets[1]) {
      fail("has impossible data_offsets", "[begin, end]", json_excerpt(json_["data_offsets"]));
    }
    entry.begin = offsets[0];
    entry.end = offsets[1];
    check_size(entry);
    return entry;
  }

 private:
  Dtype read_dtype() const {
    const auto found = json_.find("dtype");
    if (found == json_.end() || !found->is_string())
      fail("has no dtype", "\"dtype\": a string", "");
    return parse_dtype(found->get_ref<const std::string&>(), file_);
  }

  std::vector<uint64_t> unsigned_list(const char* key) const {
    const auto found = json_.find(key);
    const std::string rule = concat("\"", key, "\": a list of integers, none negative");
    if (found == json_.end()) fail(concat("has no ", key), rule, "");
    const bool good = found->is_array() && std::all_of(found->begin(), found->end(), [](auto& v) {
                        return v.is_number_unsigned();
                      });
    if (!good) fail(concat("has a broken ", key), rule, json_excerpt(*found));
    return found->get<std::vector<uint64_t>>();
  }

  int64_t checked_size(uint64_t size) const {
    if (size > static_cast<uint64_t>(INT64_MAX)) {
      fail("has an impossible shape", "sizes below 2^63", concat(size));
    }
    return static_cast<int64_t>(size);
  }

  void check_size(const HeaderEntry& entry) const {
    uint64_t num_bytes = dtype_bytes(entry.spec.dtype);
    bool overflow = false;
    for (int64_t size : entry.spec.shape) {
      overflow |= __builtin_mul_overflow(num_bytes, static_cast<uint64_t>(size), &num_bytes);
    }
    const std::string kind =
        concat(dtype_name(entry.spec.dtype), " ", shape_text(entry.spec.shape));
    if (overflow) fail("is too large to exist", "at most 2^64 bytes", kind);
    if (num_bytes != entry.end - entry.begin) {
      fail("has data_offsets that disagree with its shape", concat(num_bytes, " bytes for ", kind),
           concat(entry.end - entry.begin, " bytes"));
    }
  }

  [[noreturn]] void fail(const std::string& problem, const std::string& expected,
                         const std::string& found) const {
    auto error = FormatError(file_, concat("tensor ", in_quotes(name_), " ", problem));
    if (!expected.empty()) error = std::move(error).expected(expected);
    if (!found.empty()) error = std::move(error).found(found);
    throw error;
  }

  const std::string& name_;
  const Json& json_;
  const fs::path& file_;
};

void check_metadata(const Json& metadata, const fs::path& file) {
  const bool good = metadata.is_object() && std::all_of(metadata.begin(), metadata.end(),
                                                        [](auto& v) { return v.is_string(); });
  if (good) return;
  throw FormatError(file, "__metadata__ of the safetensors header has the wrong type")
      .expected("an object of strings")
      .found(json_excerpt(metadata));
}

/// The tensors must cover the data exactly: a hole could hide something, an overlap could alias two
/// tensors.
void check_tiling(const std::vector<HeaderEntry>& entries, uint64_t data_bytes,
                  const fs::path& file) {
  uint64_t position = 0;
  for (const HeaderEntry& entry : entries) {
    const std::string tensor = concat("tensor ", in_quotes(entry.spec.name));
    if (entry.end > data_bytes) {
      throw FormatError(file, tensor + " ends past the end of the file")
          .expected(concat("at most ", data_bytes, " bytes of data"))
          .found(concat("byte ", entry.end))
          .hint(kFetchAgain);
    }
    if (entry.begin != position) {
      throw FormatError(file, tensor + (entry.begin < position ? " overlaps the tensor before it"
                                                               : " follows a hole in the data"))
          .expected(concat("begin at byte ", position))
          .found(concat("byte ", entry.begin));
    }
    position = entry.end;
  }
  if (position == data_bytes) return;
  throw FormatError(file, "the data is longer than its tensors")
      .expected(concat(position, " bytes"))
      .found(concat(data_bytes, " bytes"));
}

/// All but the last check: that the tensors cover the data.
Header decode_entries(std::string_view content, const fs::path& file) {
  const uint64_t length = header_length(content, file);
  const std::string_view text = content.substr(kHeaderLengthBytes, length);
  if (text.front() != '{') {
    throw FormatError(file, "the safetensors header is not a JSON object").hint(kFetchAgain);
  }
  const Json json = parse_json(text, file);
  Header header;
  header.data_offset = kHeaderLengthBytes + length;
  for (const auto& [name, value] : json.items()) {
    if (name == kMetadataKey) {
      check_metadata(value, file);
    } else {
      header.entries.push_back(EntryReader(name, value, file).read());
    }
  }
  std::sort(header.entries.begin(), header.entries.end(), [](const auto& a, const auto& b) {
    return std::tie(a.begin, a.end) < std::tie(b.begin, b.end);
  });
  return header;
}

}  // namespace

Header decode_header(std::string_view content, const fs::path& file) {
  Header header = decode_entries(content, file);
  check_tiling(header.entries, content.size() - header.data_offset, file);
  return header;
}

Header decode_lone_header(std::string_view content, const fs::path& file) {
  Header header = decode_entries(content, file);
  if (header.data_offset != content.size()) {
    throw FormatError(file, "the file is more than a safetensors header")
        .expected(concat(header.data_offset, " bytes"))
        .found(concat(content.size(), " bytes"));
  }
  check_tiling(header.entries, header.entries.empty() ? 0 : header.entries.back().end, file);
  return header;
}

}  // namespace polygraft::model
