// model/checkpoint/json_fields.h: typed and bounded reads of one JSON object, for config.json and
// polygraft.json. nlohmann's get<int64_t>() turns 3.7 into 3 and true into 1; a config that says so
// is wrong, and is told so here.
#pragma once
#include <cstdint>
#include <optional>
#include <string>

#include "core/file.h"
#include "core/json.h"

namespace polygraft::model {

/// A view of one JSON object; it must outlive the view. A key that is null counts as absent.
/// Every reader throws FormatError naming file and dotted key.
class JsonFields {
 public:
  /// @param scope prefix of the keys in messages, "rope_scaling". @throws FormatError when `object`
  /// is no JSON object.
  JsonFields(const Json& object, fs::path file, std::string scope = "");

  bool has(const std::string& key) const;
  bool states_null(const std::string& key) const;  ///< present, and null
  const Json& raw(const std::string& key) const;   ///< required

  int64_t integer(const std::string& key, int64_t least, int64_t most) const;  ///< required
  int64_t integer_or(const std::string& key, int64_t fallback, int64_t least, int64_t most) const;
  double number(const std::string& key) const;  ///< required; integers are numbers too
  double number_or(const std::string& key, double fallback) const;
  std::optional<double> optional_number(const std::string& key) const;
  bool flag(const std::string& key) const;  ///< required
  bool flag_or(const std::string& key, bool fallback) const;
  std::string text(const std::string& key) const;  ///< required
  const Json& list(const std::string& key) const;  ///< required
  std::string text_or(const std::string& key, const std::string& fallback) const;

  /// Requires `schema_version`. @param what the file holds: "the pack".
  void require_schema(int64_t version, const std::string& what) const;

  const fs::path& file() const { return file_; }
  std::string path_of(const std::string& key) const;  ///< "rope_scaling.factor"

 private:
  [[noreturn]] void fail(const std::string& key, const std::string& expected) const;
  const Json& object_;
  fs::path file_;
  std::string scope_;
};

}  // namespace polygraft::model
