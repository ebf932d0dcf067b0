// model/checkpoint/pack_name.cpp: see pack_name.h.
#include "model/checkpoint/pack_name.h"

#include <string_view>

#include "core/error.h"
#include "core/text.h"

namespace polygraft::model {

bool is_pack_name(const std::string& name) {
  constexpr std::string_view kAllowed =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
  constexpr size_t kMostCharacters = 100;  // file systems take 255 bytes, with room for suffixes
  const bool is_mask = name == "all" || name == "none";  // as --mask has them
  return !is_mask && !name.empty() && name.size() <= kMostCharacters && name[0] != '.' &&
         name.find_first_not_of(kAllowed) == std::string::npos;
}

void check_pack_name(const std::string& name, const std::filesystem::path& file) {
  if (is_pack_name(name)) return;
  throw FormatError(file, "a pack has an unusable name")
      .expected(kPackNameRule)
      .found(in_quotes(name));
}

}  // namespace polygraft::model
