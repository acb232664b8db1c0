/* The barriers of both blocks of a cluster of the split form, with every role as the slowest.
 *
 * check_model.py gives the constants, read from the sources: OWN and SENT stages, VALUES and OUTS
 * slots, PAIRS, PREPARE_WARPS, RECURRENCE_WARPS, the arrivals RAW_ARRIVALS .. OUT_EMPTY_ARRIVALS;
 * and CHUNKS, the most, and TWO_SLOW_CHUNKS. Data are shadows, comments name statements of the
 * sources, and mutants leave them out, as in barriers.pml. Items do not matter: their chunks are
 * counted through.
 *
 * All orders of two blocks are too many, and few of them are needed. Roles, boxes, copies and
 * arrivals at the peer take their steps in a fixed order, and a step that may be taken stays so
 * whatever others do, until something has gone wrong: nobody chooses. What goes wrong first is a
 * step l that comes too late for a step e: a reader finds too little, or what came after; an
 * arrival meets, or a wait misses, another phase. Then e does not depend on l, and is among what
 * the others do when they go as far as they can without l, in whichever order. A deadlock is there
 * in any order. So it is enough that each is the slowest once, which takes a step only when nobody
 * else can; how the others take turns is fixed. To rely less on that, each two are slow here, in
 * every order of their steps, and each alone with other numbers of chunks. Spin's priorities of
 * processes do it.
 *
 * What a barrier cannot tell apart is merged: of warps that do the same there are any one and the
 * last of the others, of the three boxes of a chunk there is the last. Rows, which warps bring, are
 * boxes that land at once. */

/* --- Who may be slow: of a block, all slots of a ring together, in any order. */

mtype = { BEGIN, VALUES_WARP, SCALARS_0, SCALARS_1, PREPARE_ONE, PREPARE_LAST, LOADS_0, LOADS_1,
          LOADS_2, INVERSE, RECURRENCE_ONE, RECURRENCE_LAST, RAW_BOXES, VALUE_BOXES, OUT_BOXES,
          COPIES, ANNOUNCEMENTS, WORDS_SEEN };
#define KINDS 18
#define UNITS (2 * KINDS)
#define UNIT(rank, kind) ((rank) * KINDS + (kind))
#define PRIORITY(unit) ((unit) == slow || (unit) == slow_too -> 1 : 1 + (unit))
#define ROLES 11 /* of a block: those that meet in the end */
byte slow, slow_too;

/* --- Barriers of both blocks: mbarriers with arrivals, phases and bytes. */

#define BARRIER(rank, first, i, slots) ((rank) * BARRIERS + (first) + (i) % (slots))
#define FIRST_NORMED OWN
#define FIRST_STORED (2 * OWN)
#define FIRST_READY (3 * OWN)
#define FIRST_EMPTY (4 * OWN)
#define FIRST_SCORE_FULL (5 * OWN)
#define FIRST_SCORE_EMPTY (FIRST_SCORE_FULL + PAIRS)
#define FIRST_SENT_READY (FIRST_SCORE_EMPTY + PAIRS)
#define FIRST_VALUE_FULL (FIRST_SENT_READY + SENT)
#define FIRST_OUT_FULL (FIRST_VALUE_FULL + VALUES)
#define FIRST_OUT_EMPTY (FIRST_OUT_FULL + OUTS)
#define BARRIERS (FIRST_OUT_EMPTY + OUTS)

/* Own chunk number i of a block, or chunk c of both. */
#define RAW(rank, i) BARRIER(rank, 0, i, OWN)
#define NORMED(rank, i) BARRIER(rank, FIRST_NORMED, i, OWN)
#define STORED(rank, i) BARRIER(rank, FIRST_STORED, i, OWN)
#define READY(rank, i) BARRIER(rank, FIRST_READY, i, OWN)
#define EMPTY(rank, i) BARRIER(rank, FIRST_EMPTY, i, OWN)
#define SCORE_FULL(rank, i) BARRIER(rank, FIRST_SCORE_FULL, i, PAIRS)
#define SCORE_EMPTY(rank, i) BARRIER(rank, FIRST_SCORE_EMPTY, i, PAIRS)
#define SENT_READY(rank, i) BARRIER(rank, FIRST_SENT_READY, i, SENT)
#define VALUE_FULL(rank, c) BARRIER(rank, FIRST_VALUE_FULL, c, VALUES)
#define OUT_FULL(rank, c) BARRIER(rank, FIRST_OUT_FULL, c, OUTS)
#define OUT_EMPTY(rank, c) BARRIER(rank, FIRST_OUT_EMPTY, c, OUTS)

