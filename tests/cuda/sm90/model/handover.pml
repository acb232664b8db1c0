/* Chains cut over blocks: who does which chunks, and how states go from one part to the next.
 *
 * The formulas are those of share.cuh, balance.hpp and make_item (work.cuh). Blocks begin in any
 * order, RESIDENT of them at a time; a cut is replayed from nothing, replayed from the caller's state or waits, whatever
 * the gates may prove. Checked: no deadlock; every chunk is written once; every state that is read
 * is that of its chain and chunk; no initial state is overwritten that somebody still reads.
 *
 * Mutants: 1 no wait before a state is taken; 2 none before one is replaced in place; 3 blocks are
 * numbered as the hardware does; 4 the flag is raised before the state is there; 5 flags are those
 * of the last launch; 6 outputs of replayed chunks are written.
 */
#define BLOCKS 4
#define RESIDENT 2
#define CHAINS 5
#define MAX_REPLAY 2 /* chunks; kMaxWarmUp in small */

mtype = { kWhole, kCut, kReplayed, kCaller, kBlock, kZero };

byte mutant;
mtype layout;
bit in_place;
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

proctype Block(byte index) {
  byte number, c, first, last, replay, round, rounds, place, begin, tail_skip, tail_replay, right, head_chunks;
  mtype tail_source = kBlock, source, sink;
  short end;
  atomic {
    resident < RESIDENT -> resident++;
    number = (mutant == 3 -> index : begun);
    begun++
  }
  d_step {
    if
    :: layout == kWhole -> rounds = chains / BLOCKS
    :: else ->
       cut(number * share, begin, tail_skip);
       cut((number + 1) * share, right, head_chunks);
       end = right - (head_chunks > 0);
       rounds = end - begin + (head_chunks > 0) + (tail_skip > 0)
    fi
  }
  if
  :: layout == kWhole && (chains / BLOCKS % 2 == 0 -> index : BLOCKS - 1 - index) < chains % BLOCKS -> rounds++
  :: layout == kReplayed && tail_skip > 0 -> atomic {
       if
       :: tail_source = kZero;
          if
          :: tail_replay = 1
          :: tail_skip > 1 -> tail_replay = MAX_REPLAY
          fi
       :: tail_skip <= MAX_REPLAY -> tail_source = kCaller; tail_replay = tail_skip
       :: tail_source = kBlock
       fi }
  :: else
  fi;
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
          place = (end < begin || (round == 0 && head_chunks > 0) -> end : begin + round - (head_chunks > 0));
          if
          :: end < begin || place >= end && !(round == 0 && head_chunks > 0) -> /* tail */
             place = begin - 1;
             first = tail_skip - tail_replay;
             source = tail_source;
             replay = tail_replay
          :: else
          fi;
          last = chunks[place];
          if
          :: end < begin || (round == 0 && head_chunks > 0) -> last = head_chunks; sink = kBlock
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

c_decl { \#include <stdlib.h> }
init {
  byte c, total;
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
    :: c < BLOCKS -> run Block(c); c++
    :: else -> break
    od
  }
  finished == BLOCKS;
  c = 0;
  do
  :: c < chains -> assert(final[c] && written[c] == (1 << chunks[c]) - 1); c++
  :: else -> break
  od
}
