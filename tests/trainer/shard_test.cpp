// tests/trainer/shard_test.cpp: token shards hold exactly what the tokenizer says, are reused, and
// are made again when their text changed or their file broke.
#include "trainer/data/shard.h"

#include <ATen/Parallel.h>

#include <catch2/catch.hpp>

#include "core/error.h"
#include "tests/trainer/child.h"
#include "tests/trainer/tiny_world.h"
#include "trainer/data/shard_encoder.h"

namespace polygraft::trainer {
namespace {

using testing::TemporaryFolder;
using testing::tiny_world;

tokenizer::Tokenizer tiny_tokenizer() { return tokenizer::Tokenizer::load(tiny_world().tokenizer); }

TokenShard shard_in(const TemporaryFolder& folder, const std::vector<fs::path>& sources) {
  return open_or_encode_shard(folder / "aa.tokens", sources, tiny_tokenizer(), "encoding aa");
}

TEST_CASE("a shard holds every document's ids and byte counts", "[trainer][shard]") {
  const TemporaryFolder folder;
  const fs::path source = tiny_world().folder / "aa.txt";
  const TokenShard shard = shard_in(folder, {source});
  const auto documents = tokenizer::read_documents({source});
  const auto tokenizer = tiny_tokenizer();
  REQUIRE(shard.num_documents() == static_cast<int64_t>(documents.size()));
  int64_t num_tokens = 0;
  for (int64_t i = 0; i < shard.num_documents(); ++i) {
    const auto& text = documents[static_cast<size_t>(i)].text;
    const auto ids = shard.ids().subspan(static_cast<size_t>(shard.first_token(i)),
                                         static_cast<size_t>(shard.document_tokens(i)));
    CHECK(std::vector<int32_t>(ids.begin(), ids.end()) == tokenizer.encode(text));
    CHECK(shard.document_bytes(i) == static_cast<int64_t>(text.size()));
    num_tokens += shard.document_tokens(i);
  }
  CHECK(shard.num_tokens() == num_tokens);
}

TEST_CASE("the number of threads does not change a shard's bytes", "[trainer][shard]") {
  const TemporaryFolder one_folder, two_folder;
  const int before = at::get_num_threads();
  at::set_num_threads(1);
  shard_in(one_folder, {tiny_world().folder / "bb.txt"});
  at::set_num_threads(2);
  shard_in(two_folder, {tiny_world().folder / "bb.txt"});
  at::set_num_threads(before);
  CHECK(read_file(one_folder / "aa.tokens") == read_file(two_folder / "aa.tokens"));
}

TEST_CASE("an unchanged source reuses the shard, a changed one does not", "[trainer][shard]") {
  const TemporaryFolder folder;
  const fs::path source = folder / "text.txt";
  write_file_atomically(source, "kari to\nmunsel\n");
  const std::string first_key = shard_in(folder, {source}).key();
  const auto written = fs::last_write_time(folder / "aa.tokens");
  CHECK(shard_in(folder, {source}).key() == first_key);
  CHECK(fs::last_write_time(folder / "aa.tokens") == written);
  write_file_atomically(source, "kari to\nmunsel\nkari\n");
  const TokenShard changed = shard_in(folder, {source});
  CHECK(changed.key() != first_key);
  CHECK(changed.num_documents() == 3);
}

TEST_CASE("another tokenizer makes another key", "[trainer][shard]") {
  const fs::path source = tiny_world().folder / "aa.txt";
  const auto other = tokenizer::Tokenizer::load(tiny_world().expanded);
  CHECK(shard_key({source}, tiny_tokenizer()) != shard_key({source}, other));
}

TEST_CASE("a broken shard is refused when opened, and made again when encoding",
          "[trainer][shard]") {
  const TemporaryFolder folder;
  const fs::path source = tiny_world().folder / "aa.txt", file = folder / "aa.tokens";
  const TokenShard whole = shard_in(folder, {source});
  const std::string bytes = read_file(file);
  const auto broken = GENERATE(as<std::string>{}, "cut", "magic", "counts", "empty");
  std::string damaged = bytes;
  if (broken == "cut") damaged.resize(bytes.size() - 4);
  if (broken == "magic") damaged[0] = 'X';
  if (broken == "counts") damaged.replace(72, 8, std::string(8, '\xff'));
  if (broken == "empty") damaged.clear();
  write_file_atomically(file, damaged);
  CHECK_THROWS_AS(TokenShard::open(file), Error);
  CHECK(shard_in(folder, {source}).num_tokens() == whole.num_tokens());
  CHECK(read_file(file) == bytes);
}

/// About so many megabytes of documents of half a kilobyte.
void write_text(int64_t megabytes, const fs::path& file) {
  std::string lines = testing::invented_text("aa", 16'000);
  for (int64_t i = 0, line = 0; i < std::ssize(lines); ++i) {
    char& c = lines[static_cast<size_t>(i)];
    if (c == '\n' && ++line % 8 != 0) c = ' ';
  }
  AtomicFile out(file);
  for (int64_t bytes = 0; bytes < megabytes * 1'000'000; bytes += std::ssize(lines))
    out.write(lines);
  out.commit();
}

constexpr const char* kEncode = "child: peak memory of encoding";
TEST_CASE(kEncode, "[.child]") {
  const fs::path folder = testing::child_folder();
  create_folders(folder);
  write_text(testing::child_value(), folder / "text.txt");
  encode_shard(folder / "tokens", std::string(64, '0'), {folder / "text.txt"}, tiny_tokenizer(),
               "encoding");
  write_file_atomically(folder / "peak", std::to_string(testing::peak_resident_bytes()));
}

TEST_CASE("encoding takes no more memory for more text", "[trainer][shard]") {
  const TemporaryFolder folder;
  const auto peak_of = [&](int megabytes) {
    const fs::path run = folder / std::to_string(megabytes);
    REQUIRE(testing::run_test_case_in_child(kEncode, run, megabytes) == 0);
    return std::stoll(read_file(run / "peak"));
  };
  const int64_t small = peak_of(8), large = peak_of(24);
  INFO(small << " and " << large << " bytes");
  CHECK(large - small < 8'000'000);  // of ids alone there are more
}

}  // namespace
}  // namespace polygraft::trainer
