// model/kernels/attention.cpp: see attention.h.
#include "model/kernels/attention.h"

#include <algorithm>
#include <cmath>

namespace polygraft::kernels {
namespace {

constexpr int64_t kScoreFloats = int64_t{1} << 17;  // of a block: half a MiB
constexpr int64_t kMostRows = 96;                   // of a block: later keys are computed in vain

/// Consecutive queries of one sequence, in all heads that share keys and values. Row r is query
/// r % num_tokens of the block in head r / num_tokens of those.
struct Block {
  int64_t first_token = 0;  // of the sequence
  int64_t kv_head = 0;
  int64_t first = 0, num_tokens = 0;  // in the sequence
  int64_t num_rows = 0;

  int64_t num_keys() const { return first + num_tokens; }
  int64_t keys_of(int64_t row) const { return first + row % num_tokens + 1; }
};

/// Where a layer's rows lie.
class Layout {
 public:
  explicit Layout(const AttentionShape& shape)
      : shape_(shape), heads_per_kv_(shape.num_heads / shape.num_kv_heads) {}

  /// (token, head) of a block's row, as a place in [T, H].
  int64_t place(const Block& block, int64_t row) const {
    const int64_t token = block.first_token + block.first + row % block.num_tokens;
    return token * shape_.num_heads + block.kv_head * heads_per_kv_ + row / block.num_tokens;
  }
  /// A sequence's keys or values of one head, [length, C].
  int64_t first_kv(const Block& block) const {
    return (block.first_token * shape_.num_kv_heads + block.kv_head) * shape_.head_dim;
  }
  int64_t kv_stride() const { return shape_.num_kv_heads * shape_.head_dim; }
  Matrix kv_matrix(const Block& block, const float* kv) const {
    return {reinterpret_cast<const char*>(kv + first_kv(block)), Stored::kF32,
            kv_stride() * bytes_of(Stored::kF32)};
  }
  int64_t head_dim() const { return shape_.head_dim; }
  float scale() const { return 1.0F / std::sqrt(static_cast<float>(shape_.head_dim)); }

  /// The blocks of one sequence and head, in order.
  std::vector<Block> blocks(int64_t sequence, int64_t kv_head) const {
    const int64_t first_token = shape_.first_token[static_cast<size_t>(sequence)];
    const int64_t length = shape_.first_token[static_cast<size_t>(sequence) + 1] - first_token;
    const int64_t rows =
        std::clamp<int64_t>(kScoreFloats / std::max<int64_t>(length, 1), 8, kMostRows);
    const int64_t step = std::max<int64_t>(rows / heads_per_kv_, 1);
    std::vector<Block> blocks;
    for (int64_t first = 0; first < length; first += step) {
      const int64_t num_tokens = std::min(step, length - first);
      blocks.push_back({first_token, kv_head, first, num_tokens, num_tokens * heads_per_kv_});
    }
    return blocks;
  }

 private:
  const AttentionShape& shape_;
  int64_t heads_per_kv_;
};

/// Rows side by side: [rows, width].
struct RowTable {
  float* data = nullptr;
  int64_t width = 0;
  std::vector<const float*> rows;

  RowTable(float* memory, int64_t num_rows, int64_t row_width) : data(memory), width(row_width) {
    for (int64_t r = 0; r < num_rows; ++r) rows.push_back(memory + r * row_width);
  }
  float* row(int64_t r) const { return data + r * width; }
  int64_t size() const { return static_cast<int64_t>(rows.size()); }
  Matrix matrix() const {
    return {reinterpret_cast<const char*>(data), Stored::kF32, width * bytes_of(Stored::kF32)};
  }
};

/// One thread's work on one block after another.
class BlockWork {
 public:
  BlockWork(const Runner& runner, const Layout& layout)
      : operations_(runner.operations), layout_(layout) {}

  void forward(const Block& block, const AttentionForward& io) const {
    const int64_t dim = layout_.head_dim();
    const RowTable q = gathered(block, io.q, layout_.scale(), row_memory(block, 1));
    const RowTable scores = score_table(Scratch::kUnits, block);
    multiply(q, layout_.kv_matrix(block, io.k), /*units_are_rows=*/true, scores);
    std::vector<float> inverse_sums;
    for (int64_t r = 0; r < block.num_rows; ++r) {
      float* row = scores.row(r);
      const int64_t count = block.keys_of(r);
      const float largest = operations_.maximum(row, count);
      const double sum = operations_.exp_sum(row, count, largest, row);
      std::fill(row + count, row + scores.width, 0.0F);
      inverse_sums.push_back(static_cast<float>(1.0 / sum));
      io.log_sum[layout_.place(block, r)] = static_cast<float>(largest + std::log(sum));
    }
    const RowTable out(q.data, block.num_rows, dim);  // the queries have done their work
    multiply(scores, layout_.kv_matrix(block, io.v), /*units_are_rows=*/false, out);
    scatter(block, out, inverse_sums, io.out);
  }

