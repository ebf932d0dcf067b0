// tokenizer/unigram_model.cpp: see unigram_model.h. Reference: sentencepiece's unigram_model.cc.
#include "tokenizer/unigram_model.h"

#include <algorithm>
#include <cfloat>
#include <cstdlib>
#include <utility>

#include "tokenizer/utf8.h"

namespace polygraft::tokenizer {
namespace {

constexpr float kUnknownPenalty = 10.0F;
/// A sum below this starts anew from zero, before a float can no longer tell pieces apart.
constexpr float kLowestSum = -1e5F;
/// What the library gives user-defined pieces, which must win: the worth of the best piece, which
/// it starts at the smallest float and logarithms of probabilities never exceed, less a little.
constexpr float kUserDefinedScore = -0.1F;

bool is_sought(PieceType type) {
  return type == PieceType::kNormal || type == PieceType::kUserDefined;
}

}  // namespace

UnigramModel::UnigramModel(const SentencePieceFile& file) {
  byte_ids_.fill(kNone);
  float lowest = FLT_MAX;
  for (size_t id = 0; id < file.pieces.size(); ++id) {
    const SentencePieceEntry& piece = file.pieces[id];
    const auto token = static_cast<TokenId>(id);
    scores_.push_back(piece.type == PieceType::kUserDefined ? kUserDefinedScore : piece.score);
    if (piece.type == PieceType::kNormal) lowest = std::min(lowest, piece.score);
    if (piece.type == PieceType::kUnknown) unknown_ = token;
    if (piece.type == PieceType::kByte && file.byte_fallback) {
      byte_ids_[static_cast<size_t>(std::strtol(piece.text.c_str() + 3, nullptr, 16))] = token;
    }
  }
  unknown_score_ = lowest - kUnknownPenalty;
  build_trie(file);
}

void UnigramModel::build_trie(const SentencePieceFile& file) {
  std::vector<std::pair<std::string_view, TokenId>> pieces;
  for (size_t id = 0; id < file.pieces.size(); ++id) {
    if (is_sought(file.pieces[id].type)) {
      pieces.emplace_back(file.pieces[id].text, static_cast<TokenId>(id));
      longest_ = std::max(longest_, file.pieces[id].text.size());
    }
  }
  std::sort(pieces.begin(), pieces.end());
  // Of each node, the range of pieces below it; nodes are made a level at a time.
  struct Range {
    size_t first, last, depth;
  };
  nodes_.emplace_back();
  std::vector<Range> ranges{{0, pieces.size(), 0}};
  for (size_t node = 0; node < nodes_.size(); ++node) {
    auto [first, last, depth] = ranges[node];
    if (first < last && pieces[first].first.size() == depth) {
      nodes_[node].piece = pieces[first++].second;
    }
    nodes_[node].first_child = static_cast<uint32_t>(nodes_.size());
    while (first < last) {
      const auto byte = static_cast<uint8_t>(pieces[first].first[depth]);
      size_t end = first;
      while (end < last && static_cast<uint8_t>(pieces[end].first[depth]) == byte) ++end;
      nodes_.push_back({.byte = byte});
      ranges.push_back({first, end, depth + 1});
      ++nodes_[node].num_children;
      first = end;
    }
  }
}

const UnigramModel::Node* UnigramModel::child(const Node& node, uint8_t byte) const {
  const Node* const begin = nodes_.data() + node.first_child;
  const Node* const end = begin + node.num_children;
  const Node* const found = std::lower_bound(
      begin, end, byte, [](const Node& other, uint8_t wanted) { return other.byte < wanted; });
  return found != end && found->byte == byte ? found : nullptr;
}

void UnigramModel::start_anew(std::vector<Way>& ways, size_t begin) const {
  const float here = ways[begin].score;
  const size_t reached = std::min(begin + std::max<size_t>(longest_, 4), ways.size() - 1);
  for (size_t end = begin; end <= reached; ++end) {
    if (ways[end].begin != kNone) ways[end].score -= here;
  }
}

std::vector<UnigramModel::Way> UnigramModel::best_ways(std::string_view text) const {
  std::vector<Way> ways(text.size() + 1);
  for (size_t begin = 0; begin < text.size();) {
    if (ways[begin].score < kLowestSum) start_anew(ways, begin);
    const float here = ways[begin].score;
    const auto from = static_cast<int32_t>(begin);
    const size_t character_end =
        std::min(begin + utf8_length(static_cast<unsigned char>(text[begin])), text.size());
    bool character_is_known = false;
    const Node* node = nodes_.data();
    for (size_t end = begin; end < text.size();) {
      node = child(*node, static_cast<uint8_t>(text[end++]));
      if (node == nullptr) break;
      if (node->piece == kNone) continue;
      ways[end].offer(scores_[static_cast<size_t>(node->piece)] + here, from, node->piece);
      character_is_known |= end == character_end;
    }
    if (!character_is_known) ways[character_end].offer(unknown_score_ + here, from, unknown_);
    begin = character_end;
  }
  return ways;
}

void UnigramModel::encode_append(std::string_view normalized, std::vector<TokenId>& ids) const {
  const std::vector<Way> ways = best_ways(normalized);
  std::vector<size_t> ends;
  for (size_t end = normalized.size(); end > 0; end = static_cast<size_t>(ways[end].begin)) {
    ends.push_back(end);
  }
  bool after_unknown = false;
  for (auto end = ends.rbegin(); end != ends.rend(); ++end) {
    const Way& way = ways[*end];
    const bool is_unknown = way.piece == unknown_;
    if (is_unknown && byte_ids_[0] != kNone) {
      for (size_t at = static_cast<size_t>(way.begin); at < *end; ++at) {
        ids.push_back(byte_ids_[static_cast<uint8_t>(normalized[at])]);
      }
    } else if (!(is_unknown && after_unknown)) {
      ids.push_back(way.piece);
    }
    after_unknown = is_unknown;
  }
}

}  // namespace polygraft::tokenizer
