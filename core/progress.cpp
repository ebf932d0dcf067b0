// core/progress.cpp: a bar that is redrawn on a terminal, a log line every few seconds elsewhere.
#include "core/progress.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>

#include "core/log.h"
#include "core/text.h"

namespace polygraft {
namespace {

using std::chrono::steady_clock;
constexpr auto kBarInterval = std::chrono::milliseconds(100);

double seconds_between(steady_clock::time_point from, steady_clock::time_point to) {
  return std::chrono::duration<double>(to - from).count();
}

size_t terminal_columns() {
  winsize window{};
  if (ioctl(STDERR_FILENO, TIOCGWINSZ, &window) != 0 || window.ws_col == 0) return 80;
  return window.ws_col;
}

/// At most `columns` characters, cut between code points: a bar that wraps could not be redrawn in
/// place.
std::string cut(const std::string& line, size_t columns) {
  size_t characters = 0;
  for (size_t i = 0; i < line.size(); ++i) {
    if (!is_continuation_byte(line[i]) && characters++ == columns) return line.substr(0, i);
  }
  return line;
}

std::string draw_bar(double share) {
  constexpr size_t kWidth = 24;
  const size_t full = static_cast<size_t>(share * kWidth);
  std::string bar(kWidth, ' ');
  std::fill_n(bar.begin(), full, '=');
  if (full < kWidth) bar[full] = '>';
  return "[" + bar + "]";
}

std::string rate_text(double rate, const std::string& unit) {
  const std::string number =
      rate >= 100 ? human_count(static_cast<uint64_t>(std::min(rate, 1e18))) : fixed(rate, 1);
  return concat(number, " ", unit, "/s");
}

}  // namespace

Progress::Progress(std::string label, uint64_t total, std::string unit,
                   std::chrono::milliseconds line_interval)
    : label_(std::move(label)),
      unit_(std::move(unit)),
      total_(total),
      on_terminal_(stderr_is_terminal()),
      interval_(on_terminal_ ? kBarInterval : line_interval),
      start_(steady_clock::now()),
      last_shown_(start_) {}

Progress::~Progress() {
  if (!finished_ && on_terminal_) show_status_line("");
}

void Progress::resume_at(uint64_t done) {
  done_ = first_done_ = done;
  start_ = steady_clock::now();
}

void Progress::set(uint64_t done) {
  done_ = done;
  const auto now = steady_clock::now();
  if (finished_ || now - last_shown_ < interval_) return;
  last_shown_ = now;
  if (log_level() <= LogLevel::kInfo) show();
}

double Progress::rate(double seconds) const {
  if (done_ <= first_done_ || seconds <= 0) return 0;
  return static_cast<double>(done_ - first_done_) / seconds;
}

std::string Progress::counts() const {
  const std::string total = total_ > 0 ? "/" + human_count(total_) : "";
  return concat(human_count(done_), total, " ", unit_);
}

void Progress::show() {
  const double per_second = rate(seconds_between(start_, last_shown_));
  std::string line = label_;
  if (total_ > 0) {
    const double share = std::min(1.0, static_cast<double>(done_) / static_cast<double>(total_));
    if (on_terminal_) line += " " + draw_bar(share);
    line += concat(" ", fixed(std::floor(100 * share), 0), " %");
  }
  line += concat("  ", counts(), "  ", rate_text(per_second, unit_));
  if (total_ > done_ && per_second > 0) {
    line += concat("  ", human_seconds(static_cast<double>(total_ - done_) / per_second), " left");
  }
  if (!note_.empty()) line += "  " + note_;
  if (on_terminal_) {
    show_status_line(cut(line, terminal_columns() - 1));
  } else {
    log_info(line);
  }
}

void Progress::finish() {
  if (finished_) return;
  finished_ = true;
  if (on_terminal_) show_status_line("");
  const double seconds = seconds_between(start_, steady_clock::now());
  std::string line = concat(label_, ": ", human_count(done_), " ", unit_, " in ",
                            human_seconds(seconds), " (", rate_text(rate(seconds), unit_), ")");
  if (!note_.empty()) line += "  " + note_;
  log_info(line);
}

}  // namespace polygraft
