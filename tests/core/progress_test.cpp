// tests/core/progress_test.cpp: what progress prints on a terminal and elsewhere.
#include "core/progress.h"

#include <catch2/catch.hpp>
#include <regex>
#include <thread>

#include "core/log.h"
#include "tests/core/stderr_capture.h"

using namespace polygraft;
using namespace polygraft::testing;
using Catch::Matchers::Contains;

namespace {

const std::string kTime = R"(\d\d:\d\d:\d\d info: )";

void sleep_ms(int milliseconds) {
  std::this_thread::sleep_for(std::chrono::milliseconds(milliseconds));
}

void half_then_all() {
  Progress progress("evaluating de", 600000, "tokens");
  sleep_ms(110);
  progress.note("loss 2.31");
  progress.advance(300000);
  progress.advance(300000);
  progress.finish();
  progress.finish();
}

}  // namespace

TEST_CASE("child: progress to the end", "[.child]") { half_then_all(); }
TEST_CASE("child: progress at level warn", "[.child]") {
  set_log_level(LogLevel::kWarn);
  half_then_all();
}
TEST_CASE("child: progress of unknown length and no end", "[.child]") {
  Progress progress("reading", 0, "documents");
  sleep_ms(110);
  progress.set(42);
}
TEST_CASE("child: resumed progress", "[.child]") {
  Progress progress("training", 1'000'000'000, "tokens");
  progress.resume_at(999'999'900);
  sleep_ms(110);
  progress.set(999'999'950);
  progress.finish();
}
TEST_CASE("child: progress in eleven steps of 50 ms and a line every 240 ms", "[.child]") {
  Progress progress("training", 100, "steps", std::chrono::milliseconds(240));
  for (uint64_t step = 1; step <= 11; ++step) {
    sleep_ms(50);
    progress.set(step);
  }
}

TEST_CASE("on a terminal a bar is redrawn and goes away at the end", "[core][progress]") {
  const std::string text = stderr_of_test("child: progress to the end", StderrKind::kTerminal);
  CHECK_THAT(text, Contains("evaluating de [============>           ] 50 %"));
  CHECK_THAT(text, Contains("600,000 tokens in "));
  CHECK_THAT(text, Contains("loss 2.31\r\n"));
  const std::string bar = text.substr(0, text.find("\r\x1b[K"));
  CHECK(bar.size() == 59);  // cut to the terminal's 60 columns, so that it never wraps
}

TEST_CASE("elsewhere short work prints its closing line alone", "[core][progress]") {
  const std::string text = stderr_of_test("child: progress to the end", StderrKind::kPipe);
  const std::regex line(
      kTime + R"(evaluating de: 600,000 tokens in [\d. mins]+ \([\d,]+ tokens/s\)  loss 2\.31\n)");
  INFO(text);
  CHECK(std::regex_match(text, line));
}

TEST_CASE("elsewhere long work prints a line now and then", "[core][progress]") {
  const auto start = std::chrono::steady_clock::now();
  const std::string text = stderr_of_test(
      "child: progress in eleven steps of 50 ms and a line every 240 ms", StderrKind::kPipe);
  const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start;
  const std::regex line(
      kTime + R"(training \d+ %  \d+/100 steps  \d+\.\d steps/s  (\d+ min )?\d+(\.\d)? s left\n)");
  const auto num_lines = std::distance(std::sregex_iterator(text.begin(), text.end(), line), {});
  INFO(text);
  CHECK(num_lines == std::count(text.begin(), text.end(), '\n'));
  CHECK(num_lines >= 1);
  CHECK(static_cast<double>(num_lines) <= elapsed.count() / 0.24);
}

TEST_CASE("progress is silent above level info", "[core][progress]") {
  CHECK(stderr_of_test("child: progress at level warn", StderrKind::kPipe).empty());
  CHECK(stderr_of_test("child: progress at level warn", StderrKind::kTerminal).empty());
}

TEST_CASE("an unknown total shows no share, and abandoned work claims no end", "[core][progress]") {
  const std::string text =
      stderr_of_test("child: progress of unknown length and no end", StderrKind::kTerminal);
  CHECK_THAT(text, Contains("reading  42 documents") && !Contains("%") && !Contains("left"));
  CHECK_THAT(text, Catch::EndsWith("\r\x1b[K"));
}

TEST_CASE("work done before a resume does not count in the rate", "[core][progress]") {
  const std::string text = stderr_of_test("child: resumed progress", StderrKind::kPipe);
  std::smatch match;
  REQUIRE(std::regex_search(text, match,
                            std::regex(R"(999,999,950 tokens in .* s \((\d+(\.\d)?) tokens/s\))")));
  const double rate = std::stod(match[1]);
  CHECK((rate > 0 && rate <= 455));  // 50 tokens in at least 0.11 s
}
