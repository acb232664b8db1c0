// Tokens of PTX. Comments are skipped, lines are counted.
#pragma once

#include <string_view>

#include "base/types.hpp"

namespace emulator::ptx {

struct Token {
  enum class Kind { kEnd, kWord, kNumber, kString, kPunctuation };
  Kind kind = Kind::kEnd;
  std::string_view text;
  u32 line = 0;
  const char* begin() const { return text.data(); }
  const char* end() const { return text.data() + text.size(); }
  bool is(char c) const { return kind == Kind::kPunctuation && text[0] == c; }
  bool is(std::string_view word) const { return kind == Kind::kWord && text == word; }
};

class Lexer {
 public:
  explicit Lexer(std::string_view text) : cursor_(text.data()), end_(text.data() + text.size()) {
    advance();
  }
  const Token& peek() const { return token_; }
  Token take() {
    Token t = token_;
    advance();
    return t;
  }
  bool accept(char c) {
    if (!token_.is(c)) return false;
    advance();
    return true;
  }
  bool accept(std::string_view word) {
    if (!token_.is(word)) return false;
    advance();
    return true;
  }

 private:
  void advance();
  void skip_blank();
  const char* cursor_;
  const char* end_;
  u32 line_ = 1;
  Token token_;
};

}  // namespace emulator::ptx
