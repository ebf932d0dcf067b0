// core/mapped_pages.h: what the system is told of pages of mapped files.
#pragma once
#include <string_view>

namespace polygraft {

/// Mapped bytes will be read soon: what is not in memory is fetched meanwhile. A hint, harmless for
/// bytes that lie elsewhere.
void read_ahead(std::string_view mapped);

/// Mapped bytes are not needed any more: whole pages leave this process and stay in the page cache,
/// from where the system takes memory at less cost than from a mapping. Nothing happens to bytes
/// that lie elsewhere than in a mapped file; reading released ones maps them anew.
void release_pages(std::string_view mapped);

}  // namespace polygraft
