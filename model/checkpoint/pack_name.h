// model/checkpoint/pack_name.h: what a pack may be called.
#pragma once
#include <filesystem>
#include <string>

namespace polygraft::model {

/// The name becomes a folder name and part of task names: letters, digits, '.', '_' and '-', no '.'
/// in front; `all` and `none` mean something else to --mask.
inline constexpr const char* kPackNameRule =
    "at most 100 letters, digits, '.', '_' and '-', no '.' in front; not all or none";
bool is_pack_name(const std::string& name);
/// @throws FormatError naming `file`.
void check_pack_name(const std::string& name, const std::filesystem::path& file);

}  // namespace polygraft::model
