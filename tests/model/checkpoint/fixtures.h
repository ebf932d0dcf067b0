// tests/model/checkpoint/fixtures.h: hand-made safetensors bytes, and tiny model folders.
#pragma once
#include <catch2/catch.hpp>
#include <functional>
#include <string>
#include <vector>

#include "core/error.h"
#include "core/file.h"
#include "core/json_fwd.h"
#include "model/checkpoint/families.h"
#include "model/checkpoint/model_folder.h"
#include "tests/core/temporary_folder.h"

namespace polygraft::model {

using testing::TemporaryFolder;

/// Length field, header as given, data as given: anything at all, valid or not.
std::string safetensors_bytes(std::string_view header, std::string_view data);

/// The message of the error of type E that `action` throws; fails the test when it throws none.
template <class E>
std::string message_of(const std::function<void()>& action) {
  try {
    action();
  } catch (const E& error) {
    return error.what();
  }
  FAIL("nothing was thrown");
  return "";
}

/// A config.json of the family with small sizes: 2 layers, width 16, 48 vocabulary rows, 4 experts
/// of which 2 are chosen.
Json tiny_config(const std::string& family);

/// Writes config.json and tensors whose bytes depend on their names, with the given layout.
void write_tiny_model(const fs::path& folder, const Json& config_json, ExpertLayout layout);

/// The same, for tensors that need not be what the config calls for.
void write_tiny_tensors(const fs::path& folder, const std::vector<TensorSpec>& specs);

/// num_bytes bytes that depend on the name.
std::string patterned_bytes(const std::string& name, uint64_t num_bytes);

}  // namespace polygraft::model
