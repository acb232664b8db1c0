/* Chains cut over blocks: who does which chunks, and how states go from one part to the next.
 *
 * The formulas are those of share.cuh, balance.hpp, take_share.cuh and make_item (work.cuh). Blocks
 * begin in any order, RESIDENT of them at a time, and are numbered as they begin, or as the hardware
 * does where nobody waits. A cut of a replayed layout starts from nothing,
 * from the caller's state or waits, whatever the gates may prove; or, if `leaves`, chains with a cut
 * that is not proven are left to other kernels. Checked: no deadlock; every chunk is written once;
 * every state that is read is that of its chain and chunk; no initial state is overwritten that
 * somebody still reads; of a chain that is left, nothing is touched.
 *
 * Mutants: 1 no wait before a state is taken; 2 none before one is replaced in place; 3 blocks are
 * always numbered as the hardware does; 4 the flag is raised before the state is there; 5 flags are those
 * of the last launch; 6 outputs of replayed chunks are written; 7 a part before a cut is run although
 * its chain is left.
 */
#define BLOCKS 4
#define RESIDENT 2
#define CHAINS 5
#define MAX_REPLAY 2 /* chunks; kMaxWarmUp in small */

mtype = { kWhole, kCut, kReplayed, kCaller, kBlock, kZero };

byte mutant;
mtype layout;
bit in_place, leaves;
byte chains;          /* in this case */
byte chunks[CHAINS];  /* of each, longest first */
byte share;           /* cost of a block */
byte begun, resident, finished;

short written[CHAINS];  /* bit c: output of chunk c */
bit replaced[CHAINS];   /* the initial state, by the final one */
bit final[CHAINS];
bit sent[BLOCKS];
byte slot_chain[BLOCKS]; /* chain + 1 whose state lies in a block's slot */
byte slot_chunk[BLOCKS]; /* after so many chunks */

/* Shares, by number of the block. */
byte begin[BLOCKS], tail_skip[BLOCKS], tail_replay[BLOCKS], head_chunks[BLOCKS];
short end[BLOCKS]; /* begin - 1 if both ends lie in one chain */
mtype tail_source[BLOCKS];
bit left_out[CHAINS]; /* to other kernels */

#define COST(k) (chunks[k] + 1)

/* The place where cost `at` of the line falls, and the chunks left of it in the chain before. */
inline cut(at, place, left) {
  place = 0;
  left = at;
  do
  :: place < chains && left >= COST(place) -> left = left - COST(place); place++
  :: else -> break
  od;
  if
  :: place == chains || left == 0 -> left = 0
  :: else ->
     if
     :: left + 1 >= COST(place) -> left = 0
     :: else
     fi;
     place++
  fi
}

inline run_item(chain, first, last, replay, source, sink) {
  if
  :: source == kCaller -> assert(!replaced[chain])
  :: source == kZero
  :: source == kBlock ->
     (sent[number - 1] || mutant == 1);
     assert(slot_chain[number - 1] == chain + 1 && slot_chunk[number - 1] == first)
  fi;
  d_step {
    c = first;
    do
    :: c < last ->
       if
       :: c >= first + replay || mutant == 6 ->
          assert(!(written[chain] & (1 << c)));
          written[chain] = written[chain] | (1 << c)
       :: else
       fi;
       c++
    :: else -> break
    od
  }
  if
  :: in_place && replay > 0 -> (sent[number - 1] || mutant == 2)
  :: else
  fi;
  if
  :: sink == kBlock ->
     if
     :: mutant == 4 -> sent[number] = 1
     :: else
     fi;
     d_step { slot_chain[number] = chain + 1; slot_chunk[number] = last }
     sent[number] = 1
  :: else ->
     d_step {
       assert(!final[chain] && last == chunks[chain]);
       final[chain] = 1;
       replaced[chain] = in_place
     }
  fi
}

#define IS_BETWEEN(n) (end[n] < begin[n])
#define TURN(index) (chains / BLOCKS % 2 == 0 -> index : BLOCKS - 1 - index)

/* Of the parts of chains that are left out, none is run. */
inline leave_unproven(number, rounds, heads) {
  heads = head_chunks[number];
  head = heads > 0 && left_out[end[number]] && mutant != 7;
  if
  :: IS_BETWEEN(number) -> rounds = (head -> 0 : rounds)
  :: else ->
     heads = (head -> 0 : heads);
     rounds = rounds - head - (tail_skip[number] > 0 && left_out[begin[number] - 1])
  fi
}

