// tests/cli/shape_plan_test.cpp: what a pipeline makes of a model, as far as its shape tells.
#include "cli/pipeline/shape_plan.h"

#include <catch2/catch.hpp>
#include <cstdlib>

using namespace polygraft;
using namespace polygraft::cli;

namespace {

/// For a base whose output rows are its input rows.
PipelineConfig pipeline_of(const std::string& new_tokens, const std::string& head) {
  const char* source = std::getenv("POLYGRAFT_SOURCE_DIR");
  PipelineConfig pipeline;
  pipeline.base = ((source == nullptr ? fs::current_path() : fs::path(source)) / "configs" /
                   "shapes" / "marco-nano")
                      .string();
  pipeline.tokenizer.new_tokens = new_tokens;
  pipeline.tokenizer.head = head;
  return pipeline;
}

ExpandedShape shape_of(const std::string& new_tokens, const std::string& head) {
  return expanded_shape(pipeline_of(new_tokens, head));
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

TEST_CASE("a shape's plan counts what a plan counts: old output rows are bytes, not parameters",
          "[cli][shape_plan]") {
  for (const std::string head : {"untied", "tied"}) {
    PipelineConfig pipeline = pipeline_of("800", head);
    pipeline.train.tokens = pipeline.train.batch_tokens;
    const ExpandedShape shape = expanded_shape(pipeline);
    const Json plan = plan_from_shape(pipeline).json;
    const int64_t width = shape.base.hidden_size, num_matrices = head == "untied" ? 2 : 1;
    const int64_t expert = 3 * width * shape.base.expert_width + width;
    const int64_t parameters =
        shape.base.num_layers * shape.num_added_experts * expert + 800 * width * num_matrices;
    CHECK(plan["added_parameters"] == parameters);
    const int64_t old_head = head == "untied" ? shape.base.vocab_rows * width : 0;
    CHECK(plan["added_bytes"] == 2 * (parameters + old_head));
  }
}
