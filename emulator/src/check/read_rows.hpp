// Reads of shared memory by those who read most of it: the warps of the CTA that owns it, with
// plain loads, and its wgmma.
//
// Tiles are read by many warps between two barriers, so every reader has a row of its own, with one
// entry for each word: the clock of its last read, and by which lanes. A write asks each row. A
// summary of the newest clock in every block of words answers for nearly all of them at once.
//
// Rows outlive their CTA: the clocks of the next one begin where those of the last one ended, so
// that old entries are older than anything, and need not be erased.
#pragma once

#include <algorithm>
#include <memory>
#include <vector>

#include "check/clock.hpp"

namespace emulator::check {

struct ReadRow {
  static constexpr u32 kBlock = 128;  // words

  std::vector<u32> clock, lanes;
  std::vector<u32> place;   // site, and which of the four bytes above kSiteBits
  std::vector<u32> newest;  // clock, by block

  static constexpr u32 kSiteBits = 24;
  u32 site(u32 cell) const { return place[cell] & ((1u << kSiteBits) - 1); }
  u32 bytes(u32 cell) const { return place[cell] >> kSiteBits; }
  void set(u32 cell, u32 now, u32 reading, u32 where) {
    clock[cell] = now;
    lanes[cell] = reading;
    place[cell] = where;
    newest[cell / kBlock] = now;
  }
};

class ReadRows {
 public:
  // For a CTA whose actors begin with `first_actor`; rows are numbered as its actors are.
  void begin(u32 first_actor, u32 actors, u32 cells) {
    for (const u32 i : active_)
      for (const u32 clock : rows_[i]->newest) base_ = std::max(base_, clock);
    if (base_ > ~u32{0} / 2) {
      rows_.clear();
      base_ = 0;
    }
    active_.clear();
    first_actor_ = first_actor;
    cells_ = cells;
    if (rows_.size() < actors) rows_.resize(actors);
  }

  bool empty() const { return active_.empty(); }
  u32 base() const { return base_; }  // clocks up to here are those of earlier CTAs
  u32 actor(u32 index) const { return first_actor_ + index; }
  const std::vector<u32>& active() const { return active_; }
  const ReadRow& operator[](u32 index) const { return *rows_[index]; }

  // Whoever is ordered after a copy into these words is ordered after all that was read before it.
  void forget(u32 first_cell, u32 end_cell) {
    for (const u32 i : active_) {
      ReadRow& row = *rows_[i];
      if (row.newest[first_cell / ReadRow::kBlock] > base_ ||
          row.newest[(end_cell - 1) / ReadRow::kBlock] > base_)
        std::fill(row.clock.begin() + first_cell, row.clock.begin() + end_cell, base_);
    }
  }

  ReadRow& open(u32 index) {
    if (std::find(active_.begin(), active_.end(), index) != active_.end()) return *rows_[index];
    active_.push_back(index);
    if (!rows_[index]) rows_[index] = std::make_unique<ReadRow>();
    ReadRow& row = *rows_[index];
    for (auto* v : {&row.clock, &row.lanes, &row.place}) v->resize(cells_);
    row.newest.resize(cells_ / ReadRow::kBlock + 1);
    return row;
  }

 private:
  u32 first_actor_ = 0, cells_ = 0, base_ = 0;
  std::vector<std::unique_ptr<ReadRow>> rows_;
  std::vector<u32> active_;
};

}  // namespace emulator::check
