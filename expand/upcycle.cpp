// expand/upcycle.cpp: the tensors of a plan, streamed: copied bytes, cut and scaled experts, router
// rows. Legend: D model width, F FFN width, W = F/N width of a slice, E = N x M experts; expert e
// is slice e mod N of copy e div N.
#include "expand/upcycle.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <map>
#include <utility>

#include "core/background.h"
#include "core/json.h"
#include "core/progress.h"
#include "core/random.h"
#include "core/stop.h"
#include "core/text.h"
#include "expand/expert_clones.h"
#include "model/architecture/tensor_bytes.h"
#include "model/architecture/weights.h"
#include "model/checkpoint/side_files.h"
#include "model/checkpoint/tensor_writer.h"
#include "model/checkpoint/tensors_hash.h"

namespace polygraft::expand {
namespace {

using model::ModelFolder;
using model::TensorSpec;

constexpr uint64_t kMostBytesWaiting = uint64_t{64} << 20;  // made, not yet written
constexpr float kRouterDeviation = 0.02F;                   // as transformers' initializer_range

struct Scales {
  double gate, up, down;
};

Scales scales_of(const UpcycleConfig& config) {
  const auto slices = static_cast<double>(config.slices);
  if (config.scale == "exact") return {1, std::sqrt(slices), std::sqrt(slices)};
  return {std::cbrt(slices), std::cbrt(slices), std::cbrt(slices)};
}

constexpr int64_t kMostBytesKept = int64_t{128} << 20;  // of slices, and of experts made at once

/// Cuts experts out of a dense folder, one on each thread; keeps the last ones, whose three
/// matrices are asked for in turn, and a layer's slices, which several copies begin with.
class ExpertCutter {
 public:
  ExpertCutter(const ModelFolder& dense, const UpcyclePlan& plan)
      : dense_(dense), plan_(plan), scales_(scales_of(plan.config)) {}

  /// In the dtype that they are stored in.
  const Expert& expert(int64_t layer, int64_t expert) {
    const auto end = first_ + static_cast<int64_t>(made_.size());
    if (layer != layer_ || expert < first_ || expert >= end) make_from(layer, expert);
    return made_[static_cast<size_t>(expert - first_)];
  }

 private:
  void make_from(int64_t layer, int64_t first) {
    if (layer != layer_) slices_ = cut_all(layer);
    layer_ = layer, first_ = first;
    const int64_t count = std::min(num_at_once(), plan_.model.num_experts - first);
    made_.assign(static_cast<size_t>(count), {});
    at::parallel_for(0, count, 1, [&](int64_t begin, int64_t end) {
      const at::NoGradGuard no_grad;  // of this thread
      for (int64_t i = begin; i < end; ++i) made_[static_cast<size_t>(i)] = make(first + i);
    });
  }

  /// A few for each thread, where memory allows.
  int64_t num_at_once() const {
    return std::clamp<int64_t>(kMostBytesKept / expert_bytes(), 1, 4 * at::get_num_threads());
  }

  /// In float32.
  int64_t expert_bytes() const {
    return 3 * plan_.model.expert_width * plan_.model.hidden_size * 4;
  }

  /// A copy's start, to be redrawn in part.
  struct Slice {
    Expert exact;    // float32
    Expert rounded;  // in the dtype that experts are stored in
  };

  /// The layer's slices; none where they take too much memory.
  std::vector<Slice> cut_all(int64_t layer) const {
    std::vector<Slice> slices;
    if (2 * plan_.config.slices * expert_bytes() > kMostBytesKept) return slices;
    for (int64_t i = 0; i < plan_.config.slices; ++i) slices.push_back(slice(layer, i));
    return slices;
  }

  Slice slice(int64_t layer, int64_t index) const {
    const Expert exact = cut(layer, index);
    return {exact, exact.to(model::to_scalar_type(plan_.model.dtype))};
  }

  Expert make(int64_t expert) const {
    const std::string stream = concat("upcycle.layers.", layer_, ".expert.", expert);
    const int64_t index = expert % plan_.config.slices;
    const Slice start =
        slices_.empty() ? slice(layer_, index) : slices_[static_cast<size_t>(index)];
    return clone_rounded(start.exact, start.rounded, plan_.config.reinit_ratio,
                         RandomStream(static_cast<uint64_t>(plan_.config.seed), stream));
  }

  at::Tensor stored(const std::string& name_template, int64_t layer) const {
    return model::mapped_tensor(dense_.tensors.get(model::fill(name_template, layer)));
  }

