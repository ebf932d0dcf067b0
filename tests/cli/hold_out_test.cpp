// tests/cli/hold_out_test.cpp: how many documents are held out, and from where.
#include "cli/pipeline/hold_out.h"

#include <catch2/catch.hpp>
#include <set>

#include "core/error.h"
#include "core/file.h"
#include "core/stop.h"
#include "core/text.h"
#include "tests/core/child_process.h"
#include "tests/core/temporary_folder.h"
#include "tokenizer/corpus.h"

using namespace polygraft;
using namespace polygraft::cli;

namespace {

/// As many documents of `num_bytes`, no two alike.
std::string write_documents(const fs::path& file, int count, size_t num_bytes) {
  AtomicFile out(file);
  for (int i = 0; i < count; ++i) {
    const std::string start = concat(file.stem().string(), " ", i, " ");
    out.write(start + std::string(num_bytes - start.size(), 'x') + "\n");
  }
  out.commit();
  return file.string();
}

struct Split {
  HeldOut count;
  std::vector<tokenizer::Document> heldout;
};

Split split_of(const fs::path& folder, const std::vector<std::string>& files) {
  Split split;
  split.count = hold_out_documents("aa", files, folder / "train.jsonl", folder / "heldout.jsonl");
  split.heldout = tokenizer::read_documents({folder / "heldout.jsonl"});
  return split;
}

}  // namespace

TEST_CASE("of much text some is held out from everywhere, in any order", "[cli]") {
  const testing::TemporaryFolder folder;
  const std::string one = write_documents(folder / "one.txt", 1500, 8000),
                    other = write_documents(folder / "other.txt", 1500, 8000);
  const Split split = split_of(folder.path(), {one, other});
  CHECK(split.count.num_heldout + split.count.num_train == 3000);
  CHECK(split.count.num_heldout == Approx((512 << 10) / 8000).margin(25));  // three deviations
  std::set<std::string> texts, again;
  int64_t from_other = 0;
  for (const tokenizer::Document& document : split.heldout) {
    texts.insert(document.text);
    from_other += document.text.starts_with("other") ? 1 : 0;
  }
  CHECK(from_other > split.count.num_heldout / 4);
  CHECK(from_other < split.count.num_heldout * 3 / 4);
  for (const tokenizer::Document& document : split_of(folder.path(), {other, one}).heldout)
    again.insert(document.text);
  CHECK(again == texts);
}

TEST_CASE("the gate finds documents enough where they are few or long", "[cli]") {
  const testing::TemporaryFolder folder;
  const auto num_heldout = [&](int count, size_t num_bytes) {
    return split_of(folder.path(), {write_documents(folder / "aa.txt", count, num_bytes)})
        .count.num_heldout;
  };
  CHECK(num_heldout(1600, 100) == Approx(100).margin(30));   // one in 16
  CHECK(num_heldout(320, 100) == Approx(40).margin(18));     // one in 8
  CHECK(num_heldout(100, 100) == Approx(25).margin(13));     // one in 4, no more
  CHECK(num_heldout(400, 60'000) == Approx(40).margin(18));  // not the nine that 512 KiB hold
  CHECK_THROWS_AS(num_heldout(1, 100), ConfigError);
}

TEST_CASE("texts are split until the process is asked to stop", "[cli]") {
  const testing::TemporaryFolder folder;
  const std::string text = write_documents(folder / "aa.txt", 100, 100);
  CHECK(testing::run_child([&] {
          install_stop_handlers();
          raise(SIGINT);
          try {
            split_of(folder.path(), {text});
          } catch (const Interrupted& interrupted) {
            return interrupted.signal_number();
          }
          return 0;
        }) == SIGINT);
}