byte mutant; /* 0: none */
byte chunks;
byte generation[2 * BARRIERS];
byte pending[2 * BARRIERS];
short parts[2 * BARRIERS]; /* announced and not landed; or landed and not announced, below 0 */
bool begun[2];
byte at_end[2]; /* roles */

#define OWN_CHUNKS(rank) ((chunks + 1 - (rank)) / 2)

#define COUNT(b)                                                                           \
  ((b) < FIRST_NORMED -> RAW_ARRIVALS :                                                    \
  ((b) < FIRST_STORED -> NORMED_ARRIVALS - (mutant == 101) :                               \
  ((b) < FIRST_READY -> STORED_ARRIVALS - (mutant == 102) :                                \
  ((b) < FIRST_EMPTY -> READY_ARRIVALS - (mutant == 103) :                                 \
  ((b) < FIRST_SCORE_FULL -> EMPTY_ARRIVALS - (mutant == 104) :                            \
  ((b) < FIRST_SCORE_EMPTY -> SCORE_FULL_ARRIVALS - (mutant == 105) :                      \
  ((b) < FIRST_SENT_READY -> SCORE_EMPTY_ARRIVALS :                                        \
  ((b) < FIRST_VALUE_FULL -> SENT_READY_ARRIVALS :                                         \
  ((b) < FIRST_OUT_FULL -> VALUE_FULL_ARRIVALS :                                           \
  ((b) < FIRST_OUT_EMPTY -> OUT_FULL_ARRIVALS - (mutant == 106) :                          \
                            OUT_EMPTY_ARRIVALS))))))))))

/* split meet cluster: before the roles, until both have barriers; and after them. */
#define may_begin(rank) (begun[rank] && (mutant == 1 || begun[1 - (rank)]))
#define has_ended(rank) (at_end[rank] == ROLES && (mutant == 16 || at_end[1 - (rank)] == ROLES))
#define is_there(rank) (begun[rank] && !has_ended(rank))

inline complete_if_done(b) {
  if
  :: pending[b] == 0 && parts[b] == 0 ->
     generation[b]++;
     pending[b] = COUNT((b) % BARRIERS)
  :: else
  fi
}

/* In the phase that the warp means: `use` phases of the barrier came before. */
inline expect(site, b, use, times, some) {
  if
  :: mutant == site
  :: else ->
     assert(is_there((b) / BARRIERS));
     assert(generation[b] == use);
     assert(pending[b] >= times);
     pending[b] = pending[b] - times;
     parts[b] = parts[b] + some;
     complete_if_done(b)
  fi
}
inline arrive(site, b, use, times) { expect(site, b, use, times, 0) }
inline land(b, use) {
  assert(is_there((b) / BARRIERS));
  assert(generation[b] == use);
  parts[b]--;
  complete_if_done(b)
}

/* Until `done` phases are over. A warp only sees their parity; passed() asserts all of it. */
#define may_pass(site, b, done) (mutant == site || (generation[b] & 1) == ((done) & 1))
#define passed(site, b, done) assert(mutant == site || generation[b] == (done))

/* --- Shadows of shared memory. Numbers of chunks + 1; 0: nothing, or on its way. */

#define STAGE(rank, i) ((rank) * OWN + (i) % OWN)
#define SENT_STAGE(rank, i) ((rank) * SENT + (i) % SENT)
#define PAIR(rank, i) ((rank) * PAIRS + (i) % PAIRS)
#define VALUE(rank, c) ((rank) * VALUES + (c) % VALUES)
#define OUT(rank, c) ((rank) * OUTS + (c) % OUTS)
#define NO_CHUNK 255 /* on a board */

