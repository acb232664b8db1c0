#include <charconv>
#include <cstdlib>
#include <stdexcept>

#include "ptx/ast.hpp"
#include "ptx/lexer.hpp"

namespace emulator::ptx {

u32 type_bytes(std::string_view t) {
  if (!t.empty() && t[0] == '.') t.remove_prefix(1);
  if (t == "pred") return 0;
  if (t == "b8" || t == "u8" || t == "s8") return 1;
  if (t == "b16" || t == "u16" || t == "s16" || t == "f16" || t == "bf16") return 2;
  if (t == "b32" || t == "u32" || t == "s32" || t == "f32" || t == "f16x2" || t == "bf16x2" ||
      t == "tf32")
    return 4;
  if (t == "b64" || t == "u64" || t == "s64" || t == "f64" || t == "f32x2") return 8;
  if (t == "b128") return 16;
  return kNone;
}

namespace {

struct Failure {
  u32 line;
  std::string message;
};

class Parser {
 public:
  Parser(Source& out) : out_(out), lex_(out.text) {}
  void module();

 private:
  [[noreturn]] void fail(const std::string& message) {
    throw Failure{lex_.peek().line, message + " near '" + std::string(lex_.peek().text) + "'"};
  }
  void expect(char c) {
    if (!lex_.accept(c)) fail(std::string("expected '") + c + "'");
  }
  void skip_to_semicolon() {
    while (lex_.peek().kind != Token::Kind::kEnd && !lex_.accept(';')) lex_.take();
  }
  u64 integer();
  s64 product();
  Operand operand();
  Operand number();
  Operand address();
  Variable variable(std::string_view space, bool is_param);
  void initializer(Variable& v);
  std::vector<Variable> formal_params();
  void function(bool is_entry);
  void body(Function& f);
  void statement(Function& f);
  void register_declaration(Function& f);
  void location(Function& f);
  void instruction(Function& f);
  void bound_directive(Function& f);

