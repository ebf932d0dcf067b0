// trainer/checkpoint.cpp: see checkpoint.h.
#include "trainer/checkpoint.h"

#include <algorithm>
#include <charconv>
#include <set>

#include "core/error.h"
#include "core/text.h"
#include "model/checkpoint/tensor_file.h"
#include "model/checkpoint/tensor_writer.h"

namespace polygraft::trainer {
namespace {

constexpr int64_t kFormat = 2;
constexpr const char* kStateFile = "state.json";
constexpr std::string_view kCheckpointPrefix = "checkpoint-";
constexpr std::string_view kBestPrefix = "best-";

/// Tensors under their names in a checkpoint's file.
using NamedTensors = std::vector<std::pair<std::string, at::Tensor>>;

NamedTensors weights_of(const Parameters& parameters) {
  NamedTensors tensors;
  for (const Parameter& parameter : parameters) {
    tensors.emplace_back(concat("weight.", parameter.name), parameter.value.detach());
  }
  return tensors;
}

NamedTensors weights_and_moments(const Parameters& parameters, const AdamW& optimizer) {
  NamedTensors tensors = weights_of(parameters);
  for (size_t i = 0; i < parameters.size(); ++i) {
    const std::string& name = parameters[i].name;
    tensors.emplace_back(concat("first_moment.", name), optimizer.first_moments()[i]);
    tensors.emplace_back(concat("second_moment.", name), optimizer.second_moments()[i]);
  }
  return tensors;
}

void write_tensors(const NamedTensors& tensors, const fs::path& folder) {
  std::vector<model::TensorSpec> specs;
  for (const auto& [name, tensor] : tensors) {
    specs.push_back({name, model::Dtype::kF32, tensor.sizes().vec()});
  }
  model::TensorWriter writer(folder, specs);
  for (const auto& [name, tensor] : tensors) {
    const at::Tensor values = tensor.cpu().contiguous();
    writer.append(name, {static_cast<const char*>(values.const_data_ptr()), values.nbytes()});
  }
  writer.finish();
}

void read_tensors(const NamedTensors& tensors, const fs::path& folder) {
  const at::NoGradGuard no_grad;
  const auto stored = model::TensorFolder::open(folder);
  for (const auto& [name, tensor] : tensors) {
    const model::TensorView& view = stored.get(name);
    if (view.shape != tensor.sizes().vec() || view.dtype != model::Dtype::kF32) {
      throw FormatError(view.file, concat("tensor '", name, "' does not fit this run"))
          .expected(concat("F32 ", model::shape_text(tensor.sizes().vec())))
          .found(concat(model::dtype_name(view.dtype), " ", model::shape_text(view.shape)));
    }
    tensor.copy_(model::mapped_tensor(view));
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

int64_t best_step_of(const Json& best, const fs::path& file) {
  return best.is_null() ? -1 : json_get<int64_t>(best, "step", file);
}

}  // namespace

Json TrainState::to_json() const {
  return {{"format", kFormat},
          {"step", step},
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
  const auto format = json_get<int64_t>(json, "format", file);
  if (format != kFormat) {
    throw FormatError(file, "checkpoint of another version of this program")
        .expected(concat("format ", kFormat))
        .found(concat(format));
  }
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

fs::path CheckpointStore::best_folder(int64_t step) const {
  return run_dir_ / concat(kBestPrefix, step);
}

void CheckpointStore::save(const TrainState& state, const Parameters& parameters,
                           const AdamW& optimizer) const {
  AtomicFolder folder(checkpoint_folder(state.step), /*replace=*/true);
  write_tensors(weights_and_moments(parameters, optimizer), folder.path());
  Json json = state.to_json();
  json["num_updates"] = optimizer.num_updates();
  json["belongs_to"] = fingerprint_;
  write_json(folder.path() / kStateFile, json);
  folder.commit();
  prune(best_step_of(state.best, folder.path() / kStateFile));
}

std::optional<TrainState> CheckpointStore::load_newest(const Parameters& parameters,
                                                       AdamW& optimizer) const {
  const std::vector<int64_t> steps = steps_of_folders(run_dir_, kCheckpointPrefix);
  if (steps.empty()) return std::nullopt;
  const fs::path folder = checkpoint_folder(steps.back());
  const fs::path file = folder / kStateFile;
  const Json json = read_json(file);
  require_same(json_get<Fingerprint>(json, "belongs_to", file), fingerprint_, folder);
  TrainState state = TrainState::from_json(json, file);
  read_tensors(weights_and_moments(parameters, optimizer), folder);
  optimizer.set_num_updates(json_get<int64_t>(json, "num_updates", file));
  return state;
}

void CheckpointStore::save_best(int64_t step, const Parameters& parameters) const {
  AtomicFolder folder(best_folder(step), /*replace=*/true);
  write_tensors(weights_of(parameters), folder.path());
  folder.commit();
}

void CheckpointStore::load_best(int64_t step, const Parameters& parameters) const {
  read_tensors(weights_of(parameters), best_folder(step));
}

void CheckpointStore::prune(int64_t current_best_step) const {
  std::vector<int64_t> steps = steps_of_folders(run_dir_, kCheckpointPrefix);
  const auto num_kept = static_cast<size_t>(keep_);
  const size_t num_old = steps.size() > num_kept ? steps.size() - num_kept : 0;
  for (size_t i = 0; i < num_old; ++i) fs::remove_all(checkpoint_folder(steps[i]));
  std::set<int64_t> wanted = {current_best_step};
  for (size_t i = num_old; i < steps.size(); ++i) {
    const fs::path file = checkpoint_folder(steps[i]) / kStateFile;
    wanted.insert(best_step_of(json_get_or<Json>(read_json(file), "best", nullptr, file), file));
  }
  for (const int64_t step : steps_of_folders(run_dir_, kBestPrefix)) {
    if (wanted.count(step) == 0) fs::remove_all(best_folder(step));
  }
}

}  // namespace polygraft::trainer
