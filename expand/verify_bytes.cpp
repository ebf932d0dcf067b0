// expand/verify_bytes.cpp: old tensors and rows compared where they lie in the memory-mapped files.
#include <algorithm>
#include <cstring>
#include <set>

#include "core/progress.h"
#include "core/text.h"
#include "expand/additions.h"
#include "expand/verify_parts.h"

namespace polygraft::expand {

namespace {

using model::ModelFolder;
using model::TensorView;

/// Tensors whose dimension 0 may grow: vocabulary rows, router rows, fused experts.
std::set<std::string> growing_tensors(const ModelFolder& folder) {
  const model::TensorNames& names = folder.family->names;
  std::set<std::string> growing{names.embedding, names.head};
  for (const int64_t layer : AdditionShapes::of(folder.config).moe_layers) {
    const model::ExpertLayout layout = folder.layout.of(layer);
    growing.insert(model::fill(names.router_of(layout), layer));
    if (layout != model::ExpertLayout::kFused) continue;
    growing.insert(model::fill(names.fused_gate_up, layer));
    growing.insert(model::fill(names.fused_down, layer));
  }
  return growing;
}

/// Tensors that an expansion may bring: new experts of the per-expert layout, and the head of a
/// model that was tied.
std::set<std::string> allowed_new_tensors(const ModelFolder& base, const ModelFolder& expanded) {
  const model::TensorNames& names = base.family->names;
  std::set<std::string> allowed;
  if (base.config.tied_embeddings && !expanded.config.tied_embeddings) allowed.insert(names.head);
  for (const int64_t layer : AdditionShapes::of(base.config).moe_layers) {
    if (base.layout.of(layer) != model::ExpertLayout::kPerExpert) continue;
    for (int64_t e = base.config.num_experts; e < expanded.config.num_experts; ++e) {
      for (const std::string& name : {names.expert_gate, names.expert_up, names.expert_down}) {
        allowed.insert(model::fill(name, layer, e));
      }
    }
  }
  return allowed;
}

std::string describe(const TensorView& view) {
  return concat(model::dtype_name(view.dtype), " ", model::shape_text(view.shape));
}

bool shapes_agree(const TensorView& old_view, const TensorView& new_view, bool may_grow) {
  if (old_view.dtype != new_view.dtype || old_view.shape.size() != new_view.shape.size()) {
    return false;
  }
  if (old_view.shape == new_view.shape) return true;
  return may_grow && !old_view.shape.empty() && new_view.shape[0] >= old_view.shape[0] &&
         std::equal(old_view.shape.begin() + 1, old_view.shape.end(), new_view.shape.begin() + 1);
}

/// Every differing row of the leading rows, with its first differing byte.
void compare_rows(const TensorView& old_view, const TensorView& new_view, VerifyReport& report) {
  const char* const old_bytes = old_view.bytes.data();
  const char* const new_bytes = new_view.bytes.data();
  const size_t num_bytes = old_view.bytes.size();
  report.bytes_compared += num_bytes;
  if (std::memcmp(old_bytes, new_bytes, num_bytes) == 0) return;
  const auto row_bytes =
      old_view.shape.empty() ? num_bytes : static_cast<size_t>(old_view.row_bytes());
  for (size_t begin = 0; begin < num_bytes; begin += row_bytes) {
    const char* const row_end = old_bytes + begin + row_bytes;
    const auto [at, ignored] = std::mismatch(old_bytes + begin, row_end, new_bytes + begin);
    if (at == row_end) continue;
    add_difference(report, {new_view.name, static_cast<int64_t>(begin / row_bytes),
                            at - (old_bytes + begin), "an old row's bytes differ from the base's"});
  }
}

void compare_tensor(const TensorView& old_view, const std::string& new_name, bool may_grow,
                    const ModelFolder& expanded, VerifyReport& report) {
  ++report.tensors_checked;
  if (!expanded.tensors.contains(new_name)) {
    add_difference(report, new_name, "the expanded model lacks this tensor of the base");
    return;
  }
  const TensorView& new_view = expanded.tensors.get(new_name);
  if (!shapes_agree(old_view, new_view, may_grow)) {
    add_difference(
        report, new_name,
        concat("base has ", describe(old_view), ", expanded model ", describe(new_view)));
    return;
  }
  compare_rows(old_view, new_view, report);
}

}  // namespace

void verify_bytes(const ModelFolder& base, const ModelFolder& expanded, VerifyReport& report) {
  const std::set<std::string> growing = growing_tensors(base);
  Progress progress("comparing with the base", base.tensors.total_bytes(), "bytes");
  for (const std::string& name : base.tensors.names()) {
    const TensorView& view = base.tensors.get(name);
    compare_tensor(view, name, growing.count(name) != 0, expanded, report);
    progress.advance(view.bytes.size());
  }
  progress.finish();
  const model::TensorNames& names = base.family->names;
  if (base.config.tied_embeddings && !expanded.config.tied_embeddings) {
    // The old output rows of a head that was tied are the old input rows.
    compare_tensor(base.tensors.get(names.embedding), names.head, true, expanded, report);
  }
  const std::set<std::string> allowed = allowed_new_tensors(base, expanded);
  for (const std::string& name : expanded.tensors.names()) {
    if (base.tensors.contains(name) || allowed.count(name) != 0) continue;
    add_difference(report, name, "neither a tensor of the base nor an addition");
  }
}

}  // namespace polygraft::expand
