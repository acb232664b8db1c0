// Syntax of a PTX module, before symbols are resolved. Names are views into the module's text.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/types.hpp"
#include "exec/kernel.hpp"

namespace emulator::ptx {

struct Operand {
  enum class Kind { kName, kImmediate, kAddress, kVector, kPair, kSink, kList };
  Kind kind = Kind::kSink;
  std::string_view name;
  u64 bits = 0;
  bool is_float32 = false;
  bool is_float64 = false;
  bool negated = false;           // !p
  bool is_parameter = false;      // inside ( ) of a call
  s64 offset = 0;                 // name+offset, [base+offset]
  std::vector<Operand> elements;  // address: base, then coordinates or mbarrier; pair: d, p
};

struct Variable {
  std::string_view space;  // shared, local, global, const, param, reg
  std::string_view type;
  std::string_view name;
  u32 alignment = 0;
  u64 count = 1;
  bool is_array = false;
  bool is_external = false;
  struct Initializer {
    u64 bits = 0;
    std::string_view symbol;
    s64 offset = 0;
  };
  std::vector<Initializer> values;
};

struct Statement {
  enum class Kind {
    kInstruction,
    kLabel,
    kVariable,
    kRegister,
    kOpen,
    kClose,
    kLocation,
    kTargets
  };
  Kind kind = Kind::kInstruction;
  u32 ptx_line = 0;
  std::string_view text;   // the whole instruction; label or register-family name
  std::string_view guard;  // empty: unguarded
  bool guard_negated = false;
  std::string_view opcode;
  std::vector<Operand> operands;
  Variable variable;
  u32 register_count = 0;  // %r<N>: N; 0 for a single name
  u32 file = 0, line = 0;  // kLocation
};

struct Function {
  std::string_view name;
  bool is_entry = false;
  bool has_body = false;
  std::vector<Variable> results;
  std::vector<Variable> params;
  std::vector<Statement> body;
  LaunchBounds bounds;
};

struct Source {
  std::string text;
  std::vector<Function> functions;
  std::vector<Variable> variables;
  std::vector<std::string> files;  // by .file index
  std::string target;
};

struct ParseError {
  u32 line = 0;
  std::string message;
};

// Parses the whole text; returns false and fills `error` at the first syntax error.
bool parse(std::string text, Source& out, ParseError& error);

u32 type_bytes(std::string_view type);  // 0 for pred, kNone for an unknown type

}  // namespace emulator::ptx
