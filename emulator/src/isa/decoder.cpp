#include "isa/decoder.hpp"

#include <algorithm>

namespace emulator::isa {

void reject(const std::string& message) { throw DecodeError{message}; }

Modifiers::Modifiers(std::string_view opcode) {
  size_t begin = 0;
  for (size_t i = 0; i <= opcode.size(); ++i) {
    if (i < opcode.size() && opcode[i] != '.') continue;
    const std::string_view part = opcode.substr(begin, i - begin);
    if (begin == 0) {
      mnemonic = part;
    } else {
      parts_.push_back(part);
    }
    begin = i + 1;
  }
}

bool Modifiers::take(std::string_view part) {
  auto it = std::find(parts_.begin(), parts_.end(), part);
  if (it == parts_.end()) return false;
  parts_.erase(it);
  return true;
}

std::string_view Modifiers::take_one_of(std::initializer_list<std::string_view> parts) {
  for (std::string_view p : parts)
    if (take(p)) return p;
  return {};
}

std::string_view Modifiers::take_prefix(std::string_view prefix) {
  for (size_t i = 0; i < parts_.size(); ++i) {
    if (parts_[i].substr(0, prefix.size()) != prefix) continue;
    const std::string_view p = parts_[i];
    parts_.erase(parts_.begin() + static_cast<long>(i));
    return p;
  }
  return {};
}

std::string_view Modifiers::take_last() {
  if (parts_.empty()) reject("has no type");
  const std::string_view p = parts_.back();
  parts_.pop_back();
  return p;
}

bool Modifiers::has(std::string_view part) const {
  return std::find(parts_.begin(), parts_.end(), part) != parts_.end();
}

std::string Modifiers::rest() const {
  std::string r;
  for (auto p : parts_) (r += '.') += p;
  return r;
}

const AluEntry* Registry::find_alu(std::string_view opcode) const {
  auto it = alu_.find(opcode);
  return it == alu_.end() ? nullptr : &it->second;
}

DecodeFn Registry::find_family(std::string_view mnemonic) const {
  auto it = families_.find(mnemonic);
  return it == families_.end() ? nullptr : it->second;
}

const ptx::Operand& Decode::op(size_t i) const {
  if (i >= ops.size()) reject("operand " + std::to_string(i) + " is missing");
  return ops[i];
}

u32 Decode::use(size_t i, u32 size) { return builder.use(op(i), size); }
u32 Decode::def(size_t i, u32 size) { return builder.def(op(i), size); }
u32 Decode::use_predicate(size_t i) { return builder.use_predicate(op(i)); }
u32 Decode::def_predicate(size_t i) { return builder.def_predicate(op(i)); }

std::vector<u32> Decode::use_list(const ptx::Operand& o, u32 size) {
  std::vector<u32> list;
  if (o.kind != ptx::Operand::Kind::kVector) return {builder.use(o, size)};
  for (const auto& e : o.elements)
    list.push_back(e.kind == ptx::Operand::Kind::kSink ? kNone : builder.use(e, size));
  return list;
}

std::vector<u32> Decode::def_list(const ptx::Operand& o, u32 size) {
  std::vector<u32> list;
  if (o.kind != ptx::Operand::Kind::kVector) return {builder.def(o, size)};
  for (const auto& e : o.elements) list.push_back(builder.def(e, size));
  return list;
}

void Decode::set_ops(std::vector<u32> list) {
  auto& stored = builder.add_operand_list(std::move(list));
  inst.ops = stored.data();
  inst.op_count = static_cast<u32>(stored.size());
}

u32 Decode::address(const ptx::Operand& o, u32& field) {
  if (o.kind != ptx::Operand::Kind::kAddress) reject("expected an address operand");
  const ptx::Operand& base = o.elements[0];
  inst.imm = o.offset;
  if (base.kind == ptx::Operand::Kind::kImmediate) {
    field = builder.constant(8, base.bits);
    return 8;
  }
  const u32 size = builder.is_register(base) ? builder.register_size(base) : 8;
  if (size != 4 && size != 8) reject("address register must have 32 or 64 bits");
  field = builder.use(base, size);
  return size;
}

s64 Decode::immediate(size_t i) const {
  const ptx::Operand& o = op(i);
  if (o.kind != ptx::Operand::Kind::kImmediate) reject("expected an immediate operand");
  return static_cast<s64>(o.bits);
}

}  // namespace emulator::isa
