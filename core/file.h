// core/file.h: reading by memory map, and writing that is all or nothing.
// A name appears only when its content is complete and on disk: write beside it, fsync, rename.
#pragma once
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

#include "core/error.h"

namespace polygraft {

namespace fs = std::filesystem;

/// "cannot ACTION: No space left on device", with a hint that fits the errno.
IoError io_error(const fs::path& path, const std::string& action, int error_number);

/// A read-only memory-mapped file. Cheap to copy; the mapping lives as long as the last copy.
class MappedFile {
 public:
  /// @throws IoError when the file is missing, not regular or unreadable.
  explicit MappedFile(const fs::path& file);
  const std::byte* data() const;
  size_t size() const;
  std::string_view text() const;
  const fs::path& path() const;
  /// Keeps the mapping alive; for owners such as tensors made from it.
  std::shared_ptr<const void> keep_alive() const;

 private:
  struct Mapping;
  std::shared_ptr<const Mapping> mapping_;
};

/// "a folder", "a pipe", "a socket" or "a device" where `path` is one, through links too; "" for a
/// regular file and for nothing. Whatever is in /dev or /proc is a device.
std::string irregular_kind(const fs::path& path);

/// The whole file as a string. @throws IoError.
std::string read_file(const fs::path& file);

/// Writes `FILE.polygraft-partial-PID`, and renames it to FILE on commit(). Without commit()
/// nothing remains; what a killed process left is removed when the same FILE is written again. One
/// writer per FILE and process at a time.
class AtomicFile {
 public:
  /// @throws IoError if the folder cannot be written, or when FILE is a folder, pipe, socket or
  /// device: a rename would put a file in its place.
  explicit AtomicFile(fs::path file);
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  void write(const void* data, size_t num_bytes);  ///< @throws IoError, for instance on a full disk
  void write(std::string_view text) { write(text.data(), text.size()); }
  void commit();  ///< flush, fsync, rename, fsync the folder. @throws IoError

 private:
  void flush();
  fs::path file_;
  fs::path partial_;
  int descriptor_ = -1;
  uint64_t bytes_written_ = 0;
  std::string buffer_;
};

void write_file_atomically(const fs::path& file, std::string_view content);

/// The bytes alone, by an AtomicFile: not the mode, which may forbid to write. @throws IoError.
void copy_bytes(const fs::path& from, const fs::path& to);

/// Adds a line or more at the end of a file that others read and write too (made if missing).
/// @throws IoError.
void append_to_file(const fs::path& file, std::string_view content);

/// `folder` and its missing parents. @throws IoError.
void create_folders(const fs::path& folder);

/// A folder that appears whole or not at all: fill path(), then commit(). Missing parents are
/// created. What a killed process left is removed when the same folder is written again.
class AtomicFolder {
 public:
  /// @param replace whether an existing target is replaced (moved aside, then removed) on commit.
  /// @throws ConfigError when the target exists and `replace` is false; IoError when its parent
  /// cannot be written, or the target is a pipe, socket or device.
  AtomicFolder(fs::path folder, bool replace);
  ~AtomicFolder();
  AtomicFolder(const AtomicFolder&) = delete;
  AtomicFolder& operator=(const AtomicFolder&) = delete;

  const fs::path& path() const { return partial_; }  ///< where to write until commit()
  void commit();  ///< fsync of everything below path(), rename, fsync of the parent. @throws
                  ///< IoError, ConfigError

 private:
  fs::path folder_;
  fs::path partial_;
  bool replace_;
  bool committed_ = false;
  int lock_ = -1;  // held on TARGET.lock while this process works on it
};

/// @throws ConfigError "already exists; use --force" when `output` exists and `force` is false.
void refuse_existing_output(const fs::path& output, bool force);

}  // namespace polygraft
