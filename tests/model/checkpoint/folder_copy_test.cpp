// tests/model/checkpoint/folder_copy_test.cpp: the hash of all tensors, and the files that are
// carried along.
#include "core/error.h"
#include "core/hash.h"
#include "core/stop.h"
#include "core/text.h"
#include "fixtures.h"
#include "model/checkpoint/side_files.h"
#include "model/checkpoint/tensor_folder.h"
#include "model/checkpoint/tensor_writer.h"
#include "model/checkpoint/tensors_hash.h"
#include "tests/core/child_process.h"

namespace polygraft::model {
namespace {

std::string hash_of(const std::vector<TensorSpec>& specs, uint64_t max_shard_bytes,
                    char last = 'z') {
  const TemporaryFolder scratch;
  TensorWriter writer(scratch.path(), specs, max_shard_bytes);
  for (const TensorSpec& spec : specs) {
    std::string bytes = patterned_bytes(spec.name, spec.num_bytes());
    if (&spec == &specs.back()) bytes.back() = last;
    writer.append(spec.name, bytes);
  }
  writer.finish();
  return hash_tensors(TensorFolder::open(scratch.path()));
}

}  // namespace

TEST_CASE("the hash does not depend on files and order, and on everything else",
          "[model][checkpoint]") {
  const std::vector<TensorSpec> specs = {{"a", Dtype::kF32, {2}}, {"b", Dtype::kF32, {3}}};
  const std::string hash = hash_of(specs, 1000);
  CHECK(hash.size() == 64);
  CHECK(hash_of(specs, 1) == hash);
  CHECK(hash_of(specs, 1000, 'y') != hash);
  CHECK(hash_of({{"a", Dtype::kF32, {2}}, {"b", Dtype::kF32, {1, 3}}}, 1000) != hash);
  CHECK(hash_of({{"a", Dtype::kF32, {2}}, {"b", Dtype::kI32, {3}}}, 1000) != hash);
  CHECK(hash_of({{"a", Dtype::kF32, {2}}, {"c", Dtype::kF32, {3}}}, 1000) != hash);

  const TemporaryFolder reversed;
  TensorWriter writer(reversed.path(), {specs[1], specs[0]});
  writer.append("b", patterned_bytes("b", 12).replace(11, 1, "z"));
  writer.append("a", patterned_bytes("a", 8));
  writer.finish();
  CHECK(hash_tensors(TensorFolder::open(reversed.path())) == hash);
}

TEST_CASE("hashing ends at the first signal", "[model][checkpoint]") {
  const TemporaryFolder scratch;
  TensorWriter writer(scratch.path(), {{"t", Dtype::kU8, {3}}});
  writer.append("t", "xyz");
  writer.finish();
  const TensorFolder tensors = TensorFolder::open(scratch.path());
  CHECK(polygraft::testing::run_child([&] {
          install_stop_handlers();
          raise(SIGINT);
          try {
            hash_tensors(tensors);
          } catch (const Interrupted&) {
            return 50;
          }
          return 1;
        }) == 50);
}

TEST_CASE("the hash is SHA-256 over name, dtype, shape and the bytes' own hash",
          "[model][checkpoint]") {
  const TemporaryFolder scratch;
  TensorWriter writer(scratch.path(), {{"t", Dtype::kU8, {1, 3}}});
  writer.append("t", "xyz");
  writer.finish();
  CHECK(hash_tensors(TensorFolder::open(scratch.path())) ==
        sha256(concat("[\"t\",\"U8\",[1,3],\"", sha256("xyz"), "\"]\n")));
}

TEST_CASE("tensors are hashed in any order, in pieces and beside other work",
          "[model][checkpoint]") {
  constexpr int64_t kBytes = int64_t{3} << 20;  // together more than what may wait
  std::map<std::string, std::string> bytes;
  TensorsHash straight;
  for (int i = 0; i < 20; ++i) {
    const std::string name = concat("tensor.", i);
    bytes[name] = patterned_bytes(name, kBytes);
    straight.add({name, Dtype::kU8, {kBytes}}, {bytes[name]});
  }
  BackgroundTensorsHash beside;
  for (auto tensor = bytes.rbegin(); tensor != bytes.rend(); ++tensor) {
    const std::string_view whole = tensor->second;
    beside.add({tensor->first, Dtype::kU8, {kBytes}},
               {whole.substr(0, 7), whole.substr(7, 0), whole.substr(7)});
  }
  CHECK(beside.finish() == straight.finish());

  BackgroundTensorsHash given_up;  // ends without finish()
  given_up.add({"a", Dtype::kU8, {kBytes}}, {bytes.begin()->second});
}

TEST_CASE("side files are carried along, weights and config are not", "[model][checkpoint]") {
  const TemporaryFolder from;
  const std::vector<std::string> carried = {"LICENSE", "README.md", "chat_template.jinja",
                                            "generation_config.json"};
  const std::vector<std::string> tokenizer = {"merges.txt", "special_tokens_map.json",
                                              "tokenizer.json", "tokenizer_config.json",
                                              "vocab.json"};
  for (const auto& name : carried) from.write(name, name);
  for (const auto& name : tokenizer) from.write(name, name);
  for (const char* name :
       {"config.json", "polygraft.json", "model.safetensors", "pytorch_model.bin",
        "model-00001-of-00002.safetensors", "model.safetensors.index.json",
        "pytorch_model.bin.index.json", "model.gguf", "optimizer.pt"}) {
    from.write(name, name);
  }
  fs::create_directory(from / "original");

  const TemporaryFolder without;
  copy_side_files(from.path(), without.path(), true);
  CHECK(without.entries() == carried);
  CHECK(read_file(without / "LICENSE") == "LICENSE");

  const TemporaryFolder with;
  with.write("LICENSE", "older");
  copy_side_files(from.path(), with.path(), false);
  CHECK(with.entries().size() == carried.size() + tokenizer.size());
  CHECK(read_file(with / "LICENSE") == "LICENSE");
}

TEST_CASE("side files that cannot be copied are an i/o error", "[model][checkpoint]") {
  const TemporaryFolder from;
  from.write("LICENSE", "text");
  CHECK_THROWS_AS(copy_side_files(from.path(), from / "absent", true), IoError);
  CHECK_THROWS_AS(copy_side_files(from / "absent", from.path(), true), IoError);
}

}  // namespace polygraft::model
