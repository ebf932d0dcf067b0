// tests/model/checkpoint/tensor_folder_test.cpp: shards and their index, honest and hostile.
#include "model/checkpoint/tensor_folder.h"

#include "core/json.h"
#include "fixtures.h"
#include "model/checkpoint/tensor_writer.h"

using Catch::Contains;

namespace polygraft::model {
namespace {

constexpr const char* kIndex = "model.safetensors.index.json";
constexpr const char* kFirst = "model-00001-of-00002.safetensors";
constexpr const char* kSecond = "model-00002-of-00002.safetensors";

void write_shard(const fs::path& file, const std::vector<std::string>& names) {
  std::map<std::string, OwnedTensor> tensors;
  for (const std::string& name : names) {
    OwnedTensor& owned = tensors[name];
    owned.spec = {name, Dtype::kU8, {4}};
    owned.bytes = std::string(1, name[0]) + "123";
  }
  write_tensor_file(file, tensors);
}

void write_index(const TemporaryFolder& scratch, const Json& weight_map) {
  write_json(scratch / kIndex,
             Json{{"metadata", {{"total_size", 12}}}, {"weight_map", weight_map}});
}

/// Two shards, tensors a and c in the first, b in the second, and a matching index.
void write_honest(const TemporaryFolder& scratch) {
  write_shard(scratch / kFirst, {"a", "c"});
  write_shard(scratch / kSecond, {"b"});
  write_index(scratch, {{"a", kFirst}, {"b", kSecond}, {"c", kFirst}});
}

std::string refusal(const TemporaryFolder& scratch) {
  return message_of<FormatError>([&] { TensorFolder::open(scratch.path()); });
}

}  // namespace

TEST_CASE("shards are read in the order of files and offsets", "[model][checkpoint]") {
  const TemporaryFolder scratch;
  write_honest(scratch);
  const TensorFolder folder = TensorFolder::open(scratch.path());
  CHECK(folder.names() == std::vector<std::string>{"a", "c", "b"});
  CHECK(folder.num_files() == 2);
  CHECK(folder.total_bytes() == 12);
  CHECK(folder.get("b").bytes == "b123");
  CHECK(folder.get("b").file == scratch / kSecond);
  CHECK(folder.folder() == scratch.path());
}

TEST_CASE("a missing tensor is named with its nearest neighbour", "[model][checkpoint]") {
  const TemporaryFolder scratch;
  write_shard(scratch / "model.safetensors", {"model.norm.weight", "lm_head.weight"});
  const TensorFolder folder = TensorFolder::open(scratch.path());
  CHECK_FALSE(folder.contains("model.norm.wieght"));
  CHECK_THAT(message_of<FormatError>([&] { folder.get("model.norm.wieght"); }),
             Contains("'model.norm.wieght'") && Contains("'model.norm.weight'"));
}

TEST_CASE("a dropped tensor is gone from every answer", "[model][checkpoint]") {
  const TemporaryFolder scratch;
  write_honest(scratch);
  TensorFolder folder = TensorFolder::open(scratch.path());
  folder.drop("c");
  CHECK(folder.names() == std::vector<std::string>{"a", "b"});
  CHECK_FALSE(folder.contains("c"));
  CHECK(folder.total_bytes() == 8);
}

TEST_CASE("an index that names a file outside the folder is refused",
          "[model][checkpoint][hostile]") {
  const TemporaryFolder scratch;
  const TemporaryFolder outside;
  write_honest(scratch);
  write_shard(outside / "b.safetensors", {"b"});
  fs::create_directories(scratch / "sub");
  write_shard(scratch / "sub" / "b.safetensors", {"b"});
  const std::string up = "../" + outside.path().filename().string() + "/b.safetensors";
  for (const std::string& name :
       {up, "./" + up, (outside / "b.safetensors").string(), std::string("sub/../") + kSecond,
        std::string("sub/b.safetensors"), std::string("sub\\b.safetensors"), std::string(".."),
        std::string("."), std::string(""), std::string("b\0.safetensors", 14)}) {
    INFO(name);
    write_index(scratch, {{"a", kFirst}, {"b", name}, {"c", kFirst}});
    CHECK_THAT(refusal(scratch), Contains(kIndex) && Contains("outside the model folder"));
  }
}

TEST_CASE("a link that leads out of the folder is refused", "[model][checkpoint][hostile]") {
  const TemporaryFolder scratch;
  const TemporaryFolder outside;
  write_honest(scratch);
  fs::rename(scratch / kSecond, outside / "b.safetensors");
  fs::create_symlink(outside / "b.safetensors", scratch / kSecond);
  CHECK_THAT(refusal(scratch), Contains(kSecond) && Contains("link"));

  // Within the folder a link is harmless.
  fs::remove(scratch / kSecond);
  fs::rename(outside / "b.safetensors", scratch / "real.safetensors");
  fs::create_symlink("real.safetensors", scratch / kSecond);
  CHECK(TensorFolder::open(scratch.path()).get("b").bytes == "b123");

  // So is the folder itself being one.
  fs::create_directory_symlink(scratch.path(), outside / "model");
  CHECK(TensorFolder::open(outside / "model").get("b").bytes == "b123");
}

TEST_CASE("the single file may not be a link out of the folder either",
          "[model][checkpoint][hostile]") {
  const TemporaryFolder scratch;
  const TemporaryFolder outside;
  write_shard(outside / "x.safetensors", {"b"});
  fs::create_symlink(outside / "x.safetensors", scratch / "model.safetensors");
  CHECK_THAT(refusal(scratch), Contains("link"));
  fs::remove(outside / "x.safetensors");
  CHECK_THAT(refusal(scratch), Contains("model.safetensors") && Contains("missing"));
}

TEST_CASE("a snapshot of the Hugging Face cache opens: its links lead to its own blobs",
          "[model][checkpoint]") {
  const TemporaryFolder cache;
  const fs::path snapshot = cache / "models--x--y/snapshots/0123abc";
  fs::create_directories(snapshot);
  fs::create_directories(cache / "models--x--y/blobs");
  write_shard(cache / "models--x--y/blobs/f00d", {"a"});
  fs::create_symlink("../../blobs/f00d", snapshot / "model.safetensors");
  CHECK(TensorFolder::open(snapshot).get("a").bytes == "a123");

  fs::create_directories(cache / "models--other/blobs");
  write_shard(cache / "models--other/blobs/f00d", {"a"});
  fs::remove(snapshot / "model.safetensors");
  fs::create_symlink("../../../models--other/blobs/f00d", snapshot / "model.safetensors");
  CHECK_THROWS_AS(TensorFolder::open(snapshot), FormatError);
}

TEST_CASE("an index and shards that disagree are refused", "[model][checkpoint][hostile]") {
  const TemporaryFolder scratch;
  write_honest(scratch);
  SECTION("a shard is missing") {
    fs::remove(scratch / kSecond);
    CHECK_THAT(refusal(scratch), Contains(kSecond) && Contains("missing"));
  }
  SECTION("a tensor is missing in its shard") {
    write_index(scratch, {{"a", kFirst}, {"b", kSecond}, {"c", kFirst}, {"d", kSecond}});
    CHECK_THAT(refusal(scratch), Contains(kSecond) && Contains("'d'"));
  }
  SECTION("a tensor is in the other shard") {
    write_index(scratch, {{"a", kFirst}, {"b", kSecond}, {"c", kSecond}});
    CHECK_THAT(refusal(scratch), Contains(kSecond) && Contains("'c'"));
  }
  SECTION("a shard holds a tensor that the index lacks") {
    write_index(scratch, {{"a", kFirst}, {"b", kSecond}});
    CHECK_THAT(refusal(scratch), Contains(kIndex) && Contains("'c'"));
  }
  SECTION("two shards hold the same tensor") {
    write_shard(scratch / kSecond, {"a", "b"});
    CHECK_THAT(refusal(scratch), Contains("'a'") && Contains("twice") && Contains(kFirst));
  }
  SECTION("a shard is a folder") {
    fs::remove(scratch / kSecond);
    fs::create_directory(scratch / kSecond);
    CHECK_THROWS_AS(TensorFolder::open(scratch.path()), IoError);
  }
}

TEST_CASE("a broken index is refused", "[model][checkpoint][hostile]") {
  const TemporaryFolder scratch;
  write_honest(scratch);
  const std::vector<std::pair<std::string, std::string>> corpus = {
      {"", "not valid JSON"},
      {"{", "not valid JSON"},
      {"[]", "no weight_map"},
      {"{}", "no weight_map"},
      {R"({"weight_map":{}})", "no weight_map"},
      {R"({"weight_map":["a"]})", "no weight_map"},
      {R"({"weight_map":{"a":1}})", "no file name"},
      {R"({"weight_map":{"a":"x","a":"y"}})", "duplicate key 'a'"},
      {R"({"weight_map":)" + std::string(100'000, '['), "nested"},
  };
  for (const auto& [content, message] : corpus) {
    INFO(content.substr(0, 60));
    scratch.write(kIndex, content);
    CHECK_THAT(refusal(scratch), Contains(kIndex) && Contains(message));
  }
}

TEST_CASE("a folder without usable weights says what it lacks", "[model][checkpoint]") {
  const TemporaryFolder scratch;
  CHECK_THAT(refusal(scratch), Contains("no safetensors weights"));
  scratch.write("pytorch_model.bin", "pickle");
  CHECK_THAT(refusal(scratch), Contains("pickled"));
  CHECK_THROWS_AS(TensorFolder::open(scratch / "absent"), IoError);
}

TEST_CASE("a single file beside an index of other files is ambiguous", "[model][checkpoint]") {
  const TemporaryFolder scratch;
  write_honest(scratch);
  write_shard(scratch / "model.safetensors", {"a"});
  CHECK_THAT(refusal(scratch), Contains("both"));
  write_index(scratch, {{"a", "model.safetensors"}});
  CHECK(TensorFolder::open(scratch.path()).names() == std::vector<std::string>{"a"});
}

}  // namespace polygraft::model
