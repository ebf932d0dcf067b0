// tests/core/text_test.cpp: joining, nearest names, quantities for people.
#include "core/text.h"

#include <catch2/catch.hpp>
#include <cmath>
#include <limits>
#include <regex>

using namespace polygraft;

TEST_CASE("split and join are inverse", "[core][text]") {
  CHECK(split("a.b..c", '.') == std::vector<std::string>{"a", "b", "", "c"});
  CHECK(split("", '.') == std::vector<std::string>{""});
  CHECK(split("a.", '.') == std::vector<std::string>{"a", ""});
  CHECK(join(split("one,two,,three,", ','), ",") == "one,two,,three,");
  CHECK(join({}, ",").empty());
}

TEST_CASE("the nearest name forgives typing slips and nothing more", "[core][text]") {
  const std::vector<std::string> keys = {"learning_rate", "weight_decay", "betas", "seed"};
  CHECK(nearest_name("lerning_rate", keys) == "learning_rate");
  CHECK(nearest_name("learning_raet", keys) == "learning_rate");
  CHECK(nearest_name("weight-decay", keys) == "weight_decay");
  CHECK(nearest_name("beta", keys) == "betas");
  CHECK(nearest_name("seed", keys) == "seed");
  SECTION("a swap of neighbours counts once") {
    CHECK(nearest_name("sede", keys) == "seed");  // distance 1, a third of 4
    CHECK(nearest_name("deeds", keys).empty());   // distance 2, and a third of 5 is 1
  }
  CHECK(nearest_name("optimizer", keys).empty());
  CHECK(nearest_name("", keys).empty());
  CHECK(nearest_name("x", {}).empty());
}

TEST_CASE("a hostile name can neither steer a terminal nor flood it", "[core][text]") {
  CHECK(in_quotes("experts.0") == "'experts.0'");
  const std::string no = std::string(kReplacementCharacter);
  CHECK(in_quotes("a\x1b[2J\nb\x7f") == concat("'a", no, "[2J", no, "b", no, "'"));
  CHECK(printable("\xC2\x9B"
                  "2J\xE2\x80\xAE\xFF") == concat(no, "2J", no, no));
  CHECK(printable(std::string(159, 'x') + "\xC3\xA9") == std::string(159, 'x') + "...");
  CHECK(printable(std::string(200, '\x80')).ends_with("..."));
  CHECK(in_quotes(std::string(161, 'x')) == "'" + std::string(160, 'x') + "...'");
  CHECK(printable("\xC3\xA9t\xC3\xA9") == "\xC3\xA9t\xC3\xA9");
}

TEST_CASE("quantities read well", "[core][text]") {
  CHECK(human_bytes(0) == "0 B");
  CHECK(human_bytes(1023) == "1023 B");
  CHECK(human_bytes(1536) == "1.5 KiB");
  CHECK(human_bytes((uint64_t{1} << 20) - 1) == "1.0 MiB");
  CHECK(human_bytes(uint64_t{3} << 29) == "1.5 GiB");
  CHECK(human_bytes(UINT64_MAX) == "16.0 EiB");
  CHECK(human_count(0) == "0");
  CHECK(human_count(999) == "999");
  CHECK(human_count(1234567) == "1,234,567");
  CHECK(human_count(100000) == "100,000");
  CHECK(human_seconds(0.44) == "0.4 s");
  CHECK(human_seconds(9.97) == "10 s");
  CHECK(human_seconds(59.7) == "1 min 0 s");
  CHECK(human_seconds(200) == "3 min 20 s");
  CHECK(human_seconds(7500) == "2 h 5 min");
  CHECK(human_seconds(86400 * 3 + 3600 * 4 + 59) == "3 d 4 h");
  CHECK(human_seconds(std::numeric_limits<double>::infinity()) == "?");
}

TEST_CASE("numbers are locale-independent and rounded, percentages signed", "[core][text]") {
  CHECK(fixed(1.005, 1) == "1.0");
  CHECK(fixed(-2.25, 3) == "-2.250");
  CHECK(fixed(1e300, 0).size() == 301);
  CHECK(fixed(0.5, 0) == "0");  // ties to even, as printf
  CHECK(percent(0.0012, 2) == "+0.12 %");
  CHECK(percent(-0.5, 1) == "-50.0 %");
  CHECK(percent(-0.000001, 2) == "+0.00 %");
  CHECK(percent(0, 0) == "+0 %");
}

TEST_CASE("times for file names sort and hold microseconds", "[core][text]") {
  const std::string first = iso_time_for_file_name();
  const std::regex form(R"(\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d\.\d{6})");
  CHECK(std::regex_match(first, form));
  CHECK(first <= iso_time_for_file_name());
}
