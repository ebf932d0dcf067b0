// expand/packs/base_snapshot.cpp: see base_snapshot.h.
#include "expand/packs/base_snapshot.h"

#include <algorithm>
#include <set>

#include "core/error.h"
#include "core/file.h"
#include "core/hash.h"
#include "core/json.h"
#include "core/text.h"
#include "model/checkpoint/json_fields.h"
#include "model/checkpoint/side_files.h"
#include "model/checkpoint/tensor_file.h"
#include "model/checkpoint/tensor_folder.h"
#include "model/checkpoint/tensor_writer.h"

namespace polygraft::expand {

namespace {

constexpr int64_t kSnapshotSchema = 1;
constexpr const char* kSnapshotFile = "snapshot.json";
constexpr const char* kDroppedFile = "dropped.safetensors";

/// Copies what transformers and a person find beside the weights. @return hashes by name.
OrderedJson copy_files(const fs::path& from, const fs::path& to,
                       const std::set<std::string>& shards, std::vector<std::string>& left_out) {
  std::map<std::string, std::string> hashes;
  create_folders(to);
  for (const fs::directory_entry& entry : fs::directory_iterator(from)) {
    const std::string name = entry.path().filename().string();
    if (shards.count(name) != 0) continue;
    const std::string shown = valid_utf8(name);  // JSON can hold no other
    if (shown != name || !entry.is_regular_file() ||
        (model::is_weight_file(name) && name != model::kIndexFile)) {
      left_out.push_back(entry.is_directory() ? shown + "/" : shown);
      continue;
    }
    copy_bytes(entry.path(), to / name);
    hashes[name] = sha256_file(to / name);
  }
  std::sort(left_out.begin(), left_out.end());
  OrderedJson json = OrderedJson::object();
  for (const auto& [name, hash] : hashes) json[name] = hash;
  return json;
}

/// Stored tensors that the model does not use: buffers of old versions. The stored copy of a tied
/// head equals the embedding, and is not kept.
void write_dropped(const model::TensorFolder& stored, const model::ModelFolder& base,
                   const fs::path& file) {
  std::map<std::string, model::OwnedTensor> dropped;
  for (const std::string& name : stored.names()) {
    if (base.tensors.contains(name) || name == base.family->names.head) continue;
    const model::TensorView& view = stored.get(name);
    dropped[name] = {{name, view.dtype, view.shape}, std::string(view.bytes)};
  }
  if (!dropped.empty()) model::write_tensor_file(file, dropped);
}

void write_headers(const std::set<std::string>& shards, const fs::path& from, const fs::path& to) {
  create_folders(to);
  for (const std::string& name : shards) {
    const MappedFile file(from / name);
    const model::Header header = model::decode_header(file.text(), from / name);
    write_file_atomically(to / name, file.text().substr(0, header.data_offset));
  }
}

}  // namespace

void write_base_snapshot(const model::ModelFolder& base, const fs::path& model) {
  const fs::path folder = model / kBaseFolder;
  const auto stored = model::TensorFolder::open(base.path);
  std::set<std::string> shards;
  for (const std::string& name : stored.names()) {
    shards.insert(stored.get(name).file.filename().string());
  }
  std::vector<std::string> left_out;
  const OrderedJson files = copy_files(base.path, folder / "files", shards, left_out);
  write_headers(shards, base.path, folder / "headers");
  write_dropped(stored, base, folder / kDroppedFile);
  write_json(folder / kSnapshotFile, OrderedJson{{"schema_version", kSnapshotSchema},
                                                 {"files", files},
                                                 {"shards", shards},
                                                 {"left_out", left_out}});
}

void copy_part(const fs::path& from, const std::string& subfolder, const fs::path& to) {
  if (!fs::exists(from / subfolder)) return;
  std::error_code error;
  fs::copy(from / subfolder, to / subfolder, fs::copy_options::recursive, error);
  if (error) throw IoError(to / subfolder, "cannot copy the folder").found(error.message());
}

namespace {

/// A file of the snapshot, never one elsewhere.
std::string plain_name(const std::string& name, const fs::path& file) {
  if (model::is_plain_file_name(name)) return name;
  throw FormatError(file, "a name leads out of the folder")
      .expected("a plain file name")
      .found(in_quotes(name));
}

}  // namespace

BaseSnapshot BaseSnapshot::open(const fs::path& model) {
  const fs::path folder = model / kBaseFolder, file = folder / kSnapshotFile;
  if (!fs::exists(file)) {
    throw FormatError(file, "the model does not carry what is left of its base")
        .expected(concat("the folder ", kBaseFolder, " that an expansion writes"))
        .hint("expand the base again with this version");
  }
  const Json json = read_json(file);
  model::JsonFields(json, file).require_schema(kSnapshotSchema, "what is kept of the base");
  BaseSnapshot snapshot;
  snapshot.files = folder / "files";
  const Json files = json_get<Json>(json, "files", file);
  for (const auto& [name, hash] : files.items()) {
    snapshot.file_hashes[plain_name(name, file)] = json_get<std::string>(files, name, file);
  }
  for (const std::string& name : json_get<std::vector<std::string>>(json, "shards", file)) {
    const fs::path header_file = folder / "headers" / plain_name(name, file);
    std::string bytes = read_file(header_file);
    model::Header header = model::decode_lone_header(bytes, header_file);
    snapshot.shards.push_back({name, std::move(bytes), std::move(header)});
  }
  snapshot.left_out = json_get<std::vector<std::string>>(json, "left_out", file);
  if (fs::exists(folder / kDroppedFile)) {
    snapshot.dropped = model::read_tensor_file(folder / kDroppedFile);
  }
  return snapshot;
}

}  // namespace polygraft::expand
