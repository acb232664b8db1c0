/* Chains that are left, in segments: who does which job, and how states go from one to the next.
 *
 * The formulas are those of segments.cuh, the order of steps that of fused_then_segments.cu,
 * merge_role.cuh and the ends of recurrence_role.cuh. Of `blocks` blocks `most` are resident at a
 * time; they differ in nothing but the order in which they begin. Each has a share first, which
 * takes any time or none; where states are replaced in place it may wait for that of the block
 * before, as in handover.pml. Then the block takes jobs. A warp's rows of a state or map are there
 * for others when it arrives; of warps there are any one and the last of the others. Checked: no
 * deadlock; every chunk is written once; every row that is read is that of its chain and segment,
 * and F or the state before the next segment, as it should; no initial state is read that has been
 * replaced; every final state is written once; of chains that are not left nothing is touched; no
 * more slots are used than the plan has. What the roles of a block do between jobs is not here.
 *
 * Mutants: 1 a merge does not wait for summaries; 2 a rerun does not wait for merges; 3 a summary
 * arrives before its state or map is there; 4 jobs go by the number of the block; 5 merges come
 * before summaries in the line; 6 a merge arrives before its rows are there; 7 a rerun waits for
 * one part of the merge; 8 the counter of jobs is that of the last launch; 9 so are those of
 * summaries; 10 and those of merges; 11 a merge waits for as many arrivals as if maps had none; 12
 * the counter of jobs is read before it is raised; 13 all chains have the same slots; 14 reruns
 * come before merges in the line; 15 summaries write outputs; 16 a merge waits for one arrival
 * less; 17 and a rerun; 18 a merge replaces rows of all parts; 19 every rerun writes the final
 * state; 20 a part of a chain that is left is run in a share; 21 a rerun takes the slot of its own
 * segment; 22 the first segment ends before the second begins.
 */
#define MAX_BLOCKS 4
#define CHAINS 3
#define LENGTH 2 /* of a segment in chunks; the first of a chain has twice as many */
#define WARPS 2  /* kStateWarps in small */
#define PARTS 2  /* of a merge */
#define SLOTS 8
#define ALL_ROWS 15 /* of a state: PARTS * WARPS bits */

/* Kinds of jobs, as they stand in the line. */
#define SUMMARIES 0
#define MERGE 1
#define RERUN 2
#define NONE 3

byte mutant;
bit in_place, shares_wait;
byte blocks, most; /* in this case */
byte chunks[CHAINS];
bit left[CHAINS];
byte segments[CHAINS]; /* 0: of a chain that is not left */
byte planned;          /* slots */
byte begun, resident, finished, shares_over;

byte taken;          /* jobs */
byte done[CHAINS];   /* arrivals of summaries */
byte merged[CHAINS]; /* of merges */

short written[CHAINS]; /* bit c: output of chunk c */
bit replaced[CHAINS];  /* the initial state, by the final one */
bit final[CHAINS];
byte owner[SLOTS];       /* the segment whose state and map lie there; 0: something old */
byte effect_rows[SLOTS]; /* that are those of F */
byte entry_rows[SLOTS];  /* and those of the state before the next segment */
byte map_warps[SLOTS];   /* that have written their rows of M */

#define SEGMENT(c, s) ((c) * 16 + (s) + 1)
#define BEGIN(s) ((s) == 0 -> 0 : ((s) + 1) * LENGTH)
#define END(c, s) \
  ((s) + 1 >= segments[c] -> chunks[c] : BEGIN((s) + 1) - ((s) == 0 && mutant == 22))
#define RERUNS(c) (segments[c] > 1 -> segments[c] - 1 : 0)
#define JOBS(kind, c)                                           \
  ((kind) == SUMMARIES -> (segments[c] == 1 -> 1 : RERUNS(c)) : \
  ((kind) == MERGE -> (segments[c] > 1 -> PARTS : 0) :          \
                      RERUNS(c)))
#define KIND(place)                                                         \
  (mutant == 5 && (place) < RERUN -> 1 - (place) :                          \
  (mutant == 14 && (place) != SUMMARIES && (place) != NONE -> 3 - (place) : \
                                                              (place)))
#define ALL_SUMMARIES(c) \
  (WARPS * (mutant == 11 -> RERUNS(c) : 2 * segments[c] - 3) - (mutant == 16))
