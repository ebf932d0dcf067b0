// tests/model/checkpoint/manifest_test.cpp: polygraft.json round trip, and every rule it must keep.
#include "model/checkpoint/manifest.h"

#include "core/json.h"
#include "fixtures.h"

using Catch::Contains;

namespace polygraft::model {
namespace {

Manifest two_packs() {
  Manifest manifest;
  manifest.tool_version = "0.1.0";
  manifest.base_tensors_hash = std::string(64, 'a');
  manifest.base_tokenizer_hash = std::string(64, '0');
  manifest.base_num_experts = 4;
  manifest.base_vocab_rows = 48;
  manifest.base_tied_embeddings = true;
  manifest.packs = {{"id", 4, 2, 48, 10}, {"pt-BR", 6, 3, 58, 0}, {"ca", 9, 0, 58, 5}};
  manifest.provenance = OrderedJson{{"z", 1}, {"a", {1, 2}}};
  return manifest;
}

std::string refusal(const std::function<void(OrderedJson&)>& change) {
  OrderedJson json = two_packs().to_json();
  change(json);
  return message_of<FormatError>([&] { Manifest::from_json(json, "m/polygraft.json"); });
}

}  // namespace

TEST_CASE("a manifest survives the round trip, order of provenance included",
          "[model][checkpoint]") {
  const OrderedJson json = two_packs().to_json();
  const Manifest read = Manifest::from_json(json, "polygraft.json");
  CHECK(read.to_json().dump() == json.dump());
  REQUIRE(read.packs.size() == 3);
  CHECK(read.packs[1].name == "pt-BR");
  CHECK(read.packs[1].first_expert == 6);
  CHECK(read.packs[2].first_vocab_row == 58);
  CHECK(read.base_tied_embeddings);
  CHECK(read.provenance->begin().key() == "z");
}

TEST_CASE("every key of a manifest is required and typed", "[model][checkpoint]") {
  for (const char* key :
       {"schema_version", "tool_version", "base_tensors_hash", "base_tokenizer_hash",
        "base_num_experts", "base_vocab_rows", "base_tied_embeddings", "packs"}) {
    CHECK_THAT(refusal([&](OrderedJson& json) { json.erase(key); }),
               Contains(key) && Contains("m/polygraft.json"));
    CHECK_THAT(refusal([&](OrderedJson& json) { json[key] = OrderedJson::object(); }),
               Contains(key));
  }
  for (const char* key :
       {"name", "first_expert", "num_experts", "first_vocab_row", "num_vocab_rows"}) {
    CHECK_THAT(refusal([&](OrderedJson& json) { json["packs"][1].erase(key); }),
               Contains(std::string("packs[1].") + key));
  }
}

TEST_CASE("provenance is an object or nothing", "[model][checkpoint]") {
  for (const OrderedJson& other : {OrderedJson(5), OrderedJson("x"), OrderedJson::array({1})})
    CHECK_THAT(refusal([&](OrderedJson& json) { json["provenance"] = other; }),
               Contains("provenance"));
  OrderedJson json = two_packs().to_json();
  json["provenance"] = nullptr;
  CHECK(Manifest::from_json(json, "polygraft.json").provenance->is_null());
  json.erase("provenance");
  CHECK(Manifest::from_json(json, "polygraft.json").provenance->is_null());
}

TEST_CASE("a manifest of a newer version is refused", "[model][checkpoint]") {
  CHECK_THAT(refusal([](OrderedJson& json) { json["schema_version"] = 2; }),
             Contains("another version") && Contains("2"));
}

TEST_CASE("hashes and names are checked", "[model][checkpoint]") {
  for (const std::string& hash :
       {std::string(63, 'a'), std::string(64, 'A'), std::string(64, 'g')}) {
    CHECK_THAT(refusal([&](OrderedJson& json) { json["base_tensors_hash"] = hash; }),
               Contains("SHA-256"));
  }
  for (const char* name : {"", "..", "../id", "a/b", "a b", ".id"}) {
    CHECK_THAT(refusal([&](OrderedJson& json) { json["packs"][0]["name"] = name; }),
               Contains("name"));
  }
  CHECK_THAT(refusal([](OrderedJson& json) { json["packs"][2]["name"] = "id"; }),
             Contains("twice"));
}

TEST_CASE("packs lie end to end after the base", "[model][checkpoint]") {
  CHECK_THAT(refusal([](OrderedJson& json) { json["packs"][0]["first_expert"] = 3; }),
             Contains("'id'") && Contains("\"first_expert\": 4"));
  CHECK_THAT(refusal([](OrderedJson& json) { json["packs"][0]["num_experts"] = 1; }),
             Contains("'pt-BR'") && Contains("\"first_expert\": 5"));
  CHECK_THAT(refusal([](OrderedJson& json) { json["packs"][2]["first_vocab_row"] = 59; }),
             Contains("'ca'") && Contains("\"first_vocab_row\": 58"));
  CHECK_THAT(refusal([](OrderedJson& json) { json["packs"][0]["num_experts"] = -2; }),
             Contains("num_experts"));
}

namespace {

/// 48 base rows, 40 of them before the first added one; 15 added displace 8 and grow the matrix.
Manifest placed() {
  Manifest manifest = two_packs();
  manifest.vocab_placement = {8, 9, 3};
  manifest.displaced_rows_hash = std::string(64, 'd');
  manifest.packs[0].first_vocab_row = 40;
  manifest.packs[1].first_vocab_row = manifest.packs[2].first_vocab_row = 50;
  return manifest;
}

std::string refusal_placed(const std::function<void(OrderedJson&)>& change) {
  OrderedJson json = placed().to_json();
  change(json);
  return message_of<FormatError>([&] { Manifest::from_json(json, "m/polygraft.json"); });
}

}  // namespace

TEST_CASE("placement keys are written only where they say something, and read back",
          "[model][checkpoint]") {
  const OrderedJson plain = two_packs().to_json();
  for (const char* key : {"first_vocab_row", "padding", "displaced_rows_hash"}) {
    CHECK_FALSE(plain.contains(key));
  }
  const OrderedJson json = placed().to_json();
  CHECK(json["first_vocab_row"] == 40);
  CHECK(json["padding"] == OrderedJson{{"rows", 9}, {"row", 3}});
  const Manifest read = Manifest::from_json(json, "polygraft.json");
  CHECK(read.to_json().dump() == json.dump());
  const RowLayout layout = read.vocab_layout();
  CHECK(layout.first_added() == 40);
  CHECK(layout.num_added == 15);
  CHECK(layout.num_displaced() == 8);
  CHECK(layout.num_behind() == 0);
  CHECK(layout.first_padding() == 55);
  CHECK(layout.num_rows() == 64);
}

TEST_CASE("added rows that fit among the spare ones leave the others behind them",
          "[model][checkpoint]") {
  const RowLayout layout{48, 5, {8, 0, 0}};
  CHECK(layout.num_displaced() == 5);
  CHECK(layout.end_displaced() == 45);
  CHECK(layout.num_behind() == 3);
  CHECK(layout.num_rows() == 48);
}

TEST_CASE("placement is checked", "[model][checkpoint]") {
  CHECK_THAT(refusal_placed([](OrderedJson& json) { json["first_vocab_row"] = 49; }),
             Contains("first_vocab_row"));
  CHECK_THAT(refusal_placed([](OrderedJson& json) { json["first_vocab_row"] = 41; }),
             Contains("'id'") && Contains("\"first_vocab_row\": 41"));
  CHECK_THAT(refusal_placed([](OrderedJson& json) { json["padding"]["row"] = 40; }),
             Contains("padding.row"));
  CHECK_THAT(refusal_placed([](OrderedJson& json) { json["padding"]["rows"] = 0; }),
             Contains("padding.rows"));
  CHECK_THAT(refusal_placed([](OrderedJson& json) { json.erase("displaced_rows_hash"); }),
             Contains("displaced_rows_hash") && Contains("8 base rows"));
  CHECK_THAT(refusal_placed([](OrderedJson& json) { json["displaced_rows_hash"] = "ff"; }),
             Contains("SHA-256"));
  CHECK_THAT(refusal([](OrderedJson& json) { json["displaced_rows_hash"] = std::string(64, 'd'); }),
             Contains("displaced"));
  CHECK_THAT(refusal_placed([](OrderedJson& json) {
               json["packs"][0]["num_vocab_rows"] = 2;
               json["packs"][1]["first_vocab_row"] = json["packs"][2]["first_vocab_row"] = 42;
               json["packs"][2]["num_vocab_rows"] = 0;
             }),
             Contains("pads a vocabulary that has not grown") && Contains("6 such rows"));
}

}  // namespace polygraft::model
