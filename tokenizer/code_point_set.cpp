// tokenizer/code_point_set.cpp: see code_point_set.h.
#include "tokenizer/code_point_set.h"

#include <unicode/uchar.h>

#include <algorithm>
#include <array>

#include "tokenizer/newer_characters.h"

namespace polygraft::tokenizer {
namespace {

/// In the order of ICU's UCharCategory.
constexpr std::array<std::string_view, U_CHAR_CATEGORY_COUNT> kCategoryNames{
    "Cn", "Lu", "Ll", "Lt", "Lm", "Lo", "Mn", "Me", "Mc", "Nd", "Nl", "No", "Zs", "Zl", "Zp",
    "Cc", "Cf", "Co", "Cs", "Pd", "Ps", "Pe", "Pc", "Po", "Sm", "Sc", "Sk", "So", "Pi", "Pf"};

struct Collected {
  std::string_view name;
  CodePointSet set;
};

UBool collect(const void* context, UChar32 start, UChar32 limit, UCharCategory type) {
  auto& collected = *static_cast<Collected*>(const_cast<void*>(context));
  if (kCategoryNames[type].starts_with(collected.name)) {
    collected.set.add(static_cast<char32_t>(start), static_cast<char32_t>(limit - 1));
  }
  return 1;
}

}  // namespace

void CodePointSet::add(char32_t first, char32_t last) {
  // Joined with every range that overlaps or touches it.
  const auto begin = std::find_if(ranges_.begin(), ranges_.end(), [first](const Range& range) {
    return range.second + 1 >= first;
  });
  auto end = begin;
  for (; end != ranges_.end() && end->first <= last + 1; ++end) {
    first = std::min(first, end->first);
    last = std::max(last, end->second);
  }
  ranges_.insert(ranges_.erase(begin, end), {first, last});
}

void CodePointSet::add(const CodePointSet& other) {
  for (const auto& [first, last] : other.ranges_) add(first, last);
}

void CodePointSet::invert() {
  std::vector<Range> inverse;
  char32_t from = 0;
  for (const auto& [first, last] : ranges_) {
    if (first > from) inverse.emplace_back(from, first - 1);
    from = last + 1;
  }
  if (from <= kLast) inverse.emplace_back(from, kLast);
  ranges_ = std::move(inverse);
}

bool CodePointSet::contains(char32_t code_point) const {
  const auto after =
      std::partition_point(ranges_.begin(), ranges_.end(),
                           [code_point](const Range& range) { return range.second < code_point; });
  return after != ranges_.end() && after->first <= code_point;
}

bool CodePointSet::intersects(const CodePointSet& other) const {
  auto a = ranges_.begin();
  for (auto b = other.ranges_.begin(); a != ranges_.end() && b != other.ranges_.end();) {
    if (a->second < b->first) {
      ++a;
    } else if (b->second < a->first) {
      ++b;
    } else {
      return true;
    }
  }
  return false;
}

CodePointSet code_points_of_category(std::string_view name) {
  Collected collected{name, {}};
  u_enumCharTypes(collect, &collected);
  CodePointSet newer, newer_in_category;
  for (const NewerCharacters& characters : newer_characters()) {
    newer.add(characters.first, characters.last);
    if (characters.category.starts_with(name)) {
      newer_in_category.add(characters.first, characters.last);
    }
  }
  collected.set.invert();  // without what ICU may know otherwise: not (not set or newer)
  collected.set.add(newer);
  collected.set.invert();
  collected.set.add(newer_in_category);
  return collected.set;
}

}  // namespace polygraft::tokenizer