  void backward(const Block& block, const AttentionBackward& io) const {
    const int64_t dim = layout_.head_dim(), num_rows = block.num_rows;
    float* memory = row_memory(block, 2);
    const RowTable q = gathered(block, io.q, layout_.scale(), memory);
    const RowTable d_out = gathered(block, io.d_out, 1.0F, memory + num_rows * dim);
    const RowTable p = score_table(Scratch::kUnits, block);
    const RowTable d_s = score_table(Scratch::kHidden, block);
    multiply(q, layout_.kv_matrix(block, io.k), true, p);
    multiply(d_out, layout_.kv_matrix(block, io.v), true, d_s);
    for (int64_t r = 0; r < num_rows; ++r) {
      const int64_t place = layout_.place(block, r), count = block.keys_of(r);
      operations_.exp_sum(p.row(r), count, io.log_sum[place], p.row(r));
      std::fill(p.row(r) + count, p.row(r) + p.width, 0.0F);
      operations_.softmax_gradient(d_s.row(r), p.row(r), dot(d_out.row(r), io.out + place * dim),
                                   count);
      std::fill(d_s.row(r) + count, d_s.row(r) + d_s.width, 0.0F);
    }
    add_transposed(block, p, d_out, io.d_v);
    add_transposed(block, d_s, q, io.d_k);  // q has the scale
    const RowTable d_q(d_out.data, num_rows, dim);
    multiply(d_s, layout_.kv_matrix(block, io.k), false, d_q);
    scatter(block, d_q, std::vector<float>(static_cast<size_t>(num_rows), layout_.scale()), io.d_q);
  }

 private:
  /// Memory of so many tables of a block's rows, C wide.
  float* row_memory(const Block& block, int64_t num_tables) const {
    return scratch(Scratch::kRows, num_tables * block.num_rows * layout_.head_dim());
  }
  static RowTable score_table(Scratch use, const Block& block) {
    return {scratch(use, block.num_rows * block.num_keys()), block.num_rows, block.num_keys()};
  }

  /// A block's rows of [T, H, C], times `scale`.
  RowTable gathered(const Block& block, const float* from, float scale, float* memory) const {
    const int64_t dim = layout_.head_dim();
    RowTable table(memory, block.num_rows, dim);
    for (int64_t r = 0; r < block.num_rows; ++r) {
      const float* row = from + layout_.place(block, r) * dim;
      operations_.combine(&row, &scale, 1, dim, table.row(r));
    }
    return table;
  }

  /// Each row times its weight, into [T, H, C].
  void scatter(const Block& block, const RowTable& table, const std::vector<float>& weights,
               float* to) const {
    const int64_t dim = layout_.head_dim();
    for (int64_t r = 0; r < block.num_rows; ++r) {
      const float* row = table.row(r);
      operations_.combine(&row, &weights[static_cast<size_t>(r)], 1, dim,
                          to + layout_.place(block, r) * dim);
    }
  }

  void multiply(const RowTable& left, const Matrix& weight, bool units_are_rows,
                const RowTable& out) const {
    operations_.product({left.rows.data(), left.size(), out.width, left.width, weight,
                         units_are_rows, out.data, out.width},
                        scratch(Scratch::kProduct, operations_.product_scratch));
  }

  /// to[key] += sum over the block's rows, in order, of scores[row, key] * rows[row].
  void add_transposed(const Block& block, const RowTable& scores, const RowTable& rows,
                      float* to) const {
    const int64_t num_keys = scores.width, num_rows = block.num_rows;
    const RowTable turned(scratch(Scratch::kTranspose, num_keys * num_rows), num_keys, num_rows);
    operations_.transpose(scores.data, num_keys, num_rows, num_keys, turned.data, num_rows);
    operations_.product({turned.rows.data(), num_keys, rows.width, num_rows, rows.matrix(), false,
                         to + layout_.first_kv(block), layout_.kv_stride(), /*accumulate=*/true},
                        scratch(Scratch::kProduct, operations_.product_scratch));
  }

  float dot(const float* a, const float* b) const {
    double sum = 0;
    for (int64_t c = 0; c < layout_.head_dim(); ++c) sum += double{a[c]} * b[c];
    return static_cast<float>(sum);
  }

  const Operations& operations_;
  const Layout& layout_;
};

}  // namespace

void attention_forward(const Runner& runner, const AttentionShape& shape,
                       const AttentionForward& forward) {
  const Layout layout(shape);
  std::vector<Block> blocks;
  for (int64_t s = 0; s < shape.num_sequences(); ++s) {
    for (int64_t j = 0; j < shape.num_kv_heads; ++j) {
      const auto of_head = layout.blocks(s, j);
      blocks.insert(blocks.end(), of_head.begin(), of_head.end());
    }
  }
  const BlockWork work(runner, layout);
  runner.threads.run(static_cast<int64_t>(blocks.size()),
                     [&](int64_t i) { work.forward(blocks[static_cast<size_t>(i)], forward); });
}

void attention_backward(const Runner& runner, const AttentionShape& shape,
                        const AttentionBackward& backward) {
  const Layout layout(shape);
  const BlockWork work(runner, layout);
  const int64_t num_kv = shape.num_tokens() * layout.kv_stride();
  std::fill(backward.d_k, backward.d_k + num_kv, 0.0F);
  std::fill(backward.d_v, backward.d_v + num_kv, 0.0F);
  runner.threads.run(shape.num_sequences() * shape.num_kv_heads, [&](int64_t i) {
    for (const Block& block : layout.blocks(i / shape.num_kv_heads, i % shape.num_kv_heads)) {
      work.backward(block, backward);
    }
  });
}

}  // namespace polygraft::kernels
