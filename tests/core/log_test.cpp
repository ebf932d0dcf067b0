// tests/core/log_test.cpp: levels, form, colour on a terminal only, and the status line below the
// log.
#include "core/log.h"

#include <catch2/catch.hpp>
#include <regex>

#include "core/error.h"
#include "tests/core/stderr_capture.h"

using namespace polygraft;
using namespace polygraft::testing;
using Catch::Matchers::Contains;

TEST_CASE("child: one message at every level", "[.child]") {
  set_log_level(LogLevel::kInfo);
  log_debug("d");
  log_info("i {} %s");  // a message is never a format
  log_warn("w\nsecond line");
  log_error("e");
  set_log_level(LogLevel::kOff);
  log_error("after off");
  set_log_level(LogLevel::kTrace);
  log_debug("last");
}

TEST_CASE("child: a status line and a message", "[.child]") {
  show_status_line("first");
  show_status_line("second");
  log_info("message");
  show_status_line("");
}

TEST_CASE("messages carry time and level, and obey the level", "[core][log]") {
  const std::string text = stderr_of_test("child: one message at every level", StderrKind::kPipe);
  const std::regex form(
      R"(\d\d:\d\d:\d\d info: i \{\} %s\n\d\d:\d\d:\d\d warning: w\nsecond line\n)"
      R"(\d\d:\d\d:\d\d error: e\n\d\d:\d\d:\d\d debug: last\n)");
  INFO(text);
  CHECK(std::regex_match(text, form));
}

TEST_CASE("colour is for terminals", "[core][log]") {
  const char* name = "child: one message at every level";
  CHECK_THAT(stderr_of_test(name, StderrKind::kTerminal), Contains("\x1b["));
  CHECK_THAT(stderr_of_test(name, StderrKind::kPipe), !Contains("\x1b"));
}

TEST_CASE("messages scroll above the status line, which only a terminal has", "[core][log]") {
  const char* name = "child: a status line and a message";
  const std::string erase = "\r\x1b[K";
  const std::string text = stderr_of_test(name, StderrKind::kTerminal);
  CHECK_THAT(text, Catch::StartsWith("first" + erase + "second" + erase));
  CHECK_THAT(text, Contains("message\r\nsecond" + erase));
  const std::string plain = stderr_of_test(name, StderrKind::kPipe);
  CHECK_THAT(plain, Contains("message") && !Contains("second"));
}

TEST_CASE("levels have names, and other names are refused with the list", "[core][log]") {
  CHECK(parse_log_level("trace") == LogLevel::kTrace);
  CHECK(parse_log_level("off") == LogLevel::kOff);
  CHECK_THROWS_WITH(parse_log_level("verbose"), Contains("trace, debug, info, warn, error, off"));
  CHECK_THROWS_AS(parse_log_level("INFO"), ConfigError);
  const LogLevel before = log_level();
  for (const LogLevel level : {LogLevel::kTrace, LogLevel::kWarn, LogLevel::kOff, before}) {
    set_log_level(level);
    CHECK(log_level() == level);
  }
}
