// tests/core/settings_test.cpp: a config's keys, for --help and for what changed.
#include "core/settings.h"

#include <catch2/catch.hpp>

using namespace polygraft;

namespace {

struct Block {
  double rate = 0.5;
  std::vector<int64_t> sizes = {1, 2};
  template <class Visitor>
  void visit(Visitor& v) {
    v.required("rate", rate, "how fast");
    v.field("sizes", sizes, "two\nlines");
  }
};

struct Example {
  int64_t seed = 17;
  std::optional<double> margin;
  std::optional<Block> extra;
  std::map<std::string, Block> named;
  template <class Visitor>
  void visit(Visitor& v) {
    v.field("seed", seed, "of what is drawn");
    v.field("margin", margin, "");
    v.field("extra", extra, "");
    v.field("named", named, "");
  }
};

}  // namespace

TEST_CASE("help lists what optional blocks and maps would hold", "[core]") {
  CHECK(settings_table(documented_settings<Example>()) ==
        "  seed=17                                   of what is drawn\n"
        "  margin=null\n"
        "  extra.rate (required in extra)            how fast\n"
        "  extra.sizes=[1, 2]                        two lines\n"
        "  named.NAME.rate (required in named.NAME)  how fast\n"
        "  named.NAME.sizes=[1, 2]                   two lines\n");
}

TEST_CASE("changed settings are named with both values, also where one has none", "[core]") {
  Example before, now;
  now.seed = 18;
  before.margin = 0.25;
  now.named["a"].rate = 2;
  CHECK(changed_settings(settings_of(before), settings_of(now)) ==
        std::vector<std::string>{"margin: 0.25 -> null", "named.a.rate: (unset) -> 2.0",
                                 "named.a.sizes: (unset) -> [1, 2]", "seed: 17 -> 18"});
  CHECK(changed_settings(settings_of(now), settings_of(now)).empty());
}
