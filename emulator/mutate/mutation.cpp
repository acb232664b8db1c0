#include "mutate/mutation.hpp"

#include <cctype>
#include <cstdlib>
#include <fstream>

namespace emulator::mutate {
namespace {

struct Statement {
  size_t begin, end;
  unsigned line;
  std::string text;  // without comments, one blank between words
};

bool starts_with(std::string_view s, std::string_view prefix) {
  return s.substr(0, prefix.size()) == prefix;
}

bool contains(std::string_view s, std::string_view part) {
  return s.find(part) != std::string_view::npos;
}

// "a.b.c" has the modifier ".b".
bool has_modifier(std::string_view opcode, std::string_view modifier) {
  for (size_t at = opcode.find(modifier); at != std::string_view::npos;
       at = opcode.find(modifier, at + 1)) {
    const size_t after = at + modifier.size();
    if (after == opcode.size() || opcode[after] == '.' || opcode[after] == ':') return true;
  }
  return false;
}

std::string replaced(std::string s, std::string_view from, std::string_view to) {
  const size_t at = s.find(from);
  if (at != std::string::npos) s.replace(at, from.size(), to);
  return s;
}

// The instruction without its guard.
std::string_view instruction(std::string_view s) {
  if (s.empty() || s[0] != '@') return s;
  const size_t blank = s.find(' ');
  return blank == std::string_view::npos ? s : s.substr(blank + 1);
}

std::string_view opcode_of(std::string_view s) {
  const std::string_view i = instruction(s);
  return i.substr(0, i.find_first_of(" {["));
}

class Lister {
 public:
  explicit Lister(std::string_view ptx) : ptx_(ptx) {}

  std::vector<Mutation> run() {
    while (at_ < ptx_.size()) step();
    return std::move(out_);
  }

 private:
  void step() {
    const char c = ptx_[at_];
    if (c == '/' && at_ + 1 < ptx_.size() && ptx_[at_ + 1] == '/') {
      skip_line();
    } else if (c == '/' && at_ + 1 < ptx_.size() && ptx_[at_ + 1] == '*') {
      while (at_ + 1 < ptx_.size() && !(ptx_[at_] == '*' && ptx_[at_ + 1] == '/')) advance();
      at_ += 2;
    } else if (text_.empty() && starts_with(ptx_.substr(at_), ".loc")) {
      skip_line();
    } else if (c == ';') {
      finish();
      advance();
    } else if (c == ':' && is_label()) {
      text_.clear();
      advance();
    } else if ((c == '{' || c == '}') && (text_.empty() || is_header())) {
      note_header();
      text_.clear();
      depth_ += c == '{' ? 1 : -1;
      if (depth_ == 0) entry_.clear();
      advance();
    } else {
      add(c);
      advance();
    }
  }

  void advance() {
    if (at_ < ptx_.size() && ptx_[at_] == '\n') ++line_;
    ++at_;
  }

  void skip_line() {
    while (at_ < ptx_.size() && ptx_[at_] != '\n') advance();
  }

  void add(char c) {
    if (std::isspace(static_cast<unsigned char>(c))) {
      if (!text_.empty() && text_.back() != ' ') text_ += ' ';
      return;
    }
    if (text_.empty()) {
      begin_ = at_;
      begin_line_ = line_;
    }
    text_ += c;
  }

  bool is_label() const {
    if (text_.empty() || (at_ + 1 < ptx_.size() && ptx_[at_ + 1] == ':')) return false;
    for (const char c : text_)
      if (!std::isalnum(static_cast<unsigned char>(c)) && c != '_' && c != '$' && c != ' ')
        return false;
    return true;
  }

  bool is_header() const { return contains(text_, ".entry") || contains(text_, ".func"); }

  void note_header() {
    const size_t at = text_.find(".entry ");
    if (at == std::string::npos) {
      if (is_header()) ordinal_ = 0, entry_ = "(function)";
      return;
    }
    const size_t end = text_.find_first_of(" (", at + 7);
    entry_ = text_.substr(at + 7, end - at - 7);
    ordinal_ = 0;
  }

  void finish() {
    while (!text_.empty() && text_.back() == ' ') text_.pop_back();
    if (!text_.empty() && depth_ > 0 && text_[0] != '.') {
      ++ordinal_;
      propose();
    }
    text_.clear();
  }

  void propose();

  void mutant(const char* action, std::string replacement) {
    Mutation m;
    m.key = entry_ + "|" + std::to_string(ordinal_) + "|" + action;
    m.entry = entry_;
    m.action = action;
    m.original = text_;
    m.replacement = std::move(replacement);
    m.ptx_line = begin_line_;
    m.begin = begin_;
    m.end = m.replacement.empty() ? at_ + 1 : at_;
    out_.push_back(std::move(m));
  }

  void narrow_scope() {
    for (const char* wide : {".gpu", ".sys", ".cluster"})
      if (has_modifier(opcode_of(text_), wide)) {
        mutant("scope", replaced(text_, wide, ".cta"));
        return;
      }
  }

