// tests/model/checkpoint/hostile_file_test.cpp: a corpus of broken and malicious safetensors files.
// Each is a FormatError that names the file; none crashes, reads out of bounds (see the asan
// preset) or allocates what a header merely claims.
#include "fixtures.h"
#include "model/checkpoint/safetensors_header.h"
#include "model/checkpoint/tensor_file.h"
#include "model/checkpoint/tensor_folder.h"
#include "model/checkpoint/tensor_writer.h"

using Catch::Contains;

namespace polygraft::model {
namespace {

struct Hostile {
  std::string what;     // the trick
  std::string content;  // of the file
  std::string message;  // part of the error
};

std::string with_length(uint64_t length, std::string_view rest) {
  std::string bytes;
  for (int i = 0; i < 8; ++i) bytes += static_cast<char>(length >> (8 * i) & 0xFF);
  return bytes.append(rest);
}

/// One tensor "t" whose JSON object is given, over 4 bytes of data.
Hostile one(const std::string& what, const std::string& tensor, const std::string& message) {
  return {what, safetensors_bytes("{\"t\":" + tensor + "}", "abcd"), message};
}

/// Two tensors with the given offsets over 8 bytes of data.
Hostile two(const std::string& what, const std::string& a, const std::string& b,
            const std::string& message) {
  const auto tensor = [](const std::string& name, const std::string& offsets) {
    return "\"" + name + R"(":{"dtype":"F32","shape":[1],"data_offsets":)" + offsets + "}";
  };
  return {what, safetensors_bytes("{" + tensor("a", a) + "," + tensor("b", b) + "}", "abcdefgh"),
          message};
}

std::vector<Hostile> broken_frames() {
  return {
      {"empty file", "", "too short"},
      {"seven bytes", "1234567", "too short"},
      {"length zero", with_length(0, "{}"), "header length"},
      {"length one past the end", with_length(3, "{}"), "header length"},
      {"length huge", with_length(UINT64_MAX, "{}"), "header length"},
      {"length whose sum with 8 wraps", with_length(UINT64_MAX - 7, "{}"), "header length"},
      {"length over the format's limit", with_length(100'000'001, "{}"), "header length"},
      {"not JSON", safetensors_bytes("hello", ""), "not a JSON object"},
      {"leading space", safetensors_bytes(" {}", ""), "not a JSON object"},
      {"an array", safetensors_bytes("[1]", ""), "not a JSON object"},
      {"JSON cut off", safetensors_bytes(R"({"t":{"dtype":)", ""), "not valid JSON"},
      {"text after the JSON", safetensors_bytes("{} x", ""), "not valid JSON"},
      {"a pointer of Git LFS", "version https://git-lfs.github.com/spec/v1\noid sha256:00\n",
       "git lfs pull"},
      {"a zero byte in the JSON", safetensors_bytes(std::string_view("{\0}", 3), ""),
       "not valid JSON"},
      {"a zero byte and more behind the JSON", safetensors_bytes(std::string_view("{}\0x", 4), ""),
       "not valid JSON"},
      {"invalid UTF-8", safetensors_bytes("{\"\xff\":1}", ""), "not valid JSON"},
      {"nested a million deep", safetensors_bytes("{\"t\":" + std::string(1'000'000, '['), ""),
       "nested"},
      {"a number no double holds", safetensors_bytes(R"({"t":1e999})", ""), "not valid JSON"},
      {"no tensor covers the data", safetensors_bytes("{}", "abcd"), "longer than its tensors"},
      {"metadata is a string", safetensors_bytes(R"({"__metadata__":"pt"})", ""), "__metadata__"},
      {"metadata holds a number", safetensors_bytes(R"({"__metadata__":{"a":1}})", ""),
       "__metadata__"},
      {"a name twice",
       safetensors_bytes(R"({"t":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},)"
                         R"("t":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}})",
                         "abcdefgh"),
       "duplicate key 't'"},
  };
}

std::vector<Hostile> broken_tensors() {
  return {
      one("a tensor that is a number", "7", "not described by a JSON object"),
      one("no dtype", R"({"shape":[1],"data_offsets":[0,4]})", "no dtype"),
      one("a dtype that is a number", R"({"dtype":1,"shape":[1],"data_offsets":[0,4]})",
          "no dtype"),
      one("an unknown dtype", R"({"dtype":"F99","shape":[1],"data_offsets":[0,4]})", "'F99'"),
      one("a quantised dtype", R"({"dtype":"F8_E4M3","shape":[4],"data_offsets":[0,4]})",
          "quantised"),
      one("dtype twice", R"({"dtype":"F32","dtype":"U8","shape":[4],"data_offsets":[0,4]})",
          "duplicate key 'dtype'"),
      one("no shape", R"({"dtype":"F32","data_offsets":[0,4]})", "no shape"),
      one("a shape that is no list", R"({"dtype":"F32","shape":1,"data_offsets":[0,4]})", "shape"),
      one("a negative size", R"({"dtype":"F32","shape":[-1],"data_offsets":[0,4]})", "shape"),
      one("half a size", R"({"dtype":"F32","shape":[1.0],"data_offsets":[0,4]})", "shape"),
      one("a nested shape", R"({"dtype":"F32","shape":[[1]],"data_offsets":[0,4]})", "shape"),
      one("a size over 2^63",
          R"({"dtype":"U8","shape":[18446744073709551615],"data_offsets":[0,4]})",
          "impossible shape"),
      one("a size over 2^64",
          R"({"dtype":"U8","shape":[99999999999999999999],"data_offsets":[0,4]})", "shape"),
      one("a product that wraps to 4 bytes",
          R"({"dtype":"F32","shape":[4611686018427387905],"data_offsets":[0,4]})", "too large"),
      one("a product that wraps to zero",
          R"({"dtype":"U8","shape":[4294967296,4294967296],"data_offsets":[0,0]})", "too large"),
      one("no offsets", R"({"dtype":"F32","shape":[1]})", "no data_offsets"),
      one("one offset", R"({"dtype":"F32","shape":[1],"data_offsets":[0]})", "data_offsets"),
      one("three offsets", R"({"dtype":"F32","shape":[1],"data_offsets":[0,4,8]})", "data_offsets"),
      one("a negative offset", R"({"dtype":"F32","shape":[1],"data_offsets":[-4,0]})",
          "data_offsets"),
      one("offsets backwards", R"({"dtype":"F32","shape":[1],"data_offsets":[4,0]})",
          "data_offsets"),
      one("fewer bytes than the shape", R"({"dtype":"F32","shape":[2],"data_offsets":[0,4]})",
          "disagree"),
      one("more bytes than the shape", R"({"dtype":"U8","shape":[3],"data_offsets":[0,4]})",
          "disagree"),
      one("past the end", R"({"dtype":"F32","shape":[2],"data_offsets":[0,8]})", "past the end"),
      one("far past the end",
          R"({"dtype":"U8","shape":[4],"data_offsets":[9223372036854775800,9223372036854775804]})",
          "past the end"),
      two("the same bytes twice", "[0,4]", "[0,4]", "overlaps"),
      two("overlap by two bytes", "[0,4]", "[2,6]", "overlaps"),
      two("a hole between", "[0,4]", "[5,9]", "past the end"),
      two("a hole at the start", "[2,6]", "[6,10]", "follows a hole"),
  };
}

}  // namespace

