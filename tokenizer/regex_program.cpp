// tokenizer/regex_program.cpp: see regex_program.h.
#include "tokenizer/regex_program.h"

#include <algorithm>

namespace polygraft::tokenizer {
namespace {

using Kind = RegexNode::Kind;
using Op = RegexProgram::Op;
constexpr size_t kMostInstructions = 4000;

struct TooLong {};

class Compiler {
 public:
  explicit Compiler(RegexProgram& program) : program_(program) {}

  /// Where to begin so that `node` is matched and `next` follows.
  uint32_t compile(const RegexNode& node, uint32_t next) {
    switch (node.kind) {
      case Kind::kClass:
        return emit({Op::kTake, next, 0, index_of(node.set)});
      case Kind::kAhead:
        return emit({Op::kAhead, next, 0, index_of(node.set)});
      case Kind::kNotAhead:
        return emit({Op::kNotAhead, next, 0, index_of(node.set)});
      case Kind::kSequence:
        for (auto part = node.parts.rbegin(); part != node.parts.rend(); ++part) {
          next = compile(*part, next);
        }
        return next;
      case Kind::kAlternate:
        return alternate(node, next);
      default:
        return repeat(node, next);
    }
  }
  uint32_t emit(RegexProgram::Instruction instruction) {
    if (program_.instructions.size() == kMostInstructions) throw TooLong();
    program_.instructions.push_back(instruction);
    return static_cast<uint32_t>(program_.instructions.size() - 1);
  }

 private:
  uint32_t index_of(const CodePointSet& set) {
    const auto known = std::find(program_.sets.begin(), program_.sets.end(), set);
    if (known == program_.sets.end()) program_.sets.push_back(set);
    return static_cast<uint32_t>(std::find(program_.sets.begin(), program_.sets.end(), set) -
                                 program_.sets.begin());
  }
  uint32_t alternate(const RegexNode& node, uint32_t next) {
    uint32_t entry = compile(node.parts.back(), next);
    for (auto part = node.parts.rbegin() + 1; part != node.parts.rend(); ++part) {
      entry = emit({Op::kSplit, compile(*part, next), entry});
    }
    return entry;
  }
  /// Another round through `body`, or on to `next`.
  RegexProgram::Instruction choice(const RegexNode& node, uint32_t body, uint32_t next) const {
    return node.lazy ? RegexProgram::Instruction{Op::kSplit, next, body}
                     : RegexProgram::Instruction{Op::kSplit, body, next};
  }
  uint32_t repeat(const RegexNode& node, uint32_t next) {
    const RegexNode& body = node.parts.front();
    uint32_t entry = next;
    if (node.most == RegexNode::kNoLimit) {
      entry = emit({});
      const uint32_t round = compile(body, entry);
      program_.instructions[entry] = choice(node, round, next);
    } else {
      for (int i = node.least; i < node.most; ++i) {
        entry = emit(choice(node, compile(body, entry), next));
      }
    }
    for (int i = 0; i < node.least; ++i) entry = compile(body, entry);
    return entry;
  }

  RegexProgram& program_;
};

}  // namespace

std::optional<RegexProgram> RegexProgram::compile(const RegexNode& tree) {
  RegexProgram program;
  try {
    Compiler compiler(program);
    const uint32_t match = compiler.emit({});
    program.start = compiler.compile(tree, match);
  } catch (const TooLong&) {
    return std::nullopt;
  }
  return program;
}

bool RegexStepper::step(const std::vector<uint32_t>& open, const std::vector<bool>* member,
                        std::vector<uint32_t>& next) {
  seen_.assign(seen_.size(), false);
  return std::any_of(open.begin(), open.end(),
                     [&](uint32_t position) { return follow(position, member, next); });
}

/// True at a match, which ends everything that would be tried later.
bool RegexStepper::follow(uint32_t position, const std::vector<bool>* member,
                          std::vector<uint32_t>& next) {
  if (seen_[position]) return false;
  seen_[position] = true;
  const RegexProgram::Instruction& instruction = program_.instructions[position];
  const bool in_set =
      member != nullptr && instruction.set < member->size() && (*member)[instruction.set];
  switch (instruction.op) {
    case Op::kTake:
      if (in_set && std::find(next.begin(), next.end(), instruction.next) == next.end()) {
        next.push_back(instruction.next);
      }
      return false;
    case Op::kAhead:
      return in_set && follow(instruction.next, member, next);
    case Op::kNotAhead:
      return !in_set && follow(instruction.next, member, next);
    case Op::kSplit:
      return follow(instruction.next, member, next) || follow(instruction.other, member, next);
    default:
      return true;
  }
}

}  // namespace polygraft::tokenizer
