// tokenizer/search_budget.h: how much looking around a pattern may do in one text. `a+b` looks at a
// million "a" anew from each of them: without a budget that is hours for what looks like a hang.
#pragma once
#include <chrono>
#include <cstddef>
#include <string_view>

namespace polygraft::tokenizer {

/// One for each text that is searched from its beginning to its end. An automaton counts bytes that
/// it looks at outside of the match it then returns; PCRE2, which tells no such count, is timed.
/// Released patterns look at a few bytes in vain for each byte of text.
class SearchBudget {
 public:
  explicit SearchBudget(std::string_view text)
      : bytes_left_(kFreeBytes + kBytesPerByte * text.size()) {}

  /// Takes `bytes` off; at the end nothing is left.
  void spend(size_t bytes) { bytes_left_ -= bytes < bytes_left_ ? bytes : bytes_left_; }
  bool is_spent() const { return bytes_left_ == 0; }

  /// The same as time for a text of `size` bytes, counted from the first call on.
  bool is_out_of_time(size_t size) {
    const auto now = std::chrono::steady_clock::now();
    if (!started_) started_ = true, start_ = now;
    return now - start_ > kFreeTime + kTimePerMegabyte * static_cast<double>(size) / 1e6;
  }

 private:
  static constexpr size_t kFreeBytes = 100'000'000, kBytesPerByte = 100;
  static constexpr std::chrono::duration<double> kFreeTime{10}, kTimePerMegabyte{1};
  size_t bytes_left_;
  bool started_ = false;
  std::chrono::steady_clock::time_point start_;
};

}  // namespace polygraft::tokenizer