TEST_CASE("hostile safetensors files are refused by name", "[model][checkpoint][hostile]") {
  const TemporaryFolder scratch;
  std::vector<Hostile> corpus = broken_frames();
  for (auto& hostile : broken_tensors()) corpus.push_back(hostile);
  for (const Hostile& hostile : corpus) {
    INFO(hostile.what);
    scratch.write("model.safetensors", hostile.content);
    const std::string message =
        message_of<FormatError>([&] { TensorFolder::open(scratch.path()); });
    CHECK_THAT(message, Contains("model.safetensors") && Contains(hostile.message));
    CHECK(message_of<FormatError>([&] { read_tensor_file(scratch / "model.safetensors"); }) ==
          message);
  }
}

TEST_CASE("holes inside a long enough file are refused", "[model][checkpoint][hostile]") {
  const TemporaryFolder scratch;
  const auto tensor = [](const std::string& offsets) {
    return R"({"dtype":"F32","shape":[1],"data_offsets":)" + offsets + "}";
  };
  const auto open = [&](const std::string& a, const std::string& b) {
    scratch.write("x", safetensors_bytes("{\"a\":" + tensor(a) + ",\"b\":" + tensor(b) + "}",
                                         std::string(12, 'x')));
    return message_of<FormatError>([&] { read_tensor_file(scratch / "x"); });
  };
  CHECK_THAT(open("[0,4]", "[8,12]"), Contains("'b' follows a hole"));
  CHECK_THAT(open("[4,8]", "[8,12]"), Contains("'a' follows a hole"));
  CHECK_THAT(open("[0,4]", "[4,8]"), Contains("longer than its tensors"));
}

