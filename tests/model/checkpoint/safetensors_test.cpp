// tests/model/checkpoint/safetensors_test.cpp: reading well-formed safetensors files, and our bytes
// against the reference's.
#include "fixtures.h"
#include "model/checkpoint/tensor_file.h"
#include "model/checkpoint/tensor_folder.h"
#include "model/checkpoint/tensor_writer.h"

using Catch::Contains;

namespace polygraft::model {
namespace {

std::map<std::string, OwnedTensor> three_tensors() {
  const auto owned = [](const std::string& name, Dtype dtype, std::vector<int64_t> shape,
                        const std::string& bytes) {
    return std::pair(name, OwnedTensor{{name, dtype, std::move(shape)}, bytes});
  };
  return {owned("a", Dtype::kBF16, {3}, std::string("\x01\x02\x03\x04\x05\x06", 6)),
          owned("b", Dtype::kF32, {1, 2}, std::string("\0\0\x80\x3f\0\0\0\x40", 8)),
          owned("c", Dtype::kI64, {}, std::string("\x07\0\0\0\0\0\0\0", 8))};
}

}  // namespace

TEST_CASE("a written file has the bytes of the reference writer", "[model][checkpoint]") {
  // safetensors 0.8: save_file({"a": bfloat16 [3], "b": float32 [[1, 2]], "c": int64 7},
  // metadata={"format": "pt"}).
  const std::string header =
      R"({"__metadata__":{"format":"pt"},"c":{"dtype":"I64","shape":[],"data_offsets":[0,8]},)"
      R"("b":{"dtype":"F32","shape":[1,2],"data_offsets":[8,16]},)"
      R"("a":{"dtype":"BF16","shape":[3],"data_offsets":[16,22]}})"
      "    ";
  const std::string data("\x07\0\0\0\0\0\0\0\0\0\x80\x3f\0\0\0\x40\x01\x02\x03\x04\x05\x06", 22);
  const TemporaryFolder scratch;
  write_tensor_file(scratch / "x.safetensors", three_tensors(), {{"format", "pt"}});
  const std::string written = read_file(scratch / "x.safetensors");
  CHECK(header.size() % 8 == 0);
  CHECK(written == safetensors_bytes(header, data));
}

TEST_CASE("tensors lie in the reference writer's order of dtypes", "[model][checkpoint]") {
  // safetensors 0.8, save_file of one tensor of each dtype, named a to j.
  const std::vector<Dtype> by_name = {Dtype::kBool, Dtype::kU8,   Dtype::kI8,  Dtype::kI16,
                                      Dtype::kF16,  Dtype::kBF16, Dtype::kI32, Dtype::kF32,
                                      Dtype::kF64,  Dtype::kI64};
  std::map<std::string, OwnedTensor> tensors;
  for (size_t i = 0; i < by_name.size(); ++i) {
    const std::string name(1, static_cast<char>('a' + i));
    tensors[name] = {{name, by_name[i], {3}}, std::string(3 * dtype_bytes(by_name[i]), 'x')};
  }
  const TemporaryFolder scratch;
  write_tensor_file(scratch / "model.safetensors", tensors);
  const std::vector<std::string> order = {"j", "i", "h", "g", "f", "e", "d", "c", "b", "a"};
  CHECK(TensorFolder::open(scratch.path()).names() == order);
}

TEST_CASE("what was written is read back", "[model][checkpoint]") {
  const TemporaryFolder scratch;
  const auto tensors = three_tensors();
  write_tensor_file(scratch / "x.safetensors", tensors);
  const auto views = read_tensor_file(scratch / "x.safetensors");
  REQUIRE(views.size() == 3);
  for (const auto& [name, view] : views) {
    CHECK(view.name == name);
    CHECK(view.dtype == tensors.at(name).spec.dtype);
    CHECK(view.shape == tensors.at(name).spec.shape);
    CHECK(view.bytes == tensors.at(name).bytes);
    CHECK(reinterpret_cast<uintptr_t>(view.bytes.data()) % dtype_bytes(view.dtype) == 0);
  }
  CHECK(views.at("c").num_elements() == 1);
  CHECK(views.at("b").num_elements() == 2);
  CHECK(views.at("b").row_bytes() == 8);
}

TEST_CASE("a view keeps its bytes alive after the folder is gone", "[model][checkpoint]") {
  const TemporaryFolder scratch;
  write_tensor_file(scratch / "model.safetensors", three_tensors());
  const TensorView view = TensorFolder::open(scratch.path()).get("b");
  fs::remove(scratch / "model.safetensors");
  CHECK(view.bytes == three_tensors().at("b").bytes);
}

TEST_CASE("a wrong name or byte count is refused before anything is written",
          "[model][checkpoint]") {
  const TemporaryFolder scratch;
  auto tensors = three_tensors();
  tensors["a"].bytes.pop_back();
  CHECK_THAT(message_of<FormatError>([&] { write_tensor_file(scratch / "x", tensors); }),
             Contains("'a'") && Contains("6 for [3]"));
  tensors = three_tensors();
  tensors["a"].spec.name = "z";
  CHECK_THROWS_AS(write_tensor_file(scratch / "x", tensors), FormatError);
  CHECK(scratch.entries().empty());
}

TEST_CASE("valid oddities are accepted", "[model][checkpoint]") {
  const TemporaryFolder scratch;
  const auto open = [&](std::string_view header, std::string_view data) {
    scratch.write("x.safetensors", safetensors_bytes(header, data));
    return read_tensor_file(scratch / "x.safetensors");
  };
  CHECK(open("{}", "").empty());
  CHECK(open(R"({"__metadata__":{}})", "").empty());
  CHECK(open("{}      ", "").empty());
  // Tensors without elements take no place, wherever they stand.
  const auto views = open(R"({"e":{"dtype":"F32","shape":[0,5],"data_offsets":[2,2]},)"
                          R"("a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},)"
                          R"("b":{"dtype":"U8","shape":[1],"data_offsets":[2,3]}})",
                          "xyz");
  CHECK(views.at("e").num_elements() == 0);
  CHECK(views.at("e").row_bytes() == 0);
  CHECK(views.at("a").bytes == "xy");
  CHECK(views.at("b").bytes == "z");
}

TEST_CASE("dtypes have a name in both spellings and a width", "[model][checkpoint]") {
  const std::vector<Dtype> all = {Dtype::kF32, Dtype::kF16, Dtype::kBF16, Dtype::kF64,
                                  Dtype::kI64, Dtype::kI32, Dtype::kI16,  Dtype::kI8,
                                  Dtype::kU8,  Dtype::kBool};
  for (Dtype dtype : all) {
    CHECK(parse_dtype(dtype_name(dtype), "f") == dtype);
    CHECK(parse_torch_dtype(torch_dtype_name(dtype), "f") == dtype);
  }
  CHECK(dtype_bytes(Dtype::kBF16) == 2);
  CHECK(dtype_bytes(Dtype::kF64) == 8);
  CHECK(parse_torch_dtype("torch.bfloat16", "f") == Dtype::kBF16);
  for (const char* quantised : {"F8_E4M3", "F8_E5M2", "F4", "U32", "bf16", ""}) {
    CHECK_THAT(message_of<FormatError>([&] { parse_dtype(quantised, "f"); }), Contains("F32"));
  }
}

}  // namespace polygraft::model
