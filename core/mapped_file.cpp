// core/mapped_file.cpp: memory-mapped files, and telling which one could not be read.
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <mutex>
#include <shared_mutex>

#include "core/descriptor.h"
#include "core/file.h"
#include "core/mapped_fault.h"
#include "core/mapped_pages.h"

namespace polygraft {
namespace {

constexpr const char* kProblem = "cannot be read any more";
constexpr const char* kHint =
    "the file became shorter after it was opened, or its disk failed; restore it and run again";

struct Map {
  fs::path path;
  size_t size = 0;
  void* address = nullptr;

  bool holds(const void* place) const {
    const auto* begin = static_cast<const char*>(address);
    return place >= begin && place < begin + size;
  }
};

/// A signal handler may take no lock, hence slots. A map that finds none free has no message.
std::array<std::atomic<const Map*>, 1024> living{};
std::shared_mutex some_end;  // held by all others who look at maps that may not be theirs

void swap_slot(const Map* from, const Map* to) {
  for (auto& slot : living) {
    const Map* expected = from;
    if (slot.compare_exchange_strong(expected, to)) return;
  }
}

const Map* map_at(const void* place) {
  for (const auto& slot : living) {
    const Map* map = slot.load();
    if (map != nullptr && map->holds(place)) return map;
  }
  return nullptr;
}

extern "C" void on_bus_error(int /*signal*/, siginfo_t* info, void* /*context*/) {
  const Map* map = map_at(info->si_addr);
  if (map == nullptr) {  // not ours: kills, once this handler is left
    ::signal(SIGBUS, SIG_DFL);
    ::raise(SIGBUS);
    return;
  }
  for (const char* part : {"polygraft: i/o error: ", map->path.c_str(), ": ", kProblem,
                           "\n  hint:     ", kHint, "\n"}) {
    [[maybe_unused]] const ssize_t ignored = ::write(STDERR_FILENO, part, std::strlen(part));
  }
  _exit(static_cast<int>(ExitCode::kRuntime));
}

}  // namespace

struct MappedFile::Mapping : Map {
  explicit Mapping(const fs::path& file) {
    path = file;
    const Descriptor descriptor = open_regular_file(file);
    struct stat status {};
    if (fstat(descriptor.get(), &status) != 0) throw io_error(file, "read the size", errno);
    size = static_cast<size_t>(status.st_size);
    if (size == 0) return;  // mmap refuses nothing at all
    address = mmap(nullptr, size, PROT_READ, MAP_PRIVATE, descriptor.get(), 0);
    if (address == MAP_FAILED) throw io_error(file, "map into memory", errno);
    swap_slot(nullptr, this);
  }
  ~Mapping() {
    if (size == 0) return;
    {
      const std::unique_lock lock(some_end);
      swap_slot(this, nullptr);
    }
    munmap(address, size);
  }
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;
};

MappedFile::MappedFile(const fs::path& file) : mapping_(std::make_shared<const Mapping>(file)) {}
const std::byte* MappedFile::data() const {
  return static_cast<const std::byte*>(mapping_->address);
}
size_t MappedFile::size() const { return mapping_->size; }
std::string_view MappedFile::text() const {
  return {static_cast<const char*>(mapping_->address), mapping_->size};
}
const fs::path& MappedFile::path() const { return mapping_->path; }
std::shared_ptr<const void> MappedFile::keep_alive() const { return mapping_; }

void read_ahead(std::string_view mapped) {
  const auto page = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));
  const auto begin = reinterpret_cast<uintptr_t>(mapped.data()) / page * page;
  const auto end = reinterpret_cast<uintptr_t>(mapped.data()) + mapped.size();
  // NOLINTNEXTLINE(performance-no-int-to-ptr): a page's address
  if (end > begin) (void)madvise(reinterpret_cast<void*>(begin), end - begin, MADV_WILLNEED);
}

void release_pages(std::string_view mapped) {
  const std::shared_lock lock(some_end);
  if (mapped.empty() || map_at(mapped.data()) == nullptr) return;
  const auto page = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));
  const auto first = reinterpret_cast<uintptr_t>(mapped.data());
  const uintptr_t begin = (first + page - 1) / page * page;
  const uintptr_t end = (first + mapped.size()) / page * page;
  // NOLINTNEXTLINE(performance-no-int-to-ptr): a page's address
  if (end > begin) (void)madvise(reinterpret_cast<void*>(begin), end - begin, MADV_DONTNEED);
}

void exit_on_mapped_fault() {
  struct sigaction action {};
  action.sa_sigaction = on_bus_error;
  action.sa_flags = SA_SIGINFO;
  sigemptyset(&action.sa_mask);
  sigaction(SIGBUS, &action, nullptr);
}

std::optional<IoError> mapped_fault_at(const void* place) {
  const std::shared_lock lock(some_end);
  const Map* map = map_at(place);
  if (map == nullptr) return std::nullopt;
  return IoError(map->path, kProblem).hint(kHint);
}

}  // namespace polygraft