#define ALL_MERGES (WARPS * (mutant == 7 -> 1 : PARTS) - (mutant == 17))
/* Rows of a summary's warp, of a part, and of a warp of a part. */
#define WARP_ROWS(w) (3 << 2 * (w))
#define PART_ROWS(p) (mutant == 18 -> ALL_ROWS : 3 << 2 * (p))
#define ROW(p, w) (1 << 2 * (p) + (w))

/* Job `number`: its kind, chain, index among those of the chain, and the chain's first slot. */
inline find_job() {
  place = 0;
  chain = 0;
  index = number;
  do
  :: place < NONE && chain == CHAINS -> place++; chain = 0
  :: place < NONE && chain < CHAINS && index >= JOBS(KIND(place), chain) ->
     index = index - JOBS(KIND(place), chain);
     chain++
  :: else -> break
  od;
  kind = KIND(place);
  first = 0;
  place = 0;
  do
  :: place < chain && mutant != 13 -> first = first + RERUNS(place); place++
  :: else -> break
  od;
  place = 0
}

inline own_slot(slot, segment) {
  assert(slot < planned);
  if
  :: owner[slot] != segment ->
     owner[slot] = segment;
     effect_rows[slot] = 0;
     entry_rows[slot] = 0;
     map_warps[slot] = 0
  :: else
  fi
}

inline write_chunks(chain, segment) {
  c = BEGIN(segment);
  do
  :: c < END(chain, segment) ->
     assert(!(written[chain] & (1 << c)));
     written[chain] = written[chain] | (1 << c);
     c++
  :: else -> break
  od;
  c = 0
}

inline write_final(chain) {
  assert(!final[chain]);
  final[chain] = 1;
  replaced[chain] = in_place
}

/* What warp w writes at the end of a run: F, or the state; then M. */
inline end_run(number_of_run, w) {
  if
  :: segments[chain] == 1 ->
     if
     :: w == WARPS - 1 -> write_final(chain)
     :: else
     fi
  :: else ->
     own_slot(first + index, SEGMENT(chain, index));
     if
     :: index == 0 -> entry_rows[first] = entry_rows[first] | WARP_ROWS(w)
     :: index > 0 && number_of_run == 0 ->
        effect_rows[first + index] = effect_rows[first + index] | WARP_ROWS(w)
     :: else -> map_warps[first + index] = map_warps[first + index] | (1 << w)
     fi
  fi
}

/* An arrival a step, with what it announces, which is a step later if `late`. The initial state is
 * read before the first, as late as can be. */
#define RUNS (index == 0 -> 1 : 2)
inline run_summaries(late) {
  do
  :: d_step {
       step < RUNS * WARPS + late ->
       if
       :: step == 0 && (index == 0 || mutant == 15) ->
          assert(index > 0 || !replaced[chain]);
          write_chunks(chain, index)
       :: else
       fi;
       if
       :: step >= late ->
          c = step - late;
          end_run(c / WARPS, c % WARPS);
          c = 0
       :: else
       fi;
       done[chain] = done[chain] + (step < RUNS * WARPS);
       step++
     }
  :: step == RUNS * WARPS + late -> break
  od
}

inline expect_map(s) {
  assert(owner[first + (s)] == SEGMENT(chain, s) && map_warps[first + (s)] == (1 << WARPS) - 1)
}
#define expect_part(rows, s) \
  assert(owner[first + (s)] == SEGMENT(chain, s) && (rows & PART_ROWS(index)) == PART_ROWS(index))

/* Looks at the first state and the first maps once they should be there, and a step later at all
 * that it reads, which has not gone. Then F has; what replaces it is there when a warp arrives. */
#define MAPS (segments[chain] - 2)
inline run_merge(late) {
  d_step {
    done[chain] >= ALL_SUMMARIES(chain) || mutant == 1 ->
    expect_part(entry_rows[first], 0);
    c = 1;
    do
    :: c <= MAPS && c <= 2 -> expect_map(c); c++
    :: else -> break
    od;
    c = 0
  }
  do
  :: d_step {
       step < WARPS + late ->
       c = 1;
       do
       :: c <= MAPS ->
          if
          :: step == 0 ->
             expect_map(c);
             expect_part(effect_rows[first + c], c);
             effect_rows[first + c] = effect_rows[first + c] & ~PART_ROWS(index)
          :: else
          fi;
          if
          :: step >= late ->
             own_slot(first + c, SEGMENT(chain, c));
             entry_rows[first + c] = entry_rows[first + c] | ROW(index, step - late)
          :: else
          fi;
          c++
       :: else -> break
       od;
       c = 0;
       merged[chain] = merged[chain] + (step < WARPS);
       step++
     }
  :: step == WARPS + late -> break
  od
}