byte has[2 * OWN];
byte raw_flying[2 * OWN];
byte factors[2 * OWN];   /* warps that have stored factors; the second also blanks tails */
byte board[4 * OWN];     /* of each half */
byte rewritten[2 * OWN]; /* by so many warps */
byte queries[2 * OWN];   /* warps that have stored their part of Aqk */
bool inverted[2 * OWN];  /* and factors of keys are there */
byte score_has[2 * PAIRS];
byte score_warps[2 * PAIRS];
byte tiles_sent[2 * SENT]; /* what has landed in a sent stage */
byte rest_sent[2 * SENT];
byte tiles_flying[2 * SENT]; /* to there */
byte rest_flying[2 * SENT];
byte value_has[2 * VALUES];
byte value_flying[2 * VALUES];
byte out_has[2 * OUTS];
byte out_warps[2 * OUTS];
byte out_leaves[2 * OUTS]; /* TMA has yet to read it */
/* Arrivals on their way to this block: bytes are announced, a chunk has been seen. */
byte announced[2 * SENT];
byte seen[2 * OWN];

#define BOARD(rank, i, half) board[2 * STAGE(rank, i) + (half)]
#define holds_raw(rank, i) (has[STAGE(rank, i)] == (i) + 1 && rewritten[STAGE(rank, i)] == 0)
#define holds_tiles(rank, i) \
  (has[STAGE(rank, i)] == (i) + 1 && rewritten[STAGE(rank, i)] == PREPARE_WARPS)
#define holds_scores(rank, i) \
  (score_has[PAIR(rank, i)] == (i) + 1 && score_warps[PAIR(rank, i)] == 2)
#define holds_own(rank, i)                                                     \
  (holds_tiles(rank, i) && factors[STAGE(rank, i)] == 2 && queries[STAGE(rank, i)] == 2 && \
   inverted[STAGE(rank, i)])
#define holds_sent(rank, i) \
  (tiles_sent[SENT_STAGE(rank, i)] == (i) + 1 && rest_sent[SENT_STAGE(rank, i)] == (i) + 1)
#define IS_OWN(rank, c) ((c) % 2 == (rank))
#define holds_operands(rank, c) \
  (value_has[VALUE(rank, c)] == (c) + 1 && \
   (IS_OWN(rank, c) -> holds_own(rank, (c) / 2) : holds_sent(rank, (c) / 2)))
#define holds_outputs(rank, c) \
  (out_has[OUT(rank, c)] == (c) + 1 && out_warps[OUT(rank, c)] == RECURRENCE_WARPS)

/* --- Boxes, copies and arrivals under way. */

proctype RawBox(byte rank, slot) {
end:
  do
  :: d_step {
       raw_flying[STAGE(rank, slot)] > 0 ->
       has[STAGE(rank, slot)] = raw_flying[STAGE(rank, slot)];
       raw_flying[STAGE(rank, slot)] = 0;
       land(RAW(rank, slot), (has[STAGE(rank, slot)] - 1) / OWN)
     }
  od
}

proctype ValueBox(byte rank, slot) {
end:
  do
  :: d_step {
       value_flying[VALUE(rank, slot)] > 0 ->
       value_has[VALUE(rank, slot)] = value_flying[VALUE(rank, slot)];
       value_flying[VALUE(rank, slot)] = 0;
       land(VALUE_FULL(rank, slot), (value_has[VALUE(rank, slot)] - 1) / VALUES)
     }
  od
}

proctype OutBox(byte rank, slot) {
end:
  do
  :: d_step {
       out_leaves[OUT(rank, slot)] > 0 ->
       assert(is_there(rank));
       assert(holds_outputs(rank, out_leaves[OUT(rank, slot)] - 1));
       out_leaves[OUT(rank, slot)] = 0
     }
  od
}

/* To block `rank`. What it copies is read last when it lands. */
proctype Copy(byte rank, slot) {
end:
  do
  :: d_step {
       tiles_flying[SENT_STAGE(rank, slot)] > 0 ->
       tiles_sent[SENT_STAGE(rank, slot)] = tiles_flying[SENT_STAGE(rank, slot)];
       tiles_flying[SENT_STAGE(rank, slot)] = 0;
       assert(is_there(1 - rank));
       assert(holds_tiles(1 - rank, tiles_sent[SENT_STAGE(rank, slot)] - 1));
       land(SENT_READY(rank, slot), (tiles_sent[SENT_STAGE(rank, slot)] - 1) / SENT)
     }
  :: d_step {
       rest_flying[SENT_STAGE(rank, slot)] > 0 ->
       rest_sent[SENT_STAGE(rank, slot)] = rest_flying[SENT_STAGE(rank, slot)];
       rest_flying[SENT_STAGE(rank, slot)] = 0;
       assert(is_there(1 - rank));
       assert(holds_own(1 - rank, rest_sent[SENT_STAGE(rank, slot)] - 1));
       land(SENT_READY(rank, slot), (rest_sent[SENT_STAGE(rank, slot)] - 1) / SENT)
     }
  od
}