  void relax(const char* order) { mutant("order", replaced(text_, order, ".relaxed")); }

  void pending_plus_one() {
    const size_t digits = text_.find_last_not_of("0123456789") + 1;
    if (digits >= text_.size()) return;
    const int pending = std::atoi(text_.c_str() + digits);
    mutant("pending", text_.substr(0, digits) + std::to_string(pending + 1));
  }

  std::string_view ptx_;
  size_t at_ = 0, begin_ = 0;
  unsigned line_ = 1, begin_line_ = 1;
  int depth_ = 0;
  unsigned ordinal_ = 0;
  std::string entry_, text_;
  std::vector<Mutation> out_;
};

void Lister::propose() {
  const std::string_view op = opcode_of(text_);
  if (starts_with(op, "bar.") || starts_with(op, "barrier.cluster")) {
    mutant("delete", "");
    if (has_modifier(op, ".release")) relax(".release");
    if (has_modifier(op, ".acquire")) relax(".acquire");
  } else if (starts_with(op, "barrier.")) {
    mutant("delete", "");
  } else if (starts_with(op, "membar")) {
    mutant("delete", "");
    if (!has_modifier(op, ".cta")) mutant("scope", "membar.cta");
  } else if (starts_with(op, "fence")) {
    mutant("delete", "");
    if (!contains(op, "proxy") && !contains(op, "mbarrier_init")) narrow_scope();
  } else if (starts_with(op, "mbarrier.try_wait") || starts_with(op, "mbarrier.test_wait")) {
    const std::string_view i = instruction(text_);
    const size_t name = i.find_first_not_of(' ', op.size());
    const std::string predicate(i.substr(name, i.find(',') - name));
    mutant("delete", "setp.eq.u32 " + predicate + ", 0, 0");
  } else if (starts_with(op, "mbarrier.arrive.expect_tx")) {
    mutant("delete", "");
    std::string plain = replaced(text_, ".expect_tx", "");
    plain.resize(plain.find(']') + 1);
    mutant("expect", plain);
  } else if (starts_with(op, "mbarrier.")) {
    // The state that an arrival returns may be used; such an arrival cannot just go.
    if (!starts_with(op, "mbarrier.arrive") || contains(text_, " _,")) mutant("delete", "");
  } else if (starts_with(op, "cp.async") && contains(op, "wait_group")) {
    mutant("delete", "");
    pending_plus_one();
    if (contains(op, "bulk") && !has_modifier(op, ".read"))
      mutant("read", replaced(text_, "wait_group", "wait_group.read"));
  } else if (starts_with(op, "cp.async") &&
             (contains(op, "commit_group") || contains(op, "wait_all") ||
              starts_with(op, "cp.async.mbarrier"))) {
    mutant("delete", "");
  } else if (starts_with(op, "wgmma.fence") || starts_with(op, "wgmma.commit_group")) {
    mutant("delete", "");
  } else if (starts_with(op, "wgmma.wait_group")) {
    mutant("delete", "");
    pending_plus_one();
  } else if (starts_with(op, "griddepcontrol.wait")) {
    mutant("delete", "");
  } else if (starts_with(op, "ld.") || starts_with(op, "st.") || starts_with(op, "atom.") ||
             starts_with(op, "red.")) {
    for (const char* order : {".acquire", ".release", ".acq_rel"})
      if (has_modifier(op, order)) {
        relax(order);
        narrow_scope();
      }
  }
}

std::string json_quoted(const std::string& s) {
  std::string out = "\"";
  for (const char c : s) {
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  return out + '"';
}

}  // namespace

std::vector<Mutation> mutations_of(std::string_view ptx) { return Lister(ptx).run(); }

std::string apply_environment(std::string ptx) {
  const char* list = std::getenv("EMULATOR_MUTATE_LIST");
  const char* key = std::getenv("EMULATOR_MUTATE");
  if (!list && !key) return ptx;
  const std::vector<Mutation> all = mutations_of(ptx);
  if (list) {
    std::ofstream out(list, std::ios::app);
    for (const Mutation& m : all)
      out << "{\"key\": " << json_quoted(m.key) << ", \"entry\": " << json_quoted(m.entry)
          << ", \"action\": " << json_quoted(m.action) << ", \"ptx_line\": " << m.ptx_line
          << ", \"original\": " << json_quoted(m.original)
          << ", \"replacement\": " << json_quoted(m.replacement) << "}\n";
  }
  if (!key) return ptx;
  for (const Mutation& m : all) {
    if (m.key != key) continue;
    std::string replacement = m.replacement;
    for (size_t i = m.begin; i < m.end; ++i)
      if (ptx[i] == '\n') replacement += '\n';
    ptx.replace(m.begin, m.end - m.begin, replacement);
    break;
  }
  return ptx;
}

}  // namespace emulator::mutate