/* Segment index + 1. What is read and written does not change until the next launch, so one step
 * is as good as three. */
inline run_again() {
  d_step {
    merged[chain] >= ALL_MERGES || mutant == 2 ->
    c = first + index + (mutant == 21);
    assert(owner[c] == SEGMENT(chain, index) && entry_rows[c] == ALL_ROWS);
    write_chunks(chain, index + 1);
    if
    :: index + 2 == segments[chain] || mutant == 19 -> write_final(chain)
    :: else
    fi
  }
}

proctype Block(byte order) {
  byte number, place, kind, chain, index, first, step, c;
  byte seen; /* of mutants: the counter, or rounds */
  atomic { begun == order && resident < most -> begun++; resident++ }
  d_step {
    !shares_wait || shares_over == order ->
    shares_over++;
    assert(mutant != 20 || !replaced[0]);
    seen = (mutant == 12 -> taken : 0)
  }
  do
  :: d_step {
       kind != NONE ->
       number = (mutant == 4 -> order + seen * blocks : (mutant == 12 -> seen : taken));
       taken = number + 1;
       seen = (mutant == 4 -> seen + 1 : (mutant == 12 -> taken : 0));
       step = 0;
       find_job();
       number = 0
     }
     if
     :: kind == SUMMARIES -> run_summaries((mutant == 3))
     :: kind == MERGE -> run_merge((mutant == 6))
     :: kind == RERUN -> run_again()
     :: kind == NONE -> break
     fi
  od;
  atomic { resident--; finished++ }
}

inline case_of(a, b, c) {
  chunks[0] = a; chunks[1] = b; chunks[2] = c;
  left[0] = 1; left[1] = 1; left[2] = 1
}

c_decl { \#include <stdlib.h> }
init {
  byte c;
  c_code { now.mutant = getenv("MUTANT") ? atoi(getenv("MUTANT")) : 0; };
  atomic {
    if
    :: case_of(7, 5, 0) /* 3, 2 and 1 segments */
    :: case_of(4, 6, 9); left[2] = 0 /* 1 and 2 */
    :: case_of(6, 12, 9); left[1] = 0 /* 2 and 4 */
    :: case_of(12, 0, 3); left[1] = 0; left[2] = 0 /* 5 */
    :: case_of(0, 1, 8); left[0] = 0 /* 1 and 3 */
    :: case_of(3, 4, 5); left[0] = 0; left[1] = 0; left[2] = 0
    fi;
    if
    :: in_place = 0
    :: in_place = 1
    :: in_place = 1; shares_wait = 1
    fi;
    if
    :: blocks = MAX_BLOCKS
    :: blocks = MAX_BLOCKS - 1
    fi;
    if
    :: most = 1
    :: most = 2
    :: most = blocks
    fi;
    d_step {
      do
      :: c < CHAINS ->
         planned = planned + chunks[c];
         segments[c] = (chunks[c] + LENGTH - 1) / LENGTH;
         segments[c] = (!left[c] -> 0 : (segments[c] <= 2 -> 1 : segments[c] - 1));
         done[c] = (mutant == 9 && segments[c] > 1 -> ALL_SUMMARIES(c) : 0);
         merged[c] = (mutant == 10 -> ALL_MERGES : 0);
         c++
      :: else -> break
      od;
      planned = planned / LENGTH;
      taken = (mutant == 8);
      c = 0
    }
    do
    :: c < blocks -> run Block(c); c++
    :: else -> break
    od
  }
  finished == blocks;
  c = 0;
  do
  :: c < CHAINS && !left[c] -> assert(!final[c] && !replaced[c] && written[c] == 0); c++
  :: c < CHAINS && left[c] -> assert(final[c] && written[c] == (1 << chunks[c]) - 1); c++
  :: else -> break
  od
}