proctype Announcement(byte rank, slot) {
end:
  do
  :: d_step { /* split_roles expect sent_ready */
       announced[SENT_STAGE(rank, slot)] > 0 ->
       expect(60, SENT_READY(rank, slot), (announced[SENT_STAGE(rank, slot)] - 1) / SENT, 1,
              2 - (mutant == 107));
       announced[SENT_STAGE(rank, slot)] = 0
     }
  od
}

/* Of the peer, that it has seen a chunk. */
proctype WordSeen(byte rank, slot) {
end:
  do
  :: d_step {
       seen[STAGE(rank, slot)] > 0 ->
       arrive(65, EMPTY(rank, slot), (seen[STAGE(rank, slot)] - 1) / OWN, 1);
       seen[STAGE(rank, slot)] = 0
     }
  od
}

/* --- Roles. A step is a wait, what the warp then reads and writes, and its arrivals before the
 * next wait. */

proctype Begin(byte rank) {
  byte b;
  d_step {
    do
    :: b < BARRIERS -> pending[rank * BARRIERS + b] = COUNT(b); b++
    :: else -> break
    od;
    begun[rank] = true
  }
}

/* The barrier of the cluster is passed when what a thread did before it is done in the peer too. */
inline meet_in_the_end(rank) { at_end[rank]++ }

inline load_values(rank, c) {
  assert(value_flying[VALUE(rank, c)] == 0);
  value_has[VALUE(rank, c)] = 0;
  value_flying[VALUE(rank, c)] = c + 1;
  /* split_roles expect value_full, arrive value_full: the same, of rows */
  expect(63, VALUE_FULL(rank, c), c / VALUES, 1, 1)
}

/* n steps behind a chunk's values come its outputs. */
#define GONE(n) ((n) - VALUES)
proctype Values(byte rank) {
  byte n;
  bool stores;
  may_begin(rank);
  do
  :: d_step { /* split_roles wait out_full */
       !stores && n < chunks + VALUES &&
         (n < VALUES || may_pass(14, OUT_FULL(rank, GONE(n)), GONE(n) / OUTS + 1)) ->
       if
       :: n >= VALUES ->
          passed(14, OUT_FULL(rank, GONE(n)), GONE(n) / OUTS + 1)
       :: else
       fi;
       if
       :: n < chunks -> load_values(rank, n)
       :: else
       fi;
       if
       :: n >= VALUES && GONE(n) < chunks ->
          assert(holds_outputs(rank, GONE(n)));
          assert(out_leaves[OUT(rank, GONE(n))] == 0);
          out_leaves[OUT(rank, GONE(n))] = GONE(n) + 1;
          /* split_roles arrive empty: here, and in the peer */
          if
          :: IS_OWN(rank, GONE(n)) -> arrive(64, EMPTY(rank, GONE(n) / 2), GONE(n) / 2 / OWN, 1)
          :: else ->
             assert(seen[STAGE(1 - rank, GONE(n) / 2)] == 0);
             seen[STAGE(1 - rank, GONE(n) / 2)] = GONE(n) / 2 + 1
          fi
       :: else
       fi;
       stores = n > VALUES;
       n++
     }
  :: d_step { /* split_roles wait stores: TMA has read the chunk before the one just stored */
       stores && (mutant == 15 || out_leaves[OUT(rank, GONE(n) - 2)] == 0) ->
       /* split_roles arrive out_empty */
       arrive(66, OUT_EMPTY(rank, GONE(n) - 2), (GONE(n) - 2) / OUTS, 1);
       stores = false
     }
  :: !stores && n == chunks + VALUES -> break
  od;
  n = 0;
  do
  :: n < OUTS -> (mutant == 17 || out_leaves[OUT(rank, n)] == 0); n++
  :: else -> break
  od;
  n = 0;
  do
  :: n < OWN -> seen[STAGE(1 - rank, n)] == 0; n++ /* what was said has been heard */
  :: else -> break
  od;
  meet_in_the_end(rank)
}

