// tests/core/json_test.cpp: reading strictly, writing completely.
#include "core/json.h"

#include <catch2/catch.hpp>
#include <cmath>
#include <ctime>

#include "core/error.h"
#include "core/file.h"
#include "tests/core/temporary_folder.h"

using namespace polygraft;
using Catch::Matchers::Contains;
using polygraft::testing::TemporaryFolder;

namespace {

std::string error_of(const std::string& text) {
  try {
    parse_json(text, "x.json");
  } catch (const FormatError& error) {
    return error.what();
  }
  return "accepted";
}

std::string nested(size_t depth) { return std::string(depth, '[') + std::string(depth, ']'); }

}  // namespace

TEST_CASE("what our parser builds is what nlohmann's own builds", "[core][json]") {
  const std::string valid =
      R"({"b": [1, -2, 3.5, 1e40, true, null, "x\n\u00e9\ud83d\ude00", {}, []],
                                "a": {"z": 18446744073709551615, "y": {"k": [[[]]]}}})";
  CHECK(parse_json(valid, "x") == Json::parse(valid));
  CHECK(parse_ordered_json(valid, "x") == OrderedJson::parse(valid));
  CHECK(parse_ordered_json(valid, "x").dump() == OrderedJson::parse(valid).dump());
  CHECK(parse_json(valid, "x").begin().key() == "a");
  CHECK(parse_ordered_json(valid, "x").begin().key() == "b");
  for (const char* scalar : {"1", "\"x\"", "null", " true ", "[]", "{}", "-0.0"}) {
    CHECK(parse_json(scalar, "x") == Json::parse(scalar));
  }
}

TEST_CASE("broken JSON is refused with its byte, line and column", "[core][json]") {
  CHECK_THAT(error_of("{\"a\": 1,\n  \"b\": tru }"),
             Contains("x.json") && Contains("byte 19 (line 2, column 11)"));
  CHECK_THAT(error_of(""), Contains("byte 0"));
  CHECK_THAT(error_of("{} x"), Contains("byte 3"));
  CHECK_THAT(error_of("[1, 2"), Contains("byte 5"));
  CHECK_THAT(error_of("[1,]"), Contains("not valid JSON"));
  CHECK_THAT(error_of("[01]"), Contains("not valid JSON"));
  CHECK_THAT(error_of("[NaN]"), Contains("not valid JSON"));
  CHECK_THAT(error_of("[1e999]"), Contains("not valid JSON") && Contains("overflow"));
  CHECK_THAT(error_of("// comment\n1"), Contains("not valid JSON"));
  CHECK_THAT(error_of(std::string("[1]\0", 4)), Contains("byte 3"));
  CHECK_THAT(error_of(std::string("[1]\0 garbage", 12)),
             Contains("byte 3") && Contains("zero byte"));
}

TEST_CASE("invalid UTF-8 in a string or key is refused", "[core][json]") {
  for (const std::string bad :
       {"\xFF", "\xC0\xAF", "\xED\xA0\x80", "\xF4\x90\x80\x80", "\xE2\x82"}) {
    CHECK_THAT(error_of("[\"a" + bad + "\"]"), Contains("not valid JSON"));
    CHECK_THAT(error_of("{\"" + bad + "\": 1}"), Contains("not valid JSON"));
  }
  CHECK_THAT(error_of(R"(["\ud800"])"), Contains("not valid JSON"));
  CHECK(error_of("[\"\xE2\x82\xAC\"]") == "accepted");
}

TEST_CASE("256 levels are read, 257 refused, and a million do no harm", "[core][json]") {
  CHECK(error_of(nested(256)) == "accepted");
  CHECK_THAT(error_of(nested(257)), Contains("nested deeper than 256") && Contains("byte 256"));
  CHECK_THAT(error_of(std::string(1000000, '[')), Contains("nested deeper"));
  std::string objects;
  for (int i = 0; i < 257; ++i) objects += "{\"a\":";
  CHECK_THAT(error_of(objects), Contains("nested deeper"));
  CHECK(error_of("[" + nested(255) + "," + nested(255) + "]") == "accepted");
}

TEST_CASE("duplicate keys are refused in both kinds of object", "[core][json]") {
  const std::string text = R"({"a": {"x": 1, "y": 2, "x": 3}})";
  CHECK_THAT(error_of(text), Contains("duplicate key 'x'") && Contains("byte 25"));
  CHECK_THROWS_WITH(parse_ordered_json(text, "f"), Contains("duplicate key 'x'"));
  CHECK(error_of(R"({"a": {"x": 1}, "b": {"x": 1}, "x": 1})") == "accepted");
}