proctype Block(byte index) {
  byte number, c, first, last, replay, round, rounds, place, heads;
  bit head;
  mtype source, sink;
  atomic {
    resident < RESIDENT -> resident++;
    number = (mutant == 3 || (leaves && !in_place) -> index : begun);
    begun++
  }
  d_step {
    if
    :: layout == kWhole -> rounds = chains / BLOCKS + (TURN(index) < chains % BLOCKS)
    :: else ->
       rounds = end[number] - begin[number] + (head_chunks[number] > 0) + (tail_skip[number] > 0);
       leave_unproven(number, rounds, heads)
    fi
  }
  do
  :: round < rounds ->
     d_step {
       source = kCaller;
       sink = kCaller;
       replay = 0;
       first = 0;
       if
       :: layout == kWhole ->
          place = round * BLOCKS + (round % 2 == 0 -> index : BLOCKS - 1 - index);
          last = chunks[place]
       :: else ->
          head = IS_BETWEEN(number) || (round == 0 && heads > 0);
          place = (head -> end[number] : begin[number] + round - (heads > 0));
          if
          :: IS_BETWEEN(number) || (!head && place >= end[number]) -> /* tail */
             place = begin[number] - 1;
             first = tail_skip[number] - tail_replay[number];
             source = tail_source[number];
             replay = tail_replay[number]
          :: else
          fi;
          last = chunks[place];
          if
          :: head -> last = heads; sink = kBlock
          :: else
          fi
       fi
     }
     run_item(place, first, last, replay, source, sink);
     round++
  :: else -> break
  od;
  atomic { resident--; finished++ }
}

inline equal_chains(count, length) {
  chains = count;
  c = 0;
  do
  :: c < count -> chunks[c] = length; c++
  :: else -> break
  od
}

/* What find_shares.cu does. */
inline find_share(n) {
  d_step {
    tail_source[n] = kBlock;
    cut(n * share, begin[n], tail_skip[n]);
    cut((n + 1) * share, right, head_chunks[n]);
    end[n] = right - (head_chunks[n] > 0)
  }
  if
  :: layout == kReplayed && tail_skip[n] > 0 ->
     if
     :: tail_source[n] = kZero; tail_replay[n] = 1
     :: tail_skip[n] >= MAX_REPLAY -> tail_source[n] = kZero; tail_replay[n] = MAX_REPLAY
     :: tail_skip[n] <= MAX_REPLAY -> tail_source[n] = kCaller; tail_replay[n] = tail_skip[n]
     :: left_out[begin[n] - 1] = leaves
     fi
  :: else
  fi
}

c_decl { \#include <stdlib.h> }
init {
  byte c, total, right;
  c_code { now.mutant = getenv("MUTANT") ? atoi(getenv("MUTANT")) : 0; };
  atomic {
    if
    :: equal_chains(5, 3); layout = kWhole
    :: equal_chains(5, 3); layout = kCut
    :: equal_chains(2, 9); layout = kReplayed
    :: equal_chains(1, 11); layout = kReplayed /* every block but the last sends and takes */
    :: chains = 5; chunks[0] = 6; chunks[1] = 4; chunks[2] = 2; chunks[3] = 1; chunks[4] = 0;
       layout = kReplayed
    :: chains = 5; chunks[0] = 4; chunks[1] = 4; chunks[2] = 2; chunks[3] = 1; chunks[4] = 0;
       layout = kCut
    fi;
    if
    :: in_place = 1
    :: in_place = 0
    fi;
    if
    :: layout == kReplayed -> leaves = 1
    :: leaves = 0
    fi;
    d_step {
      c = 0;
      do
      :: c < chains -> total = total + COST(c); c++
      :: else -> break
      od;
      share = (total + BLOCKS - 1) / BLOCKS;
      if
      :: layout == kCut && share < COST(0) -> share = COST(0)
      :: else
      fi;
      c = 0;
      do
      :: c < BLOCKS -> sent[c] = (mutant == 5); c++
      :: else -> break
      od
    }
    c = 0;
    do
    :: c < BLOCKS && layout != kWhole -> find_share(c); c++
    :: else -> break
    od;
    c = 0;
    do
    :: c < BLOCKS -> run Block(c); c++
    :: else -> break
    od
  }
  finished == BLOCKS;
  c = 0;
  do
  :: c < chains && left_out[c] -> assert(!final[c] && !replaced[c] && written[c] == 0); c++
  :: c < chains && !left_out[c] -> assert(final[c] && written[c] == (1 << chunks[c]) - 1); c++
  :: else -> break
  od
}
