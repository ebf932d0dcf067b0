// tests/model/parallel/random_exchange.cpp: see random_exchange.h.
#include "tests/model/parallel/random_exchange.h"

namespace polygraft::testing {
namespace {

std::vector<float> sum_in_rank_order(uint64_t seed, int num_ranks, size_t count) {
  std::vector<float> sum = random_addends(seed, 0, count);
  for (int r = 1; r < num_ranks; ++r) {
    const std::vector<float> addends = random_addends(seed, r, count);
    for (size_t i = 0; i < count; ++i) sum[i] += addends[i];
  }
  return sum;
}

bool broadcast_is_right(parallel::Communicator& group, uint64_t seed, int root) {
  std::vector<std::byte> bytes = random_part(seed, root, root);
  const std::vector<std::byte> expected = bytes;
  if (group.rank() != root) std::fill(bytes.begin(), bytes.end(), std::byte{0});
  group.broadcast(bytes, root);
  return bytes == expected;
}

bool send_is_right(parallel::Communicator& group, uint64_t seed, int from, int to) {
  std::vector<std::byte> bytes = random_part(seed, from, to);
  std::vector<std::byte> expected = bytes;
  if (group.rank() != from) std::fill(bytes.begin(), bytes.end(), std::byte{0});
  if (group.rank() != from && group.rank() != to) expected = bytes;  // nobody else's changes
  group.start_send(bytes, from, to)->wait();
  return bytes == expected;
}

bool all_gather_is_right(parallel::Communicator& group, uint64_t seed, size_t count) {
  std::vector<float> all(count * static_cast<size_t>(group.size())), expected;
  for (int r = 0; r < group.size(); ++r) {
    const auto part = random_addends(seed, r, count);
    expected.insert(expected.end(), part.begin(), part.end());
  }
  const auto mine = random_addends(seed, group.rank(), count);
  group.all_gather(std::as_bytes(std::span(mine)), std::as_writable_bytes(std::span(all)));
  return all == expected;
}

}  // namespace

std::string wrong_collective(parallel::Communicator& group, uint64_t seed) {
  RandomStream random(seed, "collectives");
  const size_t count = random.below(3) == 0 ? 0 : random.below(5000);
  RandomExchange first(group, 2 * seed), second(group, 2 * seed + 1);
  if (!second.is_right() || !first.is_right()) return "all-to-all-v";  // ended in the other order
  const auto expected = sum_in_rank_order(seed, group.size(), count);
  auto values = random_addends(seed, group.rank(), count);
  const auto slice = parallel::slice_of(static_cast<int64_t>(count), group.rank(), group.size());
  std::vector<float> sum(static_cast<size_t>(slice.count));
  group.reduce_scatter_sum<float>(values, sum);
  if (!std::equal(sum.begin(), sum.end(), expected.begin() + slice.first)) return "reduce-scatter";
  group.all_reduce_sum<float>(values);
  if (values != expected) return "all-reduce";
  const int root = static_cast<int>(random.below(static_cast<uint64_t>(group.size())));
  if (!broadcast_is_right(group, seed, root)) return "broadcast";
  if (!send_is_right(group, seed, root, static_cast<int>(seed) % group.size())) return "send";
  if (!all_gather_is_right(group, seed, count)) return "all-gather";
  group.barrier();
  return "";
}

}  // namespace polygraft::testing
