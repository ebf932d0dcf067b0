// tests/model/device/row_sort_test.cpp: the sort of slots by expert against std::stable_sort.
#include "model/device/row_sort.h"

#include "tests/model/device/problem.h"

namespace polygraft::testing {
namespace {

using device::ThreadOrder;

struct SortCase {
  int64_t num_tokens;
  int32_t num_base, num_added, top_k;
  bool crowd = false;
};

/// first_row [N + 1], row_of_slot, slot_of_row, token_of_row.
using Sorted = std::tuple<std::vector<int32_t>, std::vector<int32_t>, std::vector<int32_t>,
                          std::vector<int32_t>>;

Sorted sort_on_host(const std::vector<int32_t>& expert, const SortCase& c, ThreadOrder order) {
  const auto num_rows = static_cast<int64_t>(expert.size());
  const device::Groups groups{c.num_base, c.num_added};
  const int64_t num_chunks = device::blocks_of(num_rows, device::kSlotsPerChunk);
  auto counts = unwritten<int32_t>(groups.count() * num_chunks);
  auto totals = unwritten<int32_t>(groups.count());
  auto first_row = unwritten<int32_t>(groups.count() + 1);
  auto row_of_slot = unwritten<int32_t>(num_rows), slot_of_row = row_of_slot,
       token_of_row = row_of_slot;
  launch_on_host(device::CountSlots{view(expert), writable(counts), groups}, order);
  launch_on_host(
      device::ExclusiveScan{view(counts), writable(counts), writable(totals), num_chunks}, order);
  launch_on_host(device::ExclusiveScan{view(totals),
                                       {first_row.data(), groups.count()},
                                       {first_row.data() + groups.count(), 1},
                                       groups.count()},
                 order);
  launch_on_host(
      device::PlaceSlots{view(expert), view(counts), view(first_row), writable(row_of_slot),
                         writable(slot_of_row), writable(token_of_row), groups, c.top_k},
      order);
  return {first_row, row_of_slot, slot_of_row, token_of_row};
}

Sorted sort_plainly(const std::vector<int32_t>& expert, const SortCase& c) {
  const auto group = [&](int32_t slot) {
    const int32_t id = expert[static_cast<size_t>(slot)];
    return id >= c.num_base ? id - c.num_base : id + c.num_added;
  };
  std::vector<int32_t> slot_of_row(expert.size()), row_of_slot(expert.size()), token_of_row;
  std::iota(slot_of_row.begin(), slot_of_row.end(), 0);
  std::stable_sort(slot_of_row.begin(), slot_of_row.end(),
                   [&](int32_t a, int32_t b) { return group(a) < group(b); });
  std::vector<int32_t> first_row(static_cast<size_t>(c.num_base + c.num_added) + 1, 0);
  for (size_t row = 0; row < slot_of_row.size(); ++row) {
    const int32_t slot = slot_of_row[row];
    row_of_slot[static_cast<size_t>(slot)] = static_cast<int32_t>(row);
    token_of_row.push_back(slot / c.top_k);
    for (size_t g = static_cast<size_t>(group(slot)) + 1; g < first_row.size(); ++g) ++first_row[g];
  }
  return {first_row, row_of_slot, slot_of_row, token_of_row};
}

}  // namespace

TEST_CASE("slots sorted on the device are std::stable_sort's, the added experts first",
          "[device]") {
  const auto c = GENERATE(SortCase{0, 4, 2, 2}, SortCase{1, 4, 0, 1}, SortCase{1, 3, 2, 5},
                          SortCase{127, 5, 3, 2}, SortCase{128, 5, 3, 2}, SortCase{129, 5, 3, 2},
                          SortCase{300, 16, 3, 4, /*crowd=*/true}, SortCase{413, 300, 9, 3},
                          SortCase{33, 64, 7, 71});
  std::mt19937_64 random(5);
  const auto expert =
      random_choices(c.num_tokens, c.num_base + c.num_added, c.top_k, c.crowd, random);
  const Sorted found =
      in_all_orders([&](ThreadOrder order) { return sort_on_host(expert, c, order); });
  REQUIRE(found == sort_plainly(expert, c));
}

}  // namespace polygraft::testing
