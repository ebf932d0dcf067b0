// tests/model/device/slot_notes_test.cpp: which tokens go to which rank, and their notes, against
// loops over ranks, tokens and slots; and what a rank reads out of notes that came.
#include "model/device/slot_notes.h"

#include "tests/model/device/problem.h"

namespace polygraft::testing {
namespace {

using device::RankedSlots;
using device::SlotNote;
using device::ThreadOrder;

struct NotesCase {
  int64_t num_tokens;
  std::vector<int32_t> groups_of_rank;  ///< how many experts each rank has
  int32_t top_k;
  bool crowd = false;

  int32_t num_ranks() const { return static_cast<int32_t>(groups_of_rank.size()); }
  std::vector<int32_t> rank_of_group() const {
    std::vector<int32_t> ranks;
    for (int32_t p = 0; p < num_ranks(); ++p)
      ranks.insert(ranks.end(), static_cast<size_t>(groups_of_rank[static_cast<size_t>(p)]), p);
    return ranks;
  }
};

/// What a rank's tokens and slots are to the others.
struct Sent {
  std::vector<int32_t> is_sent_PT, place_PT, first_token, row_of_slot, token_of_sent;
  std::vector<SlotNote> notes;
};

Sent send_plainly(const NotesCase& c, const std::vector<int32_t>& group,
                  const std::vector<float>& weight) {
  const std::vector<int32_t> rank_of_group = c.rank_of_group();
  const auto slots_of = [&](size_t token) {
    const auto first = group.begin() + static_cast<int64_t>(token) * c.top_k;
    return std::vector<int32_t>(first, first + c.top_k);
  };
  Sent sent;
  sent.row_of_slot.resize(group.size());
  sent.notes.resize(group.size());
  std::vector<int32_t> place(static_cast<size_t>(c.num_tokens));
  for (int32_t p = 0; p < c.num_ranks(); ++p) {
    const auto first = static_cast<int32_t>(sent.token_of_sent.size());
    sent.first_token.push_back(first);
    for (size_t t = 0; t < place.size(); ++t) {
      place[t] = static_cast<int32_t>(sent.token_of_sent.size()) - first;
      const auto slots = slots_of(t);
      const bool goes = std::any_of(slots.begin(), slots.end(), [&](int32_t g) {
        return rank_of_group[static_cast<size_t>(g)] == p;
      });
      sent.place_PT.push_back(place[t]);
      sent.is_sent_PT.push_back(goes ? 1 : 0);
      if (goes) sent.token_of_sent.push_back(static_cast<int32_t>(t));
    }
    for (size_t s = 0; s < group.size(); ++s) {
      if (rank_of_group[static_cast<size_t>(group[s])] != p) continue;
      sent.row_of_slot[s] = static_cast<int32_t>(std::count_if(
          group.begin(), group.end(), [&](int32_t other) { return other < group[s]; }));
      sent.row_of_slot[s] += static_cast<int32_t>(
          std::count(group.begin(), group.begin() + static_cast<int64_t>(s), group[s]));
      sent.notes[static_cast<size_t>(sent.row_of_slot[s])] = {
          place[s / static_cast<size_t>(c.top_k)], weight[s]};
    }
  }
  sent.first_token.push_back(static_cast<int32_t>(sent.token_of_sent.size()));
  return sent;
}

}  // namespace

TEST_CASE("each rank gets a token once, and a note for each of its slots there", "[device]") {
  const auto c =
      GENERATE(NotesCase{0, {2, 1}, 2}, NotesCase{1, {3}, 2}, NotesCase{1, {1, 0, 1}, 2},
               NotesCase{255, {4, 3}, 3}, NotesCase{256, {2, 2, 2}, 1},
               NotesCase{300, {8, 8, 9, 0, 7}, 4, /*crowd=*/true}, NotesCase{513, {5, 6, 4}, 15});
  std::mt19937_64 random(3);
  const std::vector<int32_t> rank_of_group = c.rank_of_group();
  const auto num_groups = static_cast<int32_t>(rank_of_group.size());
  const auto group = random_choices(c.num_tokens, num_groups, c.top_k, c.crowd, random);
  const auto weight = random_floats(std::ssize(group), random);
  const Sent expected = send_plainly(c, group, weight);
  const RankedSlots slots{view(group), view(rank_of_group), c.top_k};
  const auto [is_sent] = in_all_orders([&](ThreadOrder order) {
    auto marks = unwritten<int32_t>(c.num_ranks() * c.num_tokens);
    launch_on_host(device::MarkTokens{slots, writable(marks)}, order);
    return std::tuple(marks);
  });
  REQUIRE(is_sent == expected.is_sent_PT);
  const auto [notes, token_of_sent] = in_all_orders([&](ThreadOrder order) {
    auto written = unwritten<SlotNote>(std::ssize(group));
    auto tokens = unwritten<int32_t>(expected.first_token.back());
    launch_on_host(
        device::WriteNotes{slots, view(weight), view(expected.row_of_slot), view(expected.place_PT),
                           view(expected.first_token), writable(written), writable(tokens)},
        order);
    return std::tuple(written, tokens);
  });
  REQUIRE(same_bits(notes, expected.notes));
  REQUIRE(token_of_sent == expected.token_of_sent);
}

TEST_CASE("a slot that came knows its token, its expert and its weight", "[device]") {
  struct Source {
    std::vector<int32_t> rows_of_expert;
    int32_t num_tokens;
  };
  const auto sources = GENERATE(std::vector<Source>{{{0, 0}, 0}},
                                std::vector<Source>{{{3, 0, 2}, 4}, {{0, 0, 0}, 0}, {{0, 7, 0}, 7}},
                                std::vector<Source>{{{250}, 250}, {{9}, 9}},
                                std::vector<Source>{{{0, 1, 0, 0}, 1}, {{0, 0, 0, 300}, 300}});
  std::mt19937_64 random(4);
  std::vector<SlotNote> notes;
  std::vector<int32_t> first_slot, first_token, token, expert;
  std::vector<float> weight;
  int32_t num_tokens = 0;
  for (const Source& source : sources) {
    first_token.push_back(num_tokens);
    for (size_t e = 0; e < source.rows_of_expert.size(); ++e) {
      first_slot.push_back(static_cast<int32_t>(notes.size()));
      for (int32_t i = 0; i < source.rows_of_expert[e]; ++i) {
        weight.push_back(random_floats(1, random)[0]);
        const auto of_source =
            static_cast<int32_t>(random() % static_cast<uint64_t>(source.num_tokens));
        notes.push_back({of_source, weight.back()});
        token.push_back(num_tokens + of_source);
        expert.push_back(static_cast<int32_t>(e));
      }
    }
    num_tokens += source.num_tokens;
  }
  const auto found = in_all_orders([&](ThreadOrder order) {
    auto tokens = unwritten<int32_t>(std::ssize(notes)), experts = tokens;
    auto weights = unwritten<float>(std::ssize(notes));
    launch_on_host(device::ReadNotes{view(notes), view(first_slot), view(first_token),
                                     writable(tokens), writable(experts), writable(weights)},
                   order);
    return std::tuple(tokens, experts, weights);
  });
  REQUIRE(std::get<0>(found) == token);
  REQUIRE(std::get<1>(found) == expert);
  REQUIRE(same_bits(std::get<2>(found), weight));
}

}  // namespace polygraft::testing
