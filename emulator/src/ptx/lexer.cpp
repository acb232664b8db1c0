#include "ptx/lexer.hpp"

#include <cctype>

namespace emulator::ptx {
namespace {

// Opcodes, directives and names are one word each: dots and "::" belong to them.
bool in_word(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) || c == '_' || c == '$' || c == '%' ||
         c == '.';
}

}  // namespace

void Lexer::skip_blank() {
  while (cursor_ < end_) {
    if (*cursor_ == '\n') {
      ++line_;
      ++cursor_;
    } else if (std::isspace(static_cast<unsigned char>(*cursor_)) || *cursor_ == '\0') {
      ++cursor_;
    } else if (*cursor_ == '/' && cursor_ + 1 < end_ && cursor_[1] == '/') {
      while (cursor_ < end_ && *cursor_ != '\n') ++cursor_;
    } else if (*cursor_ == '/' && cursor_ + 1 < end_ && cursor_[1] == '*') {
      cursor_ += 2;
      while (cursor_ + 1 < end_ && !(cursor_[0] == '*' && cursor_[1] == '/')) {
        line_ += *cursor_++ == '\n';
      }
      cursor_ += 2;
    } else {
      return;
    }
  }
}

void Lexer::advance() {
  skip_blank();
  const char* begin = cursor_;
  token_.line = line_;
  if (cursor_ >= end_) {
    token_ = Token{Token::Kind::kEnd, {}, line_};
    return;
  }
  const char c = *cursor_;
  if (c == '"') {
    ++cursor_;
    while (cursor_ < end_ && *cursor_ != '"') ++cursor_;
    token_ =
        Token{Token::Kind::kString, {begin + 1, static_cast<size_t>(cursor_ - begin - 1)}, line_};
    ++cursor_;
    return;
  }
  const bool negative =
      c == '-' && cursor_ + 1 < end_ && std::isdigit(static_cast<unsigned char>(cursor_[1]));
  if (std::isdigit(static_cast<unsigned char>(c)) || negative) {
    ++cursor_;
    while (cursor_ < end_ &&
           (std::isalnum(static_cast<unsigned char>(*cursor_)) || *cursor_ == '.'))
      ++cursor_;
    token_ = Token{Token::Kind::kNumber, {begin, static_cast<size_t>(cursor_ - begin)}, line_};
    return;
  }
  if (in_word(c)) {
    while (cursor_ < end_) {
      if (in_word(*cursor_)) {
        ++cursor_;
      } else if (*cursor_ == ':' && cursor_ + 1 < end_ && cursor_[1] == ':') {
        cursor_ += 2;
      } else {
        break;
      }
    }
    token_ = Token{Token::Kind::kWord, {begin, static_cast<size_t>(cursor_ - begin)}, line_};
    return;
  }
  ++cursor_;
  token_ = Token{Token::Kind::kPunctuation, {begin, 1}, line_};
}

}  // namespace emulator::ptx