  Source& out_;
  Lexer lex_;
};

u64 Parser::integer() {
  const Token t = lex_.take();
  if (t.kind != Token::Kind::kNumber) fail("expected a number");
  std::string text(t.text);
  while (!text.empty() && (text.back() == 'U' || text.back() == 'u')) text.pop_back();
  if (text[0] == '-') return static_cast<u64>(std::strtoll(text.c_str(), nullptr, 0));
  if (text.rfind("0b", 0) == 0) return std::strtoull(text.c_str() + 2, nullptr, 2);
  return std::strtoull(text.c_str(), nullptr, 0);
}

// A constant offset may be written as a product: [table+3*16].
s64 Parser::product() {
  s64 value = static_cast<s64>(integer());
  while (lex_.accept('*')) value *= static_cast<s64>(integer());
  return value;
}

Operand Parser::number() {
  Operand o;
  o.kind = Operand::Kind::kImmediate;
  const std::string_view t = lex_.peek().text;
  if (t.size() == 10 && t[0] == '0' && (t[1] == 'f' || t[1] == 'F')) {
    o.bits = std::strtoull(std::string(lex_.take().text.substr(2)).c_str(), nullptr, 16);
    o.is_float32 = true;
  } else if (t.size() == 18 && t[0] == '0' && (t[1] == 'd' || t[1] == 'D')) {
    o.bits = std::strtoull(std::string(lex_.take().text.substr(2)).c_str(), nullptr, 16);
    o.is_float64 = true;
  } else if (t.find('.') != std::string_view::npos) {
    o.bits = std::bit_cast<u64>(std::strtod(std::string(lex_.take().text).c_str(), nullptr));
    o.is_float64 = true;
  } else {
    o.bits = integer();
  }
  return o;
}

Operand Parser::address() {
  Operand o;
  o.kind = Operand::Kind::kAddress;
  Operand base = operand();
  o.offset = base.offset;
  base.offset = 0;
  o.elements.push_back(std::move(base));
  while (lex_.accept(',')) o.elements.push_back(operand());
  expect(']');
  return o;
}

Operand Parser::operand() {
  Operand o;
  if (lex_.accept('!')) {
    o = operand();
    o.negated = true;
    return o;
  }
  if (lex_.accept('[')) return address();
  if (lex_.peek().is('{') || lex_.peek().is('(')) {
    const bool vector = lex_.take().is('{');
    o.kind = vector ? Operand::Kind::kVector : Operand::Kind::kList;
    const char close = vector ? '}' : ')';
    if (lex_.accept(close)) return o;
    do o.elements.push_back(operand());
    while (lex_.accept(','));
    expect(close);
    return o;
  }
  if (lex_.peek().kind == Token::Kind::kNumber) return number();
  if (lex_.accept('-')) {
    o = operand();
    o.bits = 0 - o.bits;
    return o;
  }
  if (lex_.peek().kind != Token::Kind::kWord) fail("expected an operand");
  const Token t = lex_.take();
  if (t.text == "_") {
    o.kind = Operand::Kind::kSink;
  } else {
    o.kind = Operand::Kind::kName;
    o.name = t.text;
  }
  if (lex_.accept('|')) {
    Operand pair;
    pair.kind = Operand::Kind::kPair;
    pair.elements.push_back(std::move(o));
    pair.elements.push_back(operand());
    return pair;
  }
  if (lex_.accept('+')) {
    o.offset = product();
  } else if (lex_.peek().kind == Token::Kind::kNumber && lex_.peek().text[0] == '-') {
    o.offset = static_cast<s64>(integer());  // [%r1-4]
  }
  return o;
}

void Parser::initializer(Variable& v) {
  if (lex_.accept('{')) {
    if (!lex_.accept('}')) {
      do initializer(v);
      while (lex_.accept(','));
      expect('}');
    }
    return;
  }
  Variable::Initializer value;
  if (lex_.accept("generic")) {
    expect('(');
    const Operand o = operand();
    value.symbol = o.name;
    value.offset = o.offset;
    expect(')');
    if (lex_.accept('+')) value.offset += product();
  } else {
    const Operand o = operand();
    value.symbol = o.name;
    value.offset = o.offset;
    value.bits = o.bits;
  }
  v.values.push_back(value);
}

Variable Parser::variable(std::string_view space, bool is_param) {
  Variable v;
  v.space = space;
  u64 vector = 1;
  while (lex_.peek().kind == Token::Kind::kWord && lex_.peek().text[0] == '.') {
    const Token t = lex_.take();
    if (t.text == ".align") {
      v.alignment = static_cast<u32>(integer());
    } else if (t.text == ".ptr" || t.text == ".managed") {
      continue;
    } else if (t.text == ".v2" || t.text == ".v4") {
      vector = static_cast<u64>(t.text[2] - '0');
    } else if (type_bytes(t.text) != kNone) {
      v.type = t.text.substr(1);
    } else if (!is_param && t.text != ".visible") {
      fail("unknown declaration word " + std::string(t.text));
    }
  }
  v.name = lex_.take().text;
  v.count = vector;
  while (lex_.accept('[')) {
    v.is_array = true;
    if (lex_.accept(']')) {
      v.count = 0;
      continue;
    }
    v.count *= integer();
    expect(']');
  }
  if (v.alignment == 0) v.alignment = std::max(1u, type_bytes(v.type) * static_cast<u32>(vector));
  if (lex_.accept('=')) initializer(v);
  return v;
}

std::vector<Variable> Parser::formal_params() {
  std::vector<Variable> params;
  expect('(');
  if (lex_.accept(')')) return params;
  do {
    const std::string_view space = lex_.take().text.substr(1);  // .param or .reg
    if (lex_.accept("...")) continue;
    params.push_back(variable(space, /*is_param=*/true));
  } while (lex_.accept(','));
  expect(')');
  return params;
}

void Parser::bound_directive(Function& f) {
  const std::string_view d = lex_.take().text;
  auto triple = [&](u32* out) {
    out[0] = static_cast<u32>(integer());
    out[1] = out[2] = 1;
    for (u32 i = 1; i < 3 && lex_.accept(','); ++i) out[i] = static_cast<u32>(integer());
  };
  if (d == ".maxntid") {
    triple(f.bounds.max_threads);
  } else if (d == ".reqntid") {
    triple(f.bounds.required_threads);
  } else if (d == ".reqnctapercluster") {
    triple(f.bounds.cluster);
  } else if (d == ".minnctapersm") {
    f.bounds.min_ctas = static_cast<u32>(integer());
  } else if (d == ".maxclusterrank") {
    f.bounds.max_cluster_rank = static_cast<u32>(integer());
  } else if (d == ".maxnreg") {
    f.bounds.max_registers = static_cast<u32>(integer());
  } else if (d == ".explicitcluster" || d == ".noreturn" || d == ".blocksareclusters") {
  } else if (d == ".pragma") {
    lex_.take();
    expect(';');
  } else if (d == ".abi_preserve" || d == ".abi_preserve_control") {
    integer();
  } else {
    fail("unknown function directive " + std::string(d));
  }
}

void Parser::function(bool is_entry) {
  Function f;
  f.is_entry = is_entry;
  if (!is_entry && lex_.peek().is('(')) f.results = formal_params();
  f.name = lex_.take().text;
  if (lex_.peek().is('(')) f.params = formal_params();
  while (lex_.peek().kind == Token::Kind::kWord && lex_.peek().text[0] == '.') bound_directive(f);
  if (lex_.accept(';')) {
    out_.functions.push_back(std::move(f));
    return;
  }
  expect('{');
  f.has_body = true;
  body(f);
  out_.functions.push_back(std::move(f));
}

void Parser::body(Function& f) {
  for (u32 depth = 1; depth;) {
    if (lex_.peek().kind == Token::Kind::kEnd) fail("unexpected end of file");
    Statement s;
    s.ptx_line = lex_.peek().line;
    if (lex_.accept('{')) {
      ++depth;
      s.kind = Statement::Kind::kOpen;
      f.body.push_back(std::move(s));
    } else if (lex_.accept('}')) {
      if (--depth == 0) return;
      s.kind = Statement::Kind::kClose;
      f.body.push_back(std::move(s));
    } else {
      statement(f);
    }
  }
}

void Parser::register_declaration(Function& f) {
  u64 vector = 1;
  while (lex_.peek().is(".v2") || lex_.peek().is(".v4")) lex_.take(), vector = 0;
  if (vector == 0) fail("vector registers are not supported");
  const std::string_view type = lex_.take().text.substr(1);
  if (type_bytes(type) == kNone) fail("unknown register type");
  do {
    Statement s;
    s.kind = Statement::Kind::kRegister;
    s.ptx_line = lex_.peek().line;
    s.variable.type = type;
    s.text = lex_.take().text;
    if (lex_.accept('<')) {
      s.register_count = static_cast<u32>(integer());
      expect('>');
    }
    f.body.push_back(std::move(s));
  } while (lex_.accept(','));
  expect(';');
}

void Parser::location(Function& f) {
  Statement s;
  s.kind = Statement::Kind::kLocation;
  const u32 line = lex_.peek().line;
  s.ptx_line = line;
  s.file = static_cast<u32>(integer());
  s.line = static_cast<u32>(integer());
  integer();
  // "function_name $L__info_string0, inlined_at 1 33 5": the innermost place is what we want.
  while (lex_.accept(',')) {
    const Token t = lex_.take();
    if (t.text == "function_name") {
      lex_.take();
      if (lex_.accept('+')) integer();
    } else if (t.text == "inlined_at") {
      integer(), integer(), integer();
    }
  }
  f.body.push_back(std::move(s));
}

void Parser::instruction(Function& f) {
  Statement s;
  s.ptx_line = lex_.peek().line;
  const char* begin = lex_.peek().begin();
  if (lex_.accept('@')) {
    s.guard_negated = lex_.accept('!');
    s.guard = lex_.take().text;
  }
  const Token opcode = lex_.take();
  if (opcode.kind != Token::Kind::kWord) fail("expected an instruction");
  s.opcode = opcode.text;
  if (lex_.peek().is(':')) fail("stray label");
  if (!lex_.peek().is(';')) {
    do s.operands.push_back(operand());
    while (lex_.accept(','));
  }
  s.text = {begin, static_cast<size_t>(lex_.peek().begin() - begin)};
  expect(';');
  f.body.push_back(std::move(s));
}

void Parser::statement(Function& f) {
  const Token t = lex_.peek();
  if (t.kind == Token::Kind::kWord && t.text[0] == '.') {
    lex_.take();
    if (t.text == ".reg") return register_declaration(f);
    if (t.text == ".loc") return location(f);
    if (t.text == ".shared" || t.text == ".local" || t.text == ".param" || t.text == ".global" ||
        t.text == ".const") {
      Statement s;
      s.kind = Statement::Kind::kVariable;
      s.ptx_line = t.line;
      s.variable = variable(t.text.substr(1), /*is_param=*/t.text == ".param");
      expect(';');
      f.body.push_back(std::move(s));
      return;
    }
    if (t.text == ".pragma" || t.text == ".extern" || t.text == ".weak") return skip_to_semicolon();
    fail("unknown directive " + std::string(t.text));
  }
  if (t.kind == Token::Kind::kWord) {
    // A label is a word followed by ':'; the lexer keeps "::" inside words, so one token decides.
    Lexer ahead = lex_;
    const Token word = ahead.take();
    if (ahead.accept(':')) {
      lex_ = ahead;
      Statement s;
      s.ptx_line = word.line;
      s.text = word.text;
      if (lex_.peek().is(".branchtargets")) {
        lex_.take();
        s.kind = Statement::Kind::kTargets;
        do s.operands.push_back(operand());
        while (lex_.accept(','));
        expect(';');
      } else if (lex_.peek().is(".callprototype") || lex_.peek().is(".calltargets")) {
        skip_to_semicolon();
        return;
      } else {
        s.kind = Statement::Kind::kLabel;
      }
      f.body.push_back(std::move(s));
      return;
    }
  }
  instruction(f);
}

void Parser::module() {
  while (lex_.peek().kind != Token::Kind::kEnd) {
    const Token t = lex_.take();
    if (t.kind != Token::Kind::kWord) {
      throw Failure{t.line, "unexpected '" + std::string(t.text) + "'"};
    }
    bool is_external = false;
    Token d = t;
    while (d.text == ".visible" || d.text == ".extern" || d.text == ".weak" ||
           d.text == ".common" || d.text == ".unified") {
      is_external |= d.text == ".extern";
      d = lex_.take();
    }
    if (d.text == ".version") {
      lex_.take();
    } else if (d.text == ".target") {
      out_.target = std::string(lex_.take().text);
      while (lex_.accept(',')) lex_.take();
    } else if (d.text == ".address_size") {
      integer();
    } else if (d.text == ".file") {
      const u64 index = integer();
      if (out_.files.size() <= index) out_.files.resize(index + 1);
      out_.files[index] = std::string(lex_.take().text);
      while (lex_.accept(',')) integer();
    } else if (d.text == ".section") {
      while (!lex_.accept('}') && lex_.peek().kind != Token::Kind::kEnd) lex_.take();
    } else if (d.text == ".entry" || d.text == ".func") {
      function(d.text == ".entry");
    } else if (d.text == ".global" || d.text == ".const" || d.text == ".shared") {
      Variable v = variable(d.text.substr(1), /*is_param=*/false);
      v.is_external = is_external;
      expect(';');
      out_.variables.push_back(std::move(v));
    } else if (d.text == ".alias" || d.text == ".pragma") {
      skip_to_semicolon();
    } else {
      throw Failure{d.line, "unknown directive " + std::string(d.text)};
    }
  }
}

}  // namespace

bool parse(std::string text, Source& out, ParseError& error) {
  out.text = std::move(text);
  try {
    Parser(out).module();
    return true;
  } catch (const Failure& f) {
    error = {f.line, f.message};
    return false;
  }
}

}  // namespace emulator::ptx