TEST_CASE("a vocabulary of 200,000 keys is read in order, in linear time", "[core][json]") {
  std::string text = "{";
  for (int i = 0; i < 200000; ++i)
    text += (i ? ",\"k" : "\"k") + std::to_string(i) + "\":" + std::to_string(i);
  const std::clock_t start = std::clock();
  const OrderedJson json = parse_ordered_json(text + "}", "vocabulary");
  const double seconds = static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC;
  CHECK(json.size() == 200000);
  CHECK(json.begin().key() == "k0");
  CHECK(json.back() == 199999);
  CHECK(seconds < 5);  // nlohmann's own builder is quadratic here: minutes
}

TEST_CASE("json_get tells what is wrong and converts nothing silently", "[core][json]") {
  const Json json = parse_json(
      R"({"n": 5, "neg": -1, "big": 18446744073709551615, "half": 1.5, "mega": 1e6, "s": "x",
          "b": true, "list": [1, 2], "mixed": [1, "2"], "null": null, "far": 1e300})",
      "c.json");
  CHECK(json_get<int64_t>(json, "n", "c.json") == 5);
  CHECK(json_get<double>(json, "n", "c.json") == 5.0);
  CHECK(json_get<int64_t>(json, "mega", "c.json") == 1000000);
  CHECK(json_get<uint64_t>(json, "big", "c.json") == UINT64_MAX);
  CHECK(json_get<std::string>(json, "s", "c.json") == "x");
  CHECK(json_get<std::vector<int64_t>>(json, "list", "c.json") == std::vector<int64_t>{1, 2});
  CHECK(json_get_or<int64_t>(json, "missing", 7, "c.json") == 7);
  CHECK(json_get_or<int64_t>(json, "null", 7, "c.json") == 7);
  CHECK_THROWS_WITH(json_get<int64_t>(json, "missing", "c.json"),
                    Contains("c.json: key 'missing' is missing"));
  CHECK_THROWS_WITH(json_get<int64_t>(json, "s", "c.json"),
                    Contains("key 's'") && Contains("\"x\""));
  CHECK_THROWS_AS(json_get<uint64_t>(json, "neg", "c"), FormatError);
  CHECK_THROWS_AS(json_get<int64_t>(json, "big", "c"), FormatError);
  CHECK_THROWS_AS(json_get<int64_t>(json, "half", "c"), FormatError);
  CHECK_THROWS_AS(json_get<int64_t>(json, "far", "c"), FormatError);
  CHECK_THROWS_AS(json_get<int64_t>(json, "b", "c"), FormatError);
  CHECK_THROWS_AS(json_get<int8_t>(json, "mega", "c"), FormatError);
  CHECK_THROWS_AS(json_get<bool>(json, "n", "c"), FormatError);
  CHECK_THROWS_AS(json_get<double>(json, "s", "c"), FormatError);
  CHECK_THROWS_AS(json_get<std::vector<int64_t>>(json, "mixed", "c"), FormatError);
  CHECK_THROWS_AS(json_get<int64_t>(json, "null", "c"), FormatError);
  CHECK_THROWS_AS(json_get_or<int64_t>(json, "s", 7, "c"), FormatError);
  CHECK_THROWS_AS(json_get<int64_t>(Json::array({1}), "n", "c"), FormatError);
}

TEST_CASE("what is written reads back, ends with a newline, and holds no NaN", "[core][json]") {
  const TemporaryFolder folder;
  const Json json = {{"x", 0.1}, {"list", {1, "é", nullptr}}};
  write_json(folder / "a.json", json);
  CHECK(read_json(folder / "a.json") == json);
  CHECK(read_file(folder / "a.json").back() == '\n');
  const OrderedJson ordered = OrderedJson::parse(R"({"z": 1, "a": 2})");
  write_json(folder / "b.json", ordered);
  CHECK(read_file(folder / "b.json") == "{\n  \"z\": 1,\n  \"a\": 2\n}\n");

  Json broken = json;
  broken["results"]["bpb"] = {1.0, std::nan("")};
  CHECK_THROWS_WITH(write_json(folder / "c.json", broken),
                    Contains("'.results.bpb[1]' is not finite"));
  broken = Json{{"text", "\xFF"}};
  CHECK_THROWS_AS(write_json(folder / "c.json", broken), FormatError);
  CHECK(folder.entries().size() == 2);
  CHECK_THROWS_AS(read_json(folder / "c.json"), IoError);
}

TEST_CASE("a boxed value is a copy of its own", "[core][json]") {
  BoxedJson one;
  CHECK(*one == OrderedJson::object());
  (*one)["z"] = 1;
  BoxedJson two = one;
  (*two)["a"] = 2;
  CHECK(one->dump() == R"({"z":1})");
  CHECK(two->dump() == R"({"z":1,"a":2})");
  one = std::move(two);
  CHECK(one->dump() == R"({"z":1,"a":2})");
}