  /// Legend: W units of the slice.
  Expert cut(int64_t layer, int64_t index) const {
    const model::TensorNames& names = dense_.family->names;
    const int64_t width = plan_.model.expert_width, first = index * width;
    const Expert slice{at::empty({2 * width, plan_.model.hidden_size}, at::kFloat),
                       at::empty({plan_.model.hidden_size, width}, at::kFloat)};
    const auto copy = [](at::Tensor to, const at::Tensor& from, double scale) {
      to.copy_(from).mul_(scale);
    };
    copy(slice.gate_up_GD.narrow(0, 0, width),
         stored(names.dense_gate, layer).narrow(0, first, width), scales_.gate);
    copy(slice.gate_up_GD.narrow(0, width, width),
         stored(names.dense_up, layer).narrow(0, first, width), scales_.up);
    copy(slice.down_DF, stored(names.dense_down, layer).narrow(1, first, width), scales_.down);
    return slice;
  }

  const ModelFolder& dense_;
  const UpcyclePlan& plan_;
  Scales scales_;
  int64_t layer_ = -1, first_ = 0;
  std::vector<Slice> slices_;  ///< of the layer
  std::vector<Expert> made_;   ///< of the layer, from `first_` on
};

at::Tensor router_rows(const UpcyclePlan& plan, int64_t layer) {
  const int64_t slices = plan.config.slices, num_experts = plan.model.num_experts;
  const bool grouped = plan.config.router == "grouped";
  RandomStream stream(static_cast<uint64_t>(plan.config.seed),
                      concat("upcycle.layers.", layer, ".router"));
  const int64_t num_drawn = grouped ? plan.config.copies : num_experts;
  at::Tensor drawn_nD = at::empty({num_drawn, plan.model.hidden_size}, at::kFloat);
  stream.fill_normal({drawn_nD.mutable_data_ptr<float>(), static_cast<size_t>(drawn_nD.numel())}, 0,
                     kRouterDeviation);
  return grouped ? drawn_nD.repeat_interleave(slices, 0) : drawn_nD;
}

/// What makes each tensor that the dense model lacks, by name.
using Makers = std::map<std::string, std::function<at::Tensor()>>;

Makers make_makers(const UpcyclePlan& plan, ExpertCutter& cutter) {
  const model::TensorNames& names = model::find_family(plan.model.family).names;
  const int64_t width = plan.model.expert_width;
  Makers makers;
  for (int64_t layer = 0; layer < plan.model.num_layers; ++layer) {
    makers[model::fill(names.router, layer)] = [&plan, layer] { return router_rows(plan, layer); };
    for (int64_t e = 0; e < plan.model.num_experts; ++e) {
      makers[model::fill(names.expert_gate, layer, e)] = [&cutter, layer, e, width] {
        return cutter.expert(layer, e).gate_up_GD.narrow(0, 0, width);
      };
      makers[model::fill(names.expert_up, layer, e)] = [&cutter, layer, e, width] {
        return cutter.expert(layer, e).gate_up_GD.narrow(0, width, width);
      };
      makers[model::fill(names.expert_down, layer, e)] = [&cutter, layer, e] {
        return cutter.expert(layer, e).down_DF;
      };
    }
  }
  return makers;
}

void write_tensors(const ModelFolder& dense, const UpcyclePlan& plan,
                   const std::filesystem::path& out) {
  std::vector<TensorSpec> specs =
      model::expected_tensors(plan.model, model::ExpertLayout::kPerExpert);
  uint64_t total_bytes = 0;
  for (TensorSpec& spec : specs) {
    if (dense.tensors.contains(spec.name)) spec.dtype = dense.tensors.get(spec.name).dtype;
    total_bytes += spec.num_bytes();
  }
  ExpertCutter cutter(dense, plan);
  const Makers makers = make_makers(plan, cutter);
  model::TensorWriter writer(out, specs);
  Progress progress("writing the mixture of experts", total_bytes, "bytes");
  BackgroundWork writing(kMostBytesWaiting);
  for (const TensorSpec& spec : specs) {
    throw_if_stopped();
    const auto maker = makers.find(spec.name);
    const at::Tensor made = maker != makers.end()
                                ? maker->second().to(model::to_scalar_type(spec.dtype)).contiguous()
                                : model::mapped_tensor(dense.tensors.get(spec.name));
    writing.add(made.nbytes(), [&, made] { writer.append(spec.name, model::stored_bytes(made)); });
    progress.advance(spec.num_bytes());
  }
  writing.finish();
  writer.finish();
  progress.finish();
}

Json provenance(const ModelFolder& dense, const UpcyclePlan& plan) {
  Json json = plan.to_json();
  json["tool_version"] = POLYGRAFT_VERSION;
  json["dense_tensors_hash"] = model::hash_tensors(dense.tensors);
  return json;
}

}  // namespace

void upcycle(const ModelFolder& dense, const UpcyclePlan& plan, const std::filesystem::path& out) {
  const at::NoGradGuard no_grad;
  create_folders(out);
  write_tensors(dense, plan, out);
  write_json(out / "config.json", *plan.config_json);
  model::copy_side_files(dense.path, out, /*without_tokenizer=*/false);
  write_json(out / "upcycle.json", provenance(dense, plan));
}

}  // namespace polygraft::expand