proctype Scalars(byte rank, sub) {
  byte i;
  may_begin(rank);
  do
  :: d_step { /* split_roles wait raw */
       i < OWN_CHUNKS(rank) && may_pass(3, RAW(rank, i), i / OWN + 1) ->
       passed(3, RAW(rank, i), i / OWN + 1);
       assert(holds_raw(rank, i));
       factors[STAGE(rank, i)]++;
       BOARD(rank, i, sub) = i + 1;
       arrive(53, NORMED(rank, i), i / OWN, 1); /* split_roles arrive normed */
       i++
     }
  :: d_step { /* split_roles wait stored: for the chunk that does not exist */
       i == OWN_CHUNKS(rank) && may_pass(4, STORED(rank, i), i / OWN) ->
       passed(4, STORED(rank, i), i / OWN);
       if
       :: sub == 0 -> BOARD(rank, i, 0) = NO_CHUNK
       :: else
       fi;
       arrive(54, NORMED(rank, i), i / OWN, 1); /* split_roles arrive normed */
       i++
     }
  :: i > OWN_CHUNKS(rank) -> break
  od;
  meet_in_the_end(rank)
}

/* Any one of the warps, and the others as the last of them. */
proctype Prepare(byte rank, warps) {
  byte i;
  may_begin(rank);
  do
  :: d_step { /* split_roles wait normed */
       i != NO_CHUNK && may_pass(5, NORMED(rank, i), i / OWN + 1) ->
       passed(5, NORMED(rank, i), i / OWN + 1);
       assert(i <= OWN_CHUNKS(rank));
       assert(BOARD(rank, i, 0) == (i < OWN_CHUNKS(rank) -> i + 1 : NO_CHUNK));
       if
       :: BOARD(rank, i, 0) == NO_CHUNK -> i = NO_CHUNK
       :: else ->
          assert(BOARD(rank, i, 1) == i + 1);
          assert(has[STAGE(rank, i)] == i + 1 && factors[STAGE(rank, i)] == 2);
          rewritten[STAGE(rank, i)] = rewritten[STAGE(rank, i)] + warps;
          arrive(55, STORED(rank, i), i / OWN, warps); /* split_roles arrive stored */
          i++
       fi
     }
  :: i == NO_CHUNK -> break
  od;
  meet_in_the_end(rank)
}

inline load_own(rank, i) {
  assert(raw_flying[STAGE(rank, i)] == 0);
  has[STAGE(rank, i)] = 0;
  factors[STAGE(rank, i)] = 0;
  rewritten[STAGE(rank, i)] = 0;
  queries[STAGE(rank, i)] = 0;
  inverted[STAGE(rank, i)] = false;
  raw_flying[STAGE(rank, i)] = i + 1;
  /* split_roles expect raw, arrive raw: the same, of rows */
  expect(52, RAW(rank, i), i / OWN, 1, 1)
}

inline store_scores(rank, i) {
  if
  :: score_has[PAIR(rank, i)] == i + 1 -> score_warps[PAIR(rank, i)]++
  :: else -> score_has[PAIR(rank, i)] = i + 1; score_warps[PAIR(rank, i)] = 1
  fi
}

/* A warp of the warpgroup that loads and multiplies scores. Warp 0 loads; 0 and 1 store scores of
 * keys; 2 and 3, which are one here, the last of them, Aqk. */
