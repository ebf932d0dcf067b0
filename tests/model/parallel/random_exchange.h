// tests/model/parallel/random_exchange.h: exchanges of random sizes, many of them zero, whose every
// byte says where it comes from and where it goes. Sizes and bytes follow from (seed, from, to), so
// that both sides know them.
#pragma once
#include <string>

#include "core/random.h"
#include "core/text.h"
#include "model/parallel/communicator.h"

namespace polygraft::testing {

inline std::vector<std::byte> random_part(uint64_t seed, int from, int to) {
  RandomStream random(seed, concat(from, " to ", to));
  constexpr uint64_t kSizes[] = {0, 0, 1, 7, 4096, 70000};  // the last one is no eager message
  std::vector<std::byte> bytes(kSizes[random.below(6)]);
  for (std::byte& byte : bytes) byte = static_cast<std::byte>(random.below(256));
  return bytes;
}

/// One uneven all-to-all under way, and what must come of it.
class RandomExchange {
 public:
  RandomExchange(parallel::Communicator& group, uint64_t seed) : group_(group), seed_(seed) {
    parallel::Exchange exchange;
    for (int r = 0; r < group.size(); ++r) {
      sent_.push_back(random_part(seed, group.rank(), r));
      received_.emplace_back(random_part(seed, r, group.rank()).size());
    }
    for (size_t r = 0; r < sent_.size(); ++r) {
      exchange.send.emplace_back(sent_[r]);
      exchange.receive.emplace_back(received_[r]);
    }
    pending_ = group.start_all_to_all_v(exchange);
  }
  /// Waits. @return whether every byte is where it should be.
  bool is_right() {
    pending_->wait();
    for (int r = 0; r < group_.size(); ++r) {
      if (received_[static_cast<size_t>(r)] != random_part(seed_, r, group_.rank())) return false;
    }
    return true;
  }

 private:
  parallel::Communicator& group_;
  uint64_t seed_;
  std::vector<std::vector<std::byte>> sent_, received_;
  parallel::PendingPtr pending_;
};

/// What a rank contributes to a sum: numbers whose float sum depends on the order.
inline std::vector<float> random_addends(uint64_t seed, int rank, size_t count) {
  RandomStream random(seed, concat("addends of ", rank));
  std::vector<float> values(count);
  for (float& value : values) {
    value = static_cast<float>(random.normal() * (random.below(2) == 0 ? 1e6 : 1e-3));
  }
  return values;
}

/// Every collective over random sizes, checked by this rank alone. @return what is wrong; empty:
/// nothing.
std::string wrong_collective(parallel::Communicator& group, uint64_t seed);

}  // namespace polygraft::testing
