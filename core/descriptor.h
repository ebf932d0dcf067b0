// core/descriptor.h: an owned POSIX file descriptor and its error reports. Private to core.
#pragma once
#include <cstddef>
#include <filesystem>
#include <string>
#include <string_view>

namespace polygraft {

/// Closes its descriptor. All are opened close-on-exec.
class Descriptor {
 public:
  Descriptor() = default;
  /// @throws IoError "cannot ACTION: ..." when open(2) fails.
  Descriptor(const std::filesystem::path& path, int flags, const std::string& action);
  ~Descriptor();
  Descriptor(Descriptor&& other) noexcept;
  Descriptor& operator=(Descriptor&& other) noexcept;

  int get() const { return number_; }
  bool is_open() const { return number_ >= 0; }
  int close();    ///< errno of close(2), or 0
  int release();  ///< the number, which is the caller's to close

 private:
  int number_ = -1;
};

/// Opens a regular file for reading. @throws IoError for anything else, without blocking on a pipe.
Descriptor open_regular_file(const std::filesystem::path& file);

/// Up to `size` bytes; fewer only at the end of the file. @throws IoError.
size_t read_some(const Descriptor& descriptor, void* buffer, size_t size,
                 const std::filesystem::path& file);

/// All of `content`, at the descriptor's place. @throws IoError.
void write_all(int descriptor, std::string_view content, const std::filesystem::path& file);

/// fsync of a folder's own entries. @throws IoError.
void sync_folder(const std::filesystem::path& folder);

}  // namespace polygraft