#define LOAD 0
#define MULTIPLY 1
#define STORE 2
proctype Loads(byte rank, warp) {
  byte at = LOAD, i;
  may_begin(rank);
  do
  :: d_step { /* split_roles wait empty */
       at == LOAD && i <= OWN_CHUNKS(rank) &&
         (warp != 0 || i == OWN_CHUNKS(rank) || may_pass(2, EMPTY(rank, i), i / OWN)) ->
       if
       :: warp == 0 && i < OWN_CHUNKS(rank) ->
          passed(2, EMPTY(rank, i), i / OWN);
          load_own(rank, i)
       :: else
       fi;
       at = (i > 0 -> MULTIPLY : LOAD);
       i++
     }
  :: d_step { /* split_roles wait stored */
       at == MULTIPLY && may_pass(6, STORED(rank, i - 2), (i - 2) / OWN + 1) ->
       passed(6, STORED(rank, i - 2), (i - 2) / OWN + 1);
       assert(holds_tiles(rank, i - 2));
       at = STORE
     }
  :: d_step {
       at == STORE && warp == 2 ->
       assert(holds_tiles(rank, i - 2));
       queries[STAGE(rank, i - 2)] = queries[STAGE(rank, i - 2)] + 2;
       arrive(56, READY(rank, i - 2), (i - 2) / OWN, 2); /* recurrence_role arrive ready */
       at = LOAD
     }
  :: d_step { /* recurrence_role wait score_empty */
       at == STORE && warp < 2 && may_pass(7, SCORE_EMPTY(rank, i - 2), (i - 2) / PAIRS) ->
       passed(7, SCORE_EMPTY(rank, i - 2), (i - 2) / PAIRS);
       assert(holds_tiles(rank, i - 2));
       store_scores(rank, i - 2);
       /* recurrence_role arrive score_full */
       arrive(57, SCORE_FULL(rank, i - 2), (i - 2) / PAIRS, 1);
       at = LOAD
     }
  :: at == LOAD && i > OWN_CHUNKS(rank) -> break
  od;
  meet_in_the_end(rank)
}

#define SCORES 0
#define SEND 1
#define INVERT 2
#define SEND_REST 3
proctype Inverse(byte rank) {
  byte at = SCORES, i;
  may_begin(rank);
  do
  :: d_step { /* split_roles wait score_full */
       at == SCORES && i < OWN_CHUNKS(rank) &&
         may_pass(8, SCORE_FULL(rank, i), i / PAIRS + 1) ->
       passed(8, SCORE_FULL(rank, i), i / PAIRS + 1);
       assert(holds_scores(rank, i));
       at = SEND
     }
  :: d_step { /* split_roles wait empty */
       at == SEND &&
         (i < SENT || may_pass(9, EMPTY(rank, i - SENT), (i - SENT) / OWN + 1)) ->
       if
       :: i >= SENT -> passed(9, EMPTY(rank, i - SENT), (i - SENT) / OWN + 1)
       :: else
       fi;
       assert(announced[SENT_STAGE(1 - rank, i)] == 0);
       assert(tiles_flying[SENT_STAGE(1 - rank, i)] == 0);
       announced[SENT_STAGE(1 - rank, i)] = i + 1;
       assert(holds_tiles(rank, i));
       tiles_sent[SENT_STAGE(1 - rank, i)] = 0;
       /* split_roles send sent_stage */
       tiles_flying[SENT_STAGE(1 - rank, i)] = (mutant == 61 -> 0 : i + 1);
       at = INVERT
     }
  :: d_step {
       at == INVERT ->
       assert(holds_scores(rank, i));
       assert(has[STAGE(rank, i)] == i + 1 && factors[STAGE(rank, i)] == 2);
       inverted[STAGE(rank, i)] = true;
       arrive(58, SCORE_EMPTY(rank, i), i / PAIRS, 1); /* split_roles arrive score_empty */
       arrive(59, READY(rank, i), i / OWN, 1);         /* split_roles arrive ready */
       at = SEND_REST
     }
  :: d_step { /* split_roles wait ready */
       at == SEND_REST && may_pass(10, READY(rank, i), i / OWN + 1) ->
       passed(10, READY(rank, i), i / OWN + 1);
       assert(rest_flying[SENT_STAGE(1 - rank, i)] == 0);
       assert(holds_own(rank, i));
       rest_sent[SENT_STAGE(1 - rank, i)] = 0;
       rest_flying[SENT_STAGE(1 - rank, i)] = (mutant == 62 -> 0 : i + 1);
       at = SCORES;
       i++
     }
  :: at == SCORES && i == OWN_CHUNKS(rank) -> break
  od;
  meet_in_the_end(rank)
}

