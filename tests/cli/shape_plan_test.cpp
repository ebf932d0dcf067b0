// tests/cli/shape_plan_test.cpp: what a pipeline makes of a model, as far as its shape tells.
#include "cli/pipeline/shape_plan.h"

#include <catch2/catch.hpp>
#include <cstdlib>

using namespace polygraft;
using namespace polygraft::cli;

namespace {

/// Of a base whose output rows are its input rows.
ExpandedShape shape_of(const std::string& new_tokens, const std::string& head) {
  const char* source = std::getenv("POLYGRAFT_SOURCE_DIR");
  PipelineConfig pipeline;
  pipeline.base = ((source == nullptr ? fs::current_path() : fs::path(source)) / "configs" /
                   "shapes" / "marco-nano")
                      .string();
  pipeline.tokenizer.new_tokens = new_tokens;
  pipeline.tokenizer.head = head;
  return expanded_shape(pipeline);
}

}  // namespace

TEST_CASE("a tied head is untied however many tokens are added", "[cli][shape_plan]") {
  for (const std::string new_tokens : {"800", "auto"}) {
    const ExpandedShape untied = shape_of(new_tokens, "untied");
    CHECK(untied.base.tied_embeddings);
    CHECK_FALSE(untied.expanded.tied_embeddings);
    CHECK(shape_of(new_tokens, "tied").expanded.tied_embeddings);
  }
}
