// core/spool.h: bytes kept on disk until they are wanted, instead of in memory.
#pragma once
#include <cstdint>
#include <filesystem>
#include <string>

#include "core/descriptor.h"
#include "core/file.h"

namespace polygraft {

/// A file without a name: nothing is left of it, whatever kills the process.
class Spool {
 public:
  /// @param beside what the bytes are for: they lie on the same disk. @throws IoError.
  explicit Spool(const fs::path& beside);

  void append(const void* data, size_t num_bytes);  ///< @throws IoError
  /// Everything so far, in order; may be called once. @throws IoError.
  void move_to(AtomicFile& out);

 private:
  void flush();

  fs::path path_;
  Descriptor file_;
  std::string buffer_;
};

}  // namespace polygraft
