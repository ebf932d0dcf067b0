// trainer/checkpoint.cpp: see checkpoint.h.
#include "trainer/checkpoint.h"

#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <charconv>
#include <set>

#include "core/error.h"
#include "core/hash.h"
#include "core/remove_folder.h"
#include "core/text.h"
#include "model/architecture/tensor_bytes.h"
#include "model/checkpoint/tensor_file.h"
#include "model/checkpoint/tensor_folder.h"
#include "model/checkpoint/tensor_writer.h"

namespace polygraft::trainer {
namespace {

constexpr int64_t kFormat = 5;
constexpr const char* kStateFile = "state.json";
constexpr const char* kFormatKey = "format";
constexpr const char* kFilesKey = "files";  ///< SHA-256 of the files beside state.json, by name
constexpr const char* kHashKey = "sha256";  ///< of state.json without this key
constexpr const char* kRemoveCheckpoint =
    "remove this folder: the same command goes on from an earlier checkpoint, or begins again";
constexpr std::string_view kCheckpointPrefix = "checkpoint-";
constexpr std::string_view kBestPrefix = "best-";

constexpr const char* kWeight = "weight.";
constexpr const char* kFirstMoment = "first_moment.";
constexpr const char* kSecondMoment = "second_moment.";

/// A float32 tensor of the parameter's shape.
model::TensorSpec spec_of(const char* kind, const Parameter& parameter) {
  return {concat(kind, parameter.name), model::Dtype::kF32, parameter.value.sizes().vec()};
}

std::vector<model::TensorSpec> weight_specs(const Parameters& parameters) {
  std::vector<model::TensorSpec> specs;
  for (const Parameter& parameter : parameters) specs.push_back(spec_of(kWeight, parameter));
  return specs;
}

void append(model::TensorWriter& writer, const char* kind, const Parameter& parameter,
            const at::Tensor& tensor) {
  const at::Tensor values = tensor.cpu().contiguous();
  writer.append(concat(kind, parameter.name), model::stored_bytes(values));
}

void append_weights(model::TensorWriter& writer, const Parameters& parameters) {
  for (const Parameter& parameter : parameters) {
    append(writer, kWeight, parameter, parameter.value.detach());
  }
}

/// @param part what is wanted of the stored tensor, which has the parameter's shape.
void read(const model::TensorFolder& stored, const char* kind, const Parameter& parameter,
          parallel::Slice part, const at::Tensor& to) {
  const at::NoGradGuard no_grad;
  const model::TensorSpec spec = spec_of(kind, parameter);
  const model::TensorView& view = stored.get(spec.name);
  if (view.shape != spec.shape || view.dtype != spec.dtype) {
    throw FormatError(view.file, concat("tensor '", spec.name, "' does not fit this run"))
        .expected(concat("F32 ", model::shape_text(spec.shape)))
        .found(concat(model::dtype_name(view.dtype), " ", model::shape_text(view.shape)));
  }
  to.copy_(
      model::mapped_tensor(view).view({-1}).narrow(0, part.first, part.count).view(to.sizes()));
}

void read_weights(const model::TensorFolder& stored, const Parameters& parameters) {
  for (const Parameter& parameter : parameters) {
    read(stored, kWeight, parameter, {0, parameter.value.numel()}, parameter.value);
  }
}

/// Steps of the folders named PREFIX<step>, ascending. Unfinished ones carry another name and are
/// not seen.
std::vector<int64_t> steps_of_folders(const fs::path& run_dir, std::string_view prefix) {
  std::vector<int64_t> steps;
  if (!fs::exists(run_dir)) return steps;
  for (const auto& entry : fs::directory_iterator(run_dir)) {
    const std::string name = entry.path().filename().string();
    if (!entry.is_directory() || name.rfind(prefix, 0) != 0) continue;
    int64_t step = 0;
    const char* end = name.data() + name.size();
    const auto parsed = std::from_chars(name.data() + prefix.size(), end, step);
    if (parsed.ec == std::errc() && parsed.ptr == end) steps.push_back(step);
  }
  std::sort(steps.begin(), steps.end());
  return steps;
}

/// Ends a folder of the writer's files: `state`, its format, their hashes, and its own.
void write_state(const fs::path& folder, Json state, model::TensorWriter& writer) {
  writer.finish();
  state[kFormatKey] = kFormat;
  state[kFilesKey] = writer.hashes();
  state[kHashKey] = sha256(state.dump());
  write_json(folder / kStateFile, state);
}

void check_hash(const fs::path& file, const std::string& expected, const std::string& found) {
  if (found == expected) return;
  throw FormatError(file, "these are not the bytes that were written")
      .expected("SHA-256 " + expected)
      .found(found);
}

/// @param state without its hash afterwards.
void check_state(const fs::path& file, Json& state) {
  const auto hash = json_get<std::string>(state, kHashKey, file);
  state.erase(kHashKey);
  check_hash(file, hash, sha256(state.dump()));
}

void check_files(const fs::path& folder, const Json& state) {
  const auto hashes = json_get<Json>(state, kFilesKey, folder / kStateFile);
  for (const auto& [name, unused] : hashes.items()) {
    const auto hash = json_get<std::string>(hashes, name, folder / kStateFile);
    check_hash(folder / name, hash, sha256_file(folder / name));
  }
}

/// What reading a checkpoint says, as what it means here: it was whole when it was written.
template <class Read>
auto read_checkpoint(const fs::path& folder, const std::string& remedy, const Read& read) {
  const auto damaged = [&](const Error& error) {
    return FormatError(folder, "the checkpoint is damaged").found(error.what()).hint(remedy);
  };
  try {
    return read();
  } catch (const FormatError& error) {
    throw damaged(error);
  } catch (const IoError& error) {
    throw damaged(error);
  }
}

/// A folder's state.json, once it and all files are found to be what was written.
Json read_state(const fs::path& folder, const std::string& remedy) {
  const fs::path file = folder / kStateFile;
  Json state = read_checkpoint(folder, remedy, [&] { return read_json(file); });
  const auto format = json_get_or<int64_t>(state, kFormatKey, 0, file);
  if (format != kFormat) {
    throw FormatError(file, "checkpoint of another version of this program")
        .expected(concat("format ", kFormat))
        .found(concat(format))
        .hint(remedy);
  }
  read_checkpoint(folder, remedy, [&] {
    check_state(file, state);
    check_files(folder, state);
  });
  return state;
}

int64_t best_step_of(const Json& best, const fs::path& file) {
  return best.is_null() ? -1 : json_get<int64_t>(best, "step", file);
}

}  // namespace

Json TrainState::to_json() const {
  return {{"step", step},
          {"tokens", tokens},
          {"probed_tokens", probed_tokens},
          {"stopped", stopped},
          {"seconds", seconds},
          {"probe_seconds", probe_seconds},
          {"learned", learned.to_json()},
          {"replayed", replayed},
          {"budget", budget},
          {"best", best},
          {"metrics_bytes", metrics_bytes}};
}

TrainState TrainState::from_json(const Json& json, const fs::path& file) {
  TrainState state;
  state.step = json_get<int64_t>(json, "step", file);
  state.tokens = json_get<int64_t>(json, "tokens", file);
  state.probed_tokens = json_get<int64_t>(json, "probed_tokens", file);
  state.stopped = json_get<bool>(json, "stopped", file);
  state.seconds = json_get<double>(json, "seconds", file);
  state.probe_seconds = json_get<double>(json, "probe_seconds", file);
  state.learned = StreamPosition::from_json(json_get<Json>(json, "learned", file), file);
  state.replayed = json_get<Json>(json, "replayed", file);
  state.budget = json_get<Json>(json, "budget", file);
  state.best = json_get<Json>(json, "best", file);
  state.metrics_bytes = json_get<uint64_t>(json, "metrics_bytes", file);
  return state;
}

fs::path CheckpointStore::checkpoint_folder(int64_t step) const {
  return run_dir_ / concat(kCheckpointPrefix, step);
}

fs::path CheckpointStore::state_file(int64_t step) const {
  return checkpoint_folder(step) / kStateFile;
}

fs::path CheckpointStore::best_folder(int64_t step) const {
  return run_dir_ / concat(kBestPrefix, step);
}

void CheckpointStore::save(const TrainState& state, const Parameters& parameters,
                           const SharedOptimizer& optimizer) const {
  AtomicFolder folder(checkpoint_folder(state.step), /*replace=*/true);
  std::vector<model::TensorSpec> specs = weight_specs(parameters);
  for (const Parameter& parameter : parameters) {
    specs.push_back(spec_of(kFirstMoment, parameter));
    specs.push_back(spec_of(kSecondMoment, parameter));
  }
  model::TensorWriter writer(folder.path(), specs);
  writer.keep_hashes();
  append_weights(writer, parameters);
  optimizer.gather_moments([&](const Moments& whole) {
    append(writer, kFirstMoment, parameters[whole.parameter], whole.first);
    append(writer, kSecondMoment, parameters[whole.parameter], whole.second);
  });
  Json json = state.to_json();
  json["num_updates"] = optimizer.num_updates();
  json["belongs_to"] = fingerprint_;
  write_state(folder.path(), std::move(json), writer);
  folder.commit();
  prune(state);
}

std::optional<TrainState> CheckpointStore::load_newest(const Parameters& parameters,
                                                       SharedOptimizer& optimizer) const {
  const std::vector<int64_t> steps = steps_of_folders(run_dir_, kCheckpointPrefix);
  if (steps.empty()) return std::nullopt;
  const fs::path folder = checkpoint_folder(steps.back());
  const fs::path file = state_file(steps.back());
  const Json json = read_state(folder, kRemoveCheckpoint);
  TrainState state = TrainState::from_json(json, file);
  require_same(json_get<Fingerprint>(json, "belongs_to", file), fingerprint_, folder);
  read_checkpoint(folder, kRemoveCheckpoint, [&] {
    const auto stored = model::TensorFolder::open(folder);
    read_weights(stored, parameters);
    for (const Moments& own : optimizer.own_moments()) {
      read(stored, kFirstMoment, parameters[own.parameter], own.elements, own.first);
      read(stored, kSecondMoment, parameters[own.parameter], own.elements, own.second);
    }
  });
  optimizer.set_num_updates(json_get<int64_t>(json, "num_updates", file));
  return state;
}

void CheckpointStore::save_best(int64_t step, const Parameters& parameters) const {
  AtomicFolder folder(best_folder(step), /*replace=*/true);
  model::TensorWriter writer(folder.path(), weight_specs(parameters));
  writer.keep_hashes();
  append_weights(writer, parameters);
  write_state(folder.path(), {{"step", step}}, writer);
  folder.commit();
}

void CheckpointStore::load_best(int64_t step, const Parameters& parameters) const {
  const fs::path folder = best_folder(step);
  const std::string remedy =
      concat("remove it and the checkpoints from step ", step,
             " on: the same command goes on from an earlier one, or begins again");
  read_state(folder, remedy);
  read_checkpoint(folder, remedy,
                  [&] { read_weights(model::TensorFolder::open(folder), parameters); });
}

void CheckpointStore::prune(const TrainState& newest) const {
  for (const std::string_view prefix : {kCheckpointPrefix, kBestPrefix}) {
    remove_unfinished(run_dir_, prefix);
  }
  const std::vector<int64_t> steps = steps_of_folders(run_dir_, kCheckpointPrefix);
  const auto num_kept = static_cast<size_t>(keep_);
  const size_t num_old = steps.size() > num_kept ? steps.size() - num_kept : 0;
  for (size_t i = 0; i < num_old; ++i) remove_folder(checkpoint_folder(steps[i]));
  std::set<int64_t> wanted = {best_step_of(newest.best, state_file(newest.step))};
  for (size_t i = num_old; i < steps.size(); ++i) {
    const fs::path file = state_file(steps[i]);
    try {
      Json state = read_json(file);
      check_state(file, state);
      wanted.insert(best_step_of(json_get_or<Json>(state, "best", nullptr, file), file));
    } catch (const Error&) {
      return;  // damaged: it may want any of them
    }
  }
  for (const int64_t step : steps_of_folders(run_dir_, kBestPrefix)) {
    if (wanted.count(step) == 0) remove_folder(best_folder(step));
  }
}

}  // namespace polygraft::trainer
