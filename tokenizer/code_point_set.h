// tokenizer/code_point_set.h: sets of code points as sorted ranges, and those of Unicode's general
// categories as patterns see them (ICU's tables completed by newer_characters.h).
#pragma once
#include <string_view>
#include <utility>
#include <vector>

namespace polygraft::tokenizer {

class CodePointSet {
 public:
  static constexpr char32_t kLast = 0x10FFFF;
  using Range = std::pair<char32_t, char32_t>;  ///< first and last

  CodePointSet() = default;
  CodePointSet(char32_t first, char32_t last) { add(first, last); }

  void add(char32_t first, char32_t last);
  void add(const CodePointSet& other);
  void invert();
  bool contains(char32_t code_point) const;
  bool intersects(const CodePointSet& other) const;
  const std::vector<Range>& ranges() const { return ranges_; }  ///< sorted, none adjacent
  bool operator==(const CodePointSet& other) const { return ranges_ == other.ranges_; }

 private:
  std::vector<Range> ranges_;
};

/// @param name of a general category, "Lu", or of a group of them, "L".
CodePointSet code_points_of_category(std::string_view name);

}  // namespace polygraft::tokenizer
