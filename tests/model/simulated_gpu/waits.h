// tests/model/simulated_gpu/waits.h: what the CPU waits for, and what it must not. A GPU that
// follows an exchange stands still until that is over, which it never is when a rank is lost: a
// wait for that GPU that knows nothing of ranks (a number read, say) would then never end.
#pragma once
#include <cstdint>
#include <optional>
#include <stdexcept>
#include <string>

namespace polygraft::testing {

/// What a GPU would have refused, or what could go wrong on one. A bug of ours, never of a user.
class GpuError : public std::logic_error {
 public:
  using std::logic_error::logic_error;
};

/// The CPU waits for a GPU, of itself. @throws GpuError when that follows an exchange that the CPU
/// has not waited for.
void note_wait(int gpu, const std::string& what);

/// A GPU's exchanges are done in the order in which they begin. @return this one's number.
uint64_t begin_exchange(int gpu);
void follow_exchange(int gpu, uint64_t number);
/// The CPU waits for it as ranks do for one another: no longer than until one is lost.
/// @param what to be listed, if it is.
void wait_for_exchange(int gpu, uint64_t number, const std::optional<std::string>& what);
/// A run has ended.
void forget_exchanges(int gpu);

}  // namespace polygraft::testing
