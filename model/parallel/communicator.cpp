// model/parallel/communicator.cpp: collectives out of the uneven all-to-all; see communicator.h.
#include "model/parallel/communicator.h"

#include <cstring>
#include <numeric>
#include <stdexcept>

#include "core/text.h"

namespace polygraft::parallel {
namespace {

void require_same_size(size_t send, size_t receive, const char* what) {
  if (send == receive) return;
  throw std::logic_error(concat(what, ": ", send, " bytes against ", receive));
}

Bytes part_of_bytes(Bytes all, int64_t element_bytes, int rank, int size) {
  const Slice slice = slice_of(static_cast<int64_t>(all.size()) / element_bytes, rank, size);
  return all.subspan(static_cast<size_t>(slice.first * element_bytes),
                     static_cast<size_t>(slice.count * element_bytes));
}

}  // namespace

std::vector<int> all_ranks(int size) {
  std::vector<int> ranks(static_cast<size_t>(size));
  std::iota(ranks.begin(), ranks.end(), 0);
  return ranks;
}

Membership Membership::subgroup(const std::vector<int>& ranks) const {
  Membership inner{{}, -1};
  for (const int inner_rank : ranks) {
    if (inner_rank == rank) inner.rank = static_cast<int>(inner.members.size());
    inner.members.push_back(members[static_cast<size_t>(inner_rank)]);
  }
  if (inner.rank < 0) throw std::logic_error("a rank must be a member of its own subgroup");
  return inner;
}

PendingPtr Communicator::start_all_to_all_v(const Exchange& exchange) {
  const auto num_ranks = static_cast<size_t>(size()), own = static_cast<size_t>(rank());
  if (exchange.send.size() != num_ranks || exchange.receive.size() != num_ranks) {
    throw std::logic_error("an exchange needs one part for each rank");
  }
  const ConstBytes mine = exchange.send[own];
  for (size_t r = 0; r < num_ranks; ++r) bytes_sent_ += r == own ? 0 : exchange.send[r].size();
  require_same_size(mine.size(), exchange.receive[own].size(), "a rank's part for itself");
  if (!mine.empty() && mine.data() != exchange.receive[own].data()) {
    copy_own(mine, exchange.receive[own]);
  }
  return start(exchange);
}

void Communicator::copy_own(ConstBytes from, Bytes to) {
  std::memcpy(to.data(), from.data(), from.size());
}

PendingPtr Communicator::start_all_gather(ConstBytes mine, Bytes all) {
  const auto num_ranks = static_cast<size_t>(size());
  require_same_size(mine.size() * num_ranks, all.size(), "all-gather");
  Exchange exchange;
  for (size_t r = 0; r < num_ranks; ++r) {
    exchange.send.push_back(mine);
    exchange.receive.push_back(all.subspan(r * mine.size(), mine.size()));
  }
  return start_all_to_all_v(exchange);
}

PendingPtr Communicator::start_broadcast(Bytes bytes, int root) {
  const auto num_ranks = static_cast<size_t>(size());
  Exchange exchange{std::vector<ConstBytes>(num_ranks), std::vector<Bytes>(num_ranks)};
  if (rank() == root) exchange.send.assign(num_ranks, bytes);
  exchange.receive[static_cast<size_t>(root)] = bytes;
  return start_all_to_all_v(exchange);
}

PendingPtr Communicator::start_send(Bytes bytes, int from, int to) {
  const auto num_ranks = static_cast<size_t>(size());
  Exchange exchange{std::vector<ConstBytes>(num_ranks), std::vector<Bytes>(num_ranks)};
  if (from != to && rank() == from) exchange.send[static_cast<size_t>(to)] = bytes;
  if (from != to && rank() == to) exchange.receive[static_cast<size_t>(from)] = bytes;
  return start_all_to_all_v(exchange);
}

PendingPtr Communicator::start_all_gather_slices(Bytes all, int64_t element_bytes) {
  Exchange exchange;
  for (int r = 0; r < size(); ++r) {
    exchange.send.push_back(part_of_bytes(all, element_bytes, rank(), size()));
    exchange.receive.push_back(part_of_bytes(all, element_bytes, r, size()));
  }
  return start_all_to_all_v(exchange);
}

void Communicator::barrier() {
  const std::byte here{1};
  std::vector<std::byte> all(static_cast<size_t>(size()));
  all_gather({&here, 1}, all);
}

template <class T>
void Communicator::reduce_scatter_sum(std::span<const T> values, std::span<T> slice) {
  const auto num_values = static_cast<int64_t>(values.size());
  const auto mine = static_cast<size_t>(slice_of(num_values, rank(), size()).count);
  require_same_size(mine * sizeof(T), slice.size_bytes(), "reduce-scatter");
  std::vector<T> received(mine * static_cast<size_t>(size()));
  Exchange exchange;
  for (int r = 0; r < size(); ++r) {
    const Slice part = slice_of(num_values, r, size());
    exchange.send.push_back(std::as_bytes(
        values.subspan(static_cast<size_t>(part.first), static_cast<size_t>(part.count))));
    exchange.receive.push_back(std::as_writable_bytes(
        std::span<T>(received).subspan(static_cast<size_t>(r) * mine, mine)));
  }
  all_to_all_v(exchange);
  for (size_t i = 0; i < mine; ++i) {
    T sum = received[i];
    for (size_t r = 1; r < static_cast<size_t>(size()); ++r) sum += received[r * mine + i];
    slice[i] = sum;
  }
}

template <class T>
void Communicator::all_reduce_sum(std::span<T> values) {
  const Slice mine = slice_of(static_cast<int64_t>(values.size()), rank(), size());
  const auto slice =
      values.subspan(static_cast<size_t>(mine.first), static_cast<size_t>(mine.count));
  std::vector<T> sum(slice.size());
  reduce_scatter_sum<T>(values, sum);
  std::copy(sum.begin(), sum.end(), slice.begin());
  start_all_gather_slices(std::as_writable_bytes(values), sizeof(T))->wait();
}

template void Communicator::reduce_scatter_sum(std::span<const float>, std::span<float>);
template void Communicator::reduce_scatter_sum(std::span<const double>, std::span<double>);
template void Communicator::reduce_scatter_sum(std::span<const int64_t>, std::span<int64_t>);
template void Communicator::all_reduce_sum(std::span<float>);
template void Communicator::all_reduce_sum(std::span<double>);
template void Communicator::all_reduce_sum(std::span<int64_t>);

}  // namespace polygraft::parallel