TEST_CASE("a name full of control bytes does not reach the terminal",
          "[model][checkpoint][hostile]") {
  const TemporaryFolder scratch;
  const std::string name = "\\u001b[2J" + std::string(5000, 'n');
  scratch.write("x", safetensors_bytes("{\"" + name + "\":7}", ""));
  const std::string message = message_of<FormatError>([&] { read_tensor_file(scratch / "x"); });
  CHECK(message.find('\x1b') == std::string::npos);
  CHECK(message.size() < 1000);
}

namespace {

std::string small_valid_file() {
  return safetensors_bytes(R"({"__metadata__":{"format":"pt"},)"
                           R"("a":{"dtype":"BF16","shape":[2,3],"data_offsets":[0,12]},)"
                           R"("b":{"dtype":"F32","shape":[1],"data_offsets":[12,16]}}    )",
                           "0123456789abcdef");
}

/// True when the content is accepted; false for a polygraft error. Anything else fails the test.
/// The content lies in a buffer of exactly its size, so that the sanitizer build sees any read
/// beyond it; a mapping's last page would hide one.
bool opens(const std::string& content) {
  const std::vector<char> exact(content.begin(), content.end());
  const std::string_view view(exact.data(), exact.size());
  try {
    const Header header = decode_header(view, "x.safetensors");
    for (const HeaderEntry& entry : header.entries) {
      REQUIRE(entry.begin <= entry.end);
      REQUIRE(entry.end <= view.size() - header.data_offset);
      REQUIRE(entry.end - entry.begin == entry.spec.num_bytes());
    }
    return true;
  } catch (const Error&) {
    return false;
  }
}

}  // namespace

TEST_CASE("a file truncated at any length is refused", "[model][checkpoint][hostile]") {
  const std::string whole = small_valid_file();
  REQUIRE(opens(whole));
  for (size_t length = 0; length < whole.size(); ++length) {
    INFO("cut after " << length << " bytes");
    CHECK_FALSE(opens(whole.substr(0, length)));
  }
  CHECK_FALSE(opens(whole + "x"));
}

TEST_CASE("a file with any one bit flipped is read or refused, never worse",
          "[model][checkpoint][hostile]") {
  const std::string whole = small_valid_file();
  const size_t data_begins = whole.size() - 16;
  size_t num_refused = 0;
  for (size_t bit = 0; bit < 8 * whole.size(); ++bit) {
    std::string flipped = whole;
    flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ (1 << bit % 8));
    const bool opened = opens(flipped);
    if (bit / 8 >= data_begins) CHECK(opened);  // data may hold anything
    if (bit / 8 < 8) CHECK_FALSE(opened);       // the header length may not
    num_refused += opened ? 0 : 1;
  }
  CHECK(num_refused > 8 * data_begins / 2);
}

}  // namespace polygraft::model
