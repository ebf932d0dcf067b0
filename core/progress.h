// core/progress.h: progress with rate and time left: a bar on a terminal, a plain line every few
// seconds otherwise.
#pragma once
#include <chrono>
#include <cstdint>
#include <string>
#include <utility>

namespace polygraft {

/// Progress goes to stderr and is silent when the log level is above info.
class Progress {
 public:
  /// @param label what is being done, "evaluating de".
  /// @param unit of `total` and of the rate,
  /// "tokens".
  /// @param line_interval between two lines where there is no terminal.
  Progress(std::string label, uint64_t total, std::string unit,
           std::chrono::milliseconds line_interval = std::chrono::seconds(5));
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  /// For work that was resumed: `done` counts, but was not done now and says nothing about the
  /// rate.
  void resume_at(uint64_t done);
  void advance(uint64_t amount) { set(done_ + amount); }
  void set(uint64_t done);
  void note(std::string text) { note_ = std::move(text); }  ///< shown after the rate: "loss 2.31"
  void
  finish();  ///< prints the closing line; without it, as after an exception, the bar just goes away

 private:
  void show();
  std::string counts() const;
  double rate(double seconds) const;
  std::string label_, unit_, note_;
  uint64_t total_, done_ = 0, first_done_ = 0;
  bool finished_ = false;
  bool on_terminal_;
  std::chrono::milliseconds interval_;
  std::chrono::steady_clock::time_point start_, last_shown_;
};

}  // namespace polygraft
