// expand/verify_bytes.cpp: old tensors and rows compared where they lie in the memory-mapped files.
#include <algorithm>
#include <charconv>

#include "core/mapped_pages.h"
#include "core/stop.h"
#include "core/text.h"
#include "expand/additions.h"
#include "expand/verify_parts.h"
#include "model/checkpoint/displaced_rows.h"

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

/// A tensor's differing rows, reported as one difference: the first row, and how many more.
class DifferingRows {
 public:
  /// @param a, b a row here and there, of one length.
  void compare(int64_t row, std::string_view a, std::string_view b) {
    const auto at = std::mismatch(a.begin(), a.end(), b.begin()).first;
    if (at == a.end()) return;
    if (count_++ == 0) first_ = {"", row, at - a.begin(), ""};
  }
  void add_to(VerifyReport& report, const std::string& tensor, const std::string& reason) && {
    if (count_ == 0) return;
    first_.tensor = tensor;
    first_.reason = count_ == 1 ? reason : concat(reason, "; so do ", count_ - 1, " more rows");
    add_difference(report, std::move(first_));
  }

 private:
  Difference first_;
  int64_t count_ = 0;
};

/// `count` old rows from `first` on.
/// @param new_bytes at least as many rows. @param where that they are reported under.
void compare_rows(const TensorView& old_view, int64_t first, int64_t count,
                  std::string_view new_bytes, const std::string& where, VerifyReport& report) {
  const auto row_bytes =
      old_view.shape.empty() ? old_view.bytes.size() : static_cast<size_t>(old_view.row_bytes());
  const size_t num_bytes = static_cast<size_t>(count) * row_bytes;
  const std::string_view old_bytes =
      old_view.bytes.substr(static_cast<size_t>(first) * row_bytes, num_bytes);
  report.bytes_compared += num_bytes;
  if (old_bytes == new_bytes.substr(0, num_bytes)) return;
  DifferingRows differing;
  for (size_t begin = 0; begin < num_bytes; begin += row_bytes) {
    differing.compare(first + static_cast<int64_t>(begin / row_bytes),
                      old_bytes.substr(begin, row_bytes), new_bytes.substr(begin, row_bytes));
  }
  std::move(differing).add_to(report, where, "an old row's bytes differ from the base's");
}

std::string_view rows_from(const TensorView& view, int64_t first) {
  return view.bytes.substr(static_cast<size_t>(first * view.row_bytes()));
}

/// Padding rows are copies of the row that the manifest names.
void compare_padding(const TensorView& old_view, const TensorView& new_view,
                     const model::RowLayout& layout, VerifyReport& report) {
  const auto row_bytes = static_cast<size_t>(old_view.row_bytes());
  const std::string_view copied =
      rows_from(old_view, layout.placement.padding_row).substr(0, row_bytes);
  DifferingRows differing;
  for (int64_t row = layout.first_padding(); row < layout.num_rows(); ++row) {
    differing.compare(row, rows_from(new_view, row).substr(0, row_bytes), copied);
  }
  std::move(differing).add_to(report, new_view.name,
                              concat("a padding row's bytes differ from those of the base's row ",
                                     layout.placement.padding_row));
}

/// Input or output rows, which stand in front of the added ones, behind them, or apart.
void compare_vocabulary(const TensorView& old_view, const TensorView& new_view,
                        const ModelFolder& expanded, VerifyReport& report) {
  const model::RowLayout layout = expanded.vocab_layout();
  const int64_t first = layout.first_added(), end = layout.end_displaced();
  const std::string& name = new_view.name;
  compare_rows(old_view, 0, first, new_view.bytes, name, report);
  if (layout.num_displaced() > 0) {
    compare_rows(old_view, first, layout.num_displaced(),
                 model::displaced_rows_of(expanded, name).bytes,
                 concat(model::kBaseFolder, "/", model::kDisplacedRowsFile, ": ", name), report);
  }
  if (layout.num_behind() > 0) {
    compare_rows(old_view, end, layout.num_behind(), rows_from(new_view, end), name, report);
  }
  compare_padding(old_view, new_view, layout, report);
}

int64_t first_new_row(const TensorView& old_view, bool is_vocabulary, const ModelFolder& expanded) {
  const int64_t num_old = old_view.shape.at(0);
  return is_vocabulary ? std::min(expanded.vocab_layout().first_added(), num_old) : num_old;
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
  const model::TensorNames& names = expanded.family->names;
  const bool is_vocabulary = new_name == names.embedding || new_name == names.head;
  // A manifest of another base is a difference of its own; there the rows in front are compared.
  if (is_vocabulary && expanded.num_base_vocab_rows() == old_view.shape[0]) {
    compare_vocabulary(old_view, new_view, expanded, report);
  } else {
    const int64_t num_rows = old_view.shape.empty() ? 1 : old_view.shape[0];
    compare_rows(old_view, 0, num_rows, new_view.bytes, new_view.name, report);
  }
  if (may_grow) verify_finite(new_view, first_new_row(old_view, is_vocabulary, expanded), report);
}

/// N of "model.layers.N.*"; -1 for what belongs to no layer.
int64_t layer_of(const std::string& name) {
  constexpr std::string_view kBefore = ".layers.";
  const size_t at = name.find(kBefore);
  if (at == std::string::npos) return -1;
  int64_t layer = -1;
  const char* const end = name.data() + name.size();
  std::from_chars(name.data() + at + kBefore.size(), end, layer);
  return layer;
}

}  // namespace

BytesCheck::BytesCheck(const ModelFolder& base, const ModelFolder& expanded, VerifyReport& report)
    : base_(base),
      expanded_(expanded),
      report_(report),
      growing_(growing_tensors(base)),
      progress_("comparing with the base", base.tensors.total_bytes(), "bytes") {
  for (const std::string& name : base.tensors.names()) {
    names_by_layer_[layer_of(name)].push_back(name);
  }
}

void BytesCheck::for_each_in(int64_t layer, void (*tell)(std::string_view mapped)) const {
  const auto found = names_by_layer_.find(layer);
  if (found == names_by_layer_.end()) return;
  for (const std::string& name : found->second) {
    tell(base_.tensors.get(name).bytes);
    if (expanded_.tensors.contains(name)) tell(expanded_.tensors.get(name).bytes);
  }
}

void BytesCheck::compare(int64_t layer) {
  if (layer > 0) for_each_in(layer - 1, release_pages);
  for (const std::string& name : names_by_layer_[layer]) {
    throw_if_stopped();
    const TensorView& view = base_.tensors.get(name);
    hash_.add({name, view.dtype, view.shape}, {view.bytes});
    compare_tensor(view, name, growing_.count(name) != 0, expanded_, report_);
    progress_.advance(view.bytes.size());
  }
  for_each_in(layer + 1, read_ahead);  // while the caller runs this one
}

std::string BytesCheck::finish() {
  progress_.finish();
  const model::TensorNames& names = base_.family->names;
  if (base_.config.tied_embeddings && !expanded_.config.tied_embeddings) {
    // The old output rows of a head that was tied are the old input rows.
    compare_tensor(base_.tensors.get(names.embedding), names.head, true, expanded_, report_);
  }
  const std::set<std::string> allowed = allowed_new_tensors(base_, expanded_);
  for (const std::string& name : expanded_.tensors.names()) {
    if (base_.tensors.contains(name)) continue;
    if (allowed.count(name) == 0) {
      add_difference(report_, name, "neither a tensor of the base nor an addition");
    } else if (name != names.head) {
      verify_finite(expanded_.tensors.get(name), 0, report_);
    }
  }
  return hash_.finish();
}

}  // namespace polygraft::expand
