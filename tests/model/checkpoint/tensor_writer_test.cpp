// tests/model/checkpoint/tensor_writer_test.cpp: the streaming writer: order, shards, index, and
// nothing half done.
#include "model/checkpoint/tensor_writer.h"

#include <sys/resource.h>

#include <csignal>
#include <stdexcept>

#include "core/hash.h"
#include "core/json.h"
#include "fixtures.h"
#include "model/checkpoint/tensor_folder.h"

using Catch::Contains;

namespace polygraft::model {
namespace {

const std::vector<TensorSpec> kSpecs = {{"z.first", Dtype::kBF16, {2, 3}},
                                        {"empty", Dtype::kF32, {0, 4}},
                                        {"a.second", Dtype::kBF16, {5}},
                                        {"m.third", Dtype::kBF16, {1, 1, 2}}};

void append_all(TensorWriter& writer) {
  for (const TensorSpec& spec : kSpecs) {
    if (spec.num_bytes() > 0)
      writer.append(spec.name, patterned_bytes(spec.name, spec.num_bytes()));
  }
}

void write_all(const fs::path& folder, uint64_t max_shard_bytes) {
  TensorWriter writer(folder, kSpecs, max_shard_bytes);
  append_all(writer);
  writer.finish();
}

void check_content(const fs::path& folder) {
  const TensorFolder read = TensorFolder::open(folder);
  REQUIRE(read.names().size() == kSpecs.size());
  for (const TensorSpec& spec : kSpecs) {
    CHECK(read.get(spec.name).shape == spec.shape);
    CHECK(read.get(spec.name).bytes == patterned_bytes(spec.name, spec.num_bytes()));
  }
}

}  // namespace

TEST_CASE("one file holds the tensors in the order of the specs", "[model][checkpoint]") {
  const TemporaryFolder scratch;
  write_all(scratch.path(), TensorWriter::kDefaultShardBytes);
  CHECK(scratch.entries() == std::vector<std::string>{"model.safetensors"});
  check_content(scratch.path());
  const std::string expected_header =
      R"({"__metadata__":{"format":"pt"},"z.first":{"dtype":"BF16","shape":[2,3],"data_offsets":[0,12]},)"
      R"("empty":{"dtype":"F32","shape":[0,4],"data_offsets":[12,12]},)"
      R"("a.second":{"dtype":"BF16","shape":[5],"data_offsets":[12,22]},)"
      R"("m.third":{"dtype":"BF16","shape":[1,1,2],"data_offsets":[22,26]}})";
  const std::string content = read_file(scratch / "model.safetensors");
  CHECK(content.substr(8, expected_header.size()) == expected_header);
  const size_t data_begins = content.size() - 26;
  CHECK(data_begins % 8 == 0);
  CHECK(content.find_first_not_of(' ', 8 + expected_header.size()) == data_begins);
}

TEST_CASE("the same model in shards has transformers' names and index", "[model][checkpoint]") {
  const TemporaryFolder scratch;
  write_all(scratch.path(), 14);  // z.first and empty; a.second and m.third
  CHECK(scratch.entries() == std::vector<std::string>{"model-00001-of-00002.safetensors",
                                                      "model-00002-of-00002.safetensors",
                                                      "model.safetensors.index.json"});
  check_content(scratch.path());
  const Json index = read_json(scratch / "model.safetensors.index.json");
  CHECK(index == Json{{"metadata", {{"total_size", 26}}},
                      {"weight_map",
                       {{"z.first", "model-00001-of-00002.safetensors"},
                        {"empty", "model-00001-of-00002.safetensors"},
                        {"a.second", "model-00002-of-00002.safetensors"},
                        {"m.third", "model-00002-of-00002.safetensors"}}}});
}

TEST_CASE("a tensor larger than the limit gets a shard of its own", "[model][checkpoint]") {
  const TemporaryFolder scratch;
  write_all(scratch.path(), 1);
  CHECK(scratch.entries().size() == 5);  // four tensors and the index
  check_content(scratch.path());
}

TEST_CASE("hashes kept while writing are those of the files", "[model][checkpoint]") {
  for (const uint64_t max_shard_bytes : {TensorWriter::kDefaultShardBytes, uint64_t{14}}) {
    const TemporaryFolder scratch;
    TensorWriter writer(scratch.path(), kSpecs, max_shard_bytes);
    writer.keep_hashes();
    append_all(writer);
    CHECK_THROWS_AS(writer.keep_hashes(), std::logic_error);  // some bytes have gone
    writer.finish();
    std::map<std::string, std::string> expected;
    for (const std::string& name : scratch.entries()) expected[name] = sha256_file(scratch / name);
    CHECK(writer.hashes() == expected);
  }
}

TEST_CASE("a tensor may come in parts", "[model][checkpoint]") {
  const TemporaryFolder scratch;
  TensorWriter writer(scratch.path(), {{"t", Dtype::kU8, {6}}});
  for (const char* part : {"ab", "", "c", "def"}) writer.append("t", part);
  writer.finish();
  writer.finish();  // a second call changes nothing
  CHECK(TensorFolder::open(scratch.path()).get("t").bytes == "abcdef");
}

TEST_CASE("a model without tensors is an empty file", "[model][checkpoint]") {
  const TemporaryFolder scratch;
  TensorWriter(scratch.path(), {}).finish();
  CHECK(TensorFolder::open(scratch.path()).names().empty());
}

TEST_CASE("misuse is an error that names the tensor, and leaves nothing", "[model][checkpoint]") {
  const TemporaryFolder scratch;
  {
    TensorWriter writer(scratch.path(), kSpecs, 1);
    writer.append("z.first", std::string(12, 'x'));
    CHECK_THAT(message_of<FormatError>([&] { writer.append("z.first", "y"); }),
               Contains("'z.first'"));
    writer.append("a.second", "12345");
    CHECK_THAT(message_of<FormatError>([&] { writer.append("a.second", "6789012"); }),
               Contains("'a.second'") && Contains("12 bytes"));
    CHECK_THAT(message_of<FormatError>([&] { writer.append("m.third", "1234"); }),
               Contains("out of turn") && Contains("'a.second'"));
    CHECK_THAT(message_of<FormatError>([&] { writer.append("unknown", "1"); }),
               Contains("'unknown'"));
    CHECK_THAT(message_of<FormatError>([&] { writer.finish(); }),
               Contains("'a.second'") && Contains("incomplete"));
  }
  CHECK(scratch.entries().empty());
  CHECK_THAT(message_of<FormatError>([&] {
               TensorWriter(scratch.path(), {{"t", Dtype::kU8, {1}}, {"t", Dtype::kU8, {1}}});
             }),
             Contains("'t'"));
}

TEST_CASE("a shape whose size overflows or is negative has no bytes", "[model][checkpoint]") {
  CHECK((TensorSpec{"t", Dtype::kF32, {3, 4}}.num_bytes()) == 48);
  CHECK((TensorSpec{"t", Dtype::kF32, {}}.num_bytes()) == 4);
  CHECK_THROWS_AS((TensorSpec{"t", Dtype::kF32, {int64_t{1} << 62, 4}}.num_bytes()), FormatError);
  CHECK_THROWS_AS((TensorSpec{"t", Dtype::kF32, {-1}}.num_bytes()), FormatError);
}

TEST_CASE("a folder that cannot be written is an i/o error", "[model][checkpoint]") {
  const TemporaryFolder scratch;
  TensorWriter writer(scratch / "absent", {{"t", Dtype::kU8, {1}}});
  CHECK_THROWS_AS(writer.append("t", "x"), IoError);
}

namespace {

/// Lets no file of this process grow beyond the limit: writing fails midway, as on a full disk.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t num_bytes) : handler_(std::signal(SIGXFSZ, SIG_IGN)) {
    getrlimit(RLIMIT_FSIZE, &before_);
    const rlimit limit = {num_bytes, before_.rlim_max};
    setrlimit(RLIMIT_FSIZE, &limit);
  }
  ~FileSizeLimit() {
    setrlimit(RLIMIT_FSIZE, &before_);
    std::signal(SIGXFSZ, handler_);
  }

 private:
  rlimit before_{};
  void (*handler_)(int);
};

}  // namespace

TEST_CASE("a write that fails midway is an i/o error, and leaves nothing", "[model][checkpoint]") {
  const TemporaryFolder scratch;
  const auto write_a_mebibyte = [&] {
    TensorWriter writer(scratch.path(), {{"t", Dtype::kU8, {1 << 20}}});
    writer.append("t", std::string(1 << 20, 'x'));
    writer.finish();
  };
  {
    const FileSizeLimit limit(1 << 19);
    CHECK_THAT(message_of<IoError>(write_a_mebibyte), Contains("model.safetensors"));
  }
  CHECK(scratch.entries().empty());
  write_a_mebibyte();
  CHECK(scratch.entries().size() == 1);
}

}  // namespace polygraft::model
