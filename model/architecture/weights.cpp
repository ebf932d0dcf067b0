// model/architecture/weights.cpp: the fixed order of a model's tensors, their random start, and
// dtypes; see weights.h.
#include "model/architecture/weights.h"

#include <cmath>

#include "core/error.h"
#include "core/random.h"
#include "core/text.h"
#include "model/architecture/linear_product.h"
#include "model/architecture/stored_tensors.h"

namespace polygraft::model {
namespace {

using WeightVisitor = std::function<void(const std::string&, at::Tensor&)>;

constexpr double kInitialDeviation = 0.02;  // as transformers' initializer_range

enum class Part { kAll, kAdded };

class WeightWalk {
 public:
  WeightWalk(Part part, const WeightVisitor& visit) : part_(part), visit_(visit) {}

  void run(Weights& weights) {
    rows("embedding", weights.embedding);
    if (!weights.tied) rows("head", weights.head);
    one("final_norm", weights.final_norm);
    for (size_t i = 0; i < weights.layers.size(); ++i) {
      prefix_ = concat("layers.", i, ".");
      layer(weights.layers[i]);
    }
  }

 private:
  void one(const std::string& name, at::Tensor& tensor) {
    if (tensor.defined() && part_ == Part::kAll) visit_(prefix_ + name, tensor);
  }
  void rows(const std::string& name, SplitRows& split) {
    one(name + ".base", split.base);
    if (split.added.defined()) visit_(prefix_ + name + ".added", split.added);
  }
  void layer(LayerWeights& weights) {
    AttentionWeights& attention = weights.attention;
    one("attention.norm", attention.norm);
    one("attention.query", attention.query);
    one("attention.key", attention.key);
    one("attention.value", attention.value);
    one("attention.output", attention.output);
    one("attention.query_bias", attention.query_bias);
    one("attention.key_bias", attention.key_bias);
    one("attention.value_bias", attention.value_bias);
    one("attention.output_bias", attention.output_bias);
    one("attention.query_norm", attention.query_norm);
    one("attention.key_norm", attention.key_norm);
    one("mlp_norm", weights.mlp_norm);
    if (weights.is_moe) {
      rows("moe.router", weights.moe.router);
      rows("moe.gate_up", weights.moe.gate_up);
      rows("moe.down", weights.moe.down);
      dense("moe.shared.", weights.moe.shared);
      one("moe.shared_gate", weights.moe.shared_gate);
    } else {
      dense("dense.", weights.dense);
    }
  }
  void dense(const std::string& name, DenseWeights& weights) {
    one(name + "gate", weights.gate);
    one(name + "up", weights.up);
    one(name + "down", weights.down);
    one(name + "gate_bias", weights.gate_bias);
    one(name + "up_bias", weights.up_bias);
    one(name + "down_bias", weights.down_bias);
  }

  Part part_;
  const WeightVisitor& visit_;
  std::string prefix_;
};

bool contains(const std::string& name, std::string_view part) {
  return name.find(part) != std::string::npos;
}

void fill_normal(at::Tensor& tensor, double deviation, RandomStream stream) {
  auto values = at::empty(tensor.sizes(), at::kFloat);
  stream.fill_normal({values.mutable_data_ptr<float>(), static_cast<size_t>(values.numel())}, 0,
                     static_cast<float>(deviation));
  tensor.copy_(values);
}

}  // namespace

std::vector<at::Tensor> SplitRows::pieces_of(int64_t i) const {
  const bool with_added = added.defined() && added.is_meta();
  const int64_t num_kept = num_base() + (with_added ? num_added() : 0);
  if (pieces.empty() || i >= num_kept) return {};
  const auto per_expert = static_cast<int64_t>(pieces.size()) / num_kept;
  const auto first = pieces.begin() + i * per_expert;
  return {first, first + per_expert};
}

at::Tensor SplitRows::row(int64_t i, at::ScalarType dtype) const {
  const std::vector<at::Tensor> kept = pieces_of(i);
  if (kept.empty()) {
    return for_use(i < num_base() ? base.select(0, i) : added.select(0, i - num_base()), dtype);
  }
  if (kept.size() == 1) return for_use(kept[0], dtype);
  auto whole = at::empty({base.size(1), base.size(2)}, at::TensorOptions(dtype));
  int64_t first = 0;
  for (const at::Tensor& piece : kept) {
    whole.narrow(0, first, piece.size(0)).copy_(piece);
    first += piece.size(0);
  }
  return whole;
}

void SplitRows::set_added(at::Tensor rows) {
  const size_t num_base_pieces =
      pieces.empty() ? 0 : pieces_of(0).size() * static_cast<size_t>(num_base());
  pieces.resize(num_base_pieces);
  added = std::move(rows);
}

void Weights::for_each(const WeightVisitor& visit) {
  WeightWalk(Part::kAll, visit).run(*this);
  if (tied) head = embedding;  // a visitor may have put another tensor there
}

void Weights::for_each_added(const WeightVisitor& visit) {
  WeightWalk(Part::kAdded, visit).run(*this);
  if (tied) head = embedding;
}

Weights random_weights(const ModelConfig& config, uint64_t seed, at::ScalarType dtype) {
  Weights weights = allocate_weights(config, {config.num_experts, {config.vocab_rows}}, dtype);
  const double residual_deviation =
      kInitialDeviation / std::sqrt(2.0 * static_cast<double>(config.num_layers));
  weights.for_each([&](const std::string& name, at::Tensor& tensor) {
    if (contains(name, "norm")) {
      tensor.fill_(1);
    } else if (contains(name, "bias")) {
      tensor.zero_();
    } else {
      const bool residual = contains(name, "attention.output") || contains(name, "down");
      fill_normal(tensor, residual ? residual_deviation : kInitialDeviation,
                  RandomStream(seed, name));
    }
  });
  return weights;
}

at::ScalarType to_scalar_type(Dtype dtype) {
  switch (dtype) {
    case Dtype::kF32:
      return at::kFloat;
    case Dtype::kF16:
      return at::kHalf;
    case Dtype::kBF16:
      return at::kBFloat16;
    case Dtype::kF64:
      return at::kDouble;
    case Dtype::kI64:
      return at::kLong;
    case Dtype::kI32:
      return at::kInt;
    case Dtype::kI16:
      return at::kShort;
    case Dtype::kI8:
      return at::kChar;
    case Dtype::kU8:
      return at::kByte;
    case Dtype::kBool:
      return at::kBool;
  }
  TORCH_CHECK(false, "dtype out of range");
}

Dtype from_scalar_type(at::ScalarType type) {
  switch (type) {
    case at::kFloat:
      return Dtype::kF32;
    case at::kHalf:
      return Dtype::kF16;
    case at::kBFloat16:
      return Dtype::kBF16;
    case at::kDouble:
      return Dtype::kF64;
    case at::kLong:
      return Dtype::kI64;
    case at::kInt:
      return Dtype::kI32;
    case at::kShort:
      return Dtype::kI16;
    case at::kChar:
      return Dtype::kI8;
    case at::kByte:
      return Dtype::kU8;
    case at::kBool:
      return Dtype::kBool;
    default:
      throw NotBuiltError(concat("tensors of type ", at::toString(type)));
  }
}

}  // namespace polygraft::model
