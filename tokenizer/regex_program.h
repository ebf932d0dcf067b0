// tokenizer/regex_program.h: a regular expression as instructions, and all ways through them at
// once, in the order in which a backtracking matcher tries them (Pike's machine).
#pragma once
#include <cstdint>
#include <optional>
#include <vector>

#include "tokenizer/regex_tree.h"

namespace polygraft::tokenizer {

struct RegexProgram {
  enum class Op { kTake, kAhead, kNotAhead, kSplit, kMatch };
  struct Instruction {
    Op op = Op::kMatch;
    uint32_t next = 0;   ///< for kSplit the way tried first
    uint32_t other = 0;  ///< the way tried second
    uint32_t set = 0;    ///< index in `sets`
  };

  std::vector<Instruction> instructions;
  std::vector<CodePointSet> sets;  ///< all different
  uint32_t start = 0;

  /// None when bounded repetitions make it too long.
  static std::optional<RegexProgram> compile(const RegexNode& tree);
};

/// One step of all ways at once.
class RegexStepper {
 public:
  explicit RegexStepper(const RegexProgram& program)
      : program_(program), seen_(program.instructions.size()) {}

  /// @param open instructions, the way tried first at the front.
  /// @param member whether the next code point is in each set; none at the end of the text.
  /// @param next receives the ways open behind that code point.
  /// @return whether some way matches before it; ways tried later are dropped then.
  bool step(const std::vector<uint32_t>& open, const std::vector<bool>* member,
            std::vector<uint32_t>& next);

 private:
  bool follow(uint32_t position, const std::vector<bool>* member, std::vector<uint32_t>& next);

  const RegexProgram& program_;
  std::vector<bool> seen_;
};

}  // namespace polygraft::tokenizer
