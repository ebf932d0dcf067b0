// tests/tokenizer/json_splice_test.cpp
#include "tokenizer/json_splice.h"

#include <catch2/catch.hpp>

#include "core/error.h"
#include "core/json.h"

namespace polygraft::tokenizer {

TEST_CASE("elements are added and nothing else changes", "[tokenizer]") {
  const auto add = [](std::string_view text, const std::vector<std::string>& path) {
    return append_json_elements(text, path, {"3", "4"}, "test.json");
  };
  CHECK(add("[1, 2]", {}) == "[1, 2,3,4]");
  CHECK(add("[]", {}) == "[3,4]");
  CHECK(add("{\"a\":{\"b\":[ 1 ]},\"c\":0}", {"a", "b"}) == "{\"a\":{\"b\":[ 1, 3, 4 ]},\"c\":0}");
  CHECK(add("{\n  \"a\": [\n    1,\n    2\n  ]\n}\n", {"a"}) ==
        "{\n  \"a\": [\n    1,\n    2,\n    3,\n    4\n  ]\n}\n");
  CHECK(add("{\n  \"a\": []\n}", {"a"}) == "{\n  \"a\": [\n    3,\n    4\n  ]\n}");
  CHECK(append_json_elements("{ }", {}, {}, "test.json") == "{ }");
}

TEST_CASE("brackets and quotes inside strings do not confuse the splice", "[tokenizer]") {
  const std::string text = R"({"x]": "}\\\"{", "\u0061": {"]": ["[\"", -1.5e3, true, null]}})";
  const std::string result = append_json_elements(text, {"a"}, {R"("k": "v")"}, "test.json");
  Json expected = parse_json(text, "test.json");
  expected["a"]["k"] = "v";
  CHECK(parse_json(result, "test.json") == expected);
  CHECK(result.substr(0, text.size() - 2) == text.substr(0, text.size() - 2));
}

TEST_CASE("a missing container is named", "[tokenizer]") {
  for (const char* text : {"{}", "{\"a\": 5}", "{\"a\": {}}", "[]", "5"}) {
    CHECK_THROWS_WITH(append_json_elements(text, {"a", "b"}, {"1"}, "test.json"),
                      Catch::Contains("a.b"));
  }
}

}  // namespace polygraft::tokenizer
