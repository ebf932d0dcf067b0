// cli/version.h: the version that --version prints and every output carries.
#pragma once

namespace polygraft::cli {
inline constexpr const char* kVersion = POLYGRAFT_VERSION;
}  // namespace polygraft::cli