#define TAKE_VALUES 0
#define TAKE_OPERANDS 1
#define GIVE 2
#define READY_AT(rank, c) (IS_OWN(rank, c) -> READY(rank, (c) / 2) : SENT_READY(rank, (c) / 2))
#define READY_USE(rank, c) (IS_OWN(rank, c) -> (c) / 2 / OWN : (c) / 2 / SENT)
/* Any one of the warps, and the others as the last of them. */
proctype Recurrence(byte rank, warps) {
  byte at = TAKE_VALUES, c;
  may_begin(rank);
  do
  :: d_step { /* split_roles wait value_full */
       at == TAKE_VALUES && c < chunks && may_pass(11, VALUE_FULL(rank, c), c / VALUES + 1) ->
       passed(11, VALUE_FULL(rank, c), c / VALUES + 1);
       at = TAKE_OPERANDS
     }
  :: d_step { /* split_roles wait ready: of an own chunk, or of one that was sent */
       at == TAKE_OPERANDS && may_pass(12, READY_AT(rank, c), READY_USE(rank, c) + 1) ->
       passed(12, READY_AT(rank, c), READY_USE(rank, c) + 1);
       assert(holds_operands(rank, c));
       at = GIVE
     }
  :: d_step { /* split_roles wait out_empty */
       at == GIVE && may_pass(13, OUT_EMPTY(rank, c), c / OUTS) ->
       passed(13, OUT_EMPTY(rank, c), c / OUTS);
       assert(holds_operands(rank, c));
       if
       :: out_has[OUT(rank, c)] != c + 1 ->
          out_has[OUT(rank, c)] = c + 1;
          out_warps[OUT(rank, c)] = 0
       :: else
       fi;
       out_warps[OUT(rank, c)] = out_warps[OUT(rank, c)] + warps;
       arrive(67, OUT_FULL(rank, c), c / OUTS, warps); /* split_roles arrive out_full */
       at = TAKE_VALUES;
       c++
     }
  :: at == TAKE_VALUES && c == chunks -> break
  od;
  meet_in_the_end(rank) /* recurrence_role arrive written: which nobody waits for here */
}

/* --- */

#define start(process, rank, kind)                     \
  started = run process;                               \
  set_priority(started, PRIORITY(UNIT(rank, kind)))

inline start_slots(rank) {
  b = 0;
  do
  :: b < OWN ->
     start(RawBox(rank, b), rank, RAW_BOXES);
     start(WordSeen(rank, b), rank, WORDS_SEEN);
     b++
  :: else -> break
  od;
  b = 0;
  do
  :: b < VALUES -> start(ValueBox(rank, b), rank, VALUE_BOXES); b++
  :: else -> break
  od;
  b = 0;
  do
  :: b < OUTS -> start(OutBox(rank, b), rank, OUT_BOXES); b++
  :: else -> break
  od;
  b = 0;
  do
  :: b < SENT ->
     start(Copy(rank, b), rank, COPIES);
     start(Announcement(rank, b), rank, ANNOUNCEMENTS);
     b++
  :: else -> break
  od
}

inline start_block(rank) {
  start(Begin(rank), rank, BEGIN);
  start(Values(rank), rank, VALUES_WARP);
  start(Scalars(rank, 0), rank, SCALARS_0);
  start(Scalars(rank, 1), rank, SCALARS_1);
  start(Prepare(rank, 1), rank, PREPARE_ONE);
  start(Prepare(rank, PREPARE_WARPS - 1), rank, PREPARE_LAST);
  start(Loads(rank, 0), rank, LOADS_0);
  start(Loads(rank, 1), rank, LOADS_1);
  start(Loads(rank, 2), rank, LOADS_2);
  start(Inverse(rank), rank, INVERSE);
  start(Recurrence(rank, 1), rank, RECURRENCE_ONE);
  start(Recurrence(rank, RECURRENCE_WARPS - 1), rank, RECURRENCE_LAST);
  start_slots(rank)
}

c_decl { \#include <stdlib.h> }
init priority 255 {
  byte b;
  pid started;
  atomic {
    c_code { now.mutant = getenv("MUTANT") ? atoi(getenv("MUTANT")) : 0; };
    chunks = CHUNKS;
    do
    :: break
    :: chunks > 0 -> chunks--
    od;
    slow = UNITS;
    do
    :: break
    :: slow > 1 -> slow--
    od;
    slow_too = slow;
    do
    :: break
    :: chunks == TWO_SLOW_CHUNKS && slow_too > 1 -> slow_too--
    od;
    start_block(0);
    start_block(1)
  }
}
