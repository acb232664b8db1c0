/* The barriers of one block of the fused kernel, for every order of its warps and copies.
 *
 * check_model.py gives the constants, read from the sources: STAGES, PAIRS, OUTS, PREPARE_WARPS,
 * SCORES_AHEAD, the arrivals RAW_ARRIVALS .. OUT_EMPTY_ARRIVALS; and GENERAL, the gate form, CHUNKS
 * and FIRST. Data are shadows: a region knows the chunk that it holds, and whoever reads it looks.
 * Fences between proxies are left to the emulator's checker.
 *
 * Comments "file wait barrier" name the statement of a source that a step stands for; the test
 * fails when a source has others. Each is also a mutant, which leaves it out; 101 and up are
 * barriers that expect an arrival less.
 */
/* CHUNKS in two items, the first of FIRST; both end with a tail. Or STAGES, or any number below:
 * so few do not hold back the ends of the roles. */
#define TAIL(c) ((c) == FIRST - 1 || (c) == chunks - 1)
#define RECURRENCE_WARPS 8

#if GENERAL
#define REWRITES 2    /* parts in which k, q and g of a chunk are rewritten */
#define KEY_WARPS 1   /* warps that store Akk of a chunk, and factors of keys */
#define QUERY_WARPS 1 /* warps that store Aqk of a chunk */
#else
#define REWRITES PREPARE_WARPS
#define KEY_WARPS 2   /* warps that store scores of keys; the inverse stores factors */
#define QUERY_WARPS 2
#endif

/* --- Barriers: mbarriers with arrivals, phases and bytes. */

#define RAW(s) (s)
#define NORMED(s) (STAGES + (s))
#define STORED(s) (2 * STAGES + (s)) /* !GENERAL */
#define READY(s) (3 * STAGES + (s))
#define EMPTY(s) (4 * STAGES + (s))
#define SCORE_FULL(b) (5 * STAGES + (b))
#define SCORE_EMPTY(b) (5 * STAGES + PAIRS + (b))
#define OUT_FULL(b) (5 * STAGES + 2 * PAIRS + (b))
#define OUT_EMPTY(b) (5 * STAGES + 2 * PAIRS + OUTS + (b))
#define REHEARSED (5 * STAGES + 2 * PAIRS + 2 * OUTS) /* !GENERAL */
#define WRITTEN (REHEARSED + 1)
#define BARRIERS (WRITTEN + 1)

byte mutant; /* 0: none */
byte chunks;
byte generation[BARRIERS];
byte pending[BARRIERS];
byte flying[STAGES]; /* chunk + 1 of the boxes that the raw barrier still expects */

#define COUNT(b)                                                                            \
  ((b) < NORMED(0) -> RAW_ARRIVALS :                                                        \
  ((b) < STORED(0) -> NORMED_ARRIVALS - (mutant == 101) :                                   \
  ((b) < READY(0) -> STORED_ARRIVALS - (mutant == 106) :                                    \
  ((b) < EMPTY(0) -> READY_ARRIVALS - (mutant == 102) :                                     \
  ((b) < SCORE_FULL(0) -> EMPTY_ARRIVALS - (mutant == 103) :                                \
  ((b) < SCORE_EMPTY(0) -> SCORE_FULL_ARRIVALS - (mutant == 104 && SCORE_FULL_ARRIVALS > 1) : \
  ((b) < OUT_FULL(0) -> SCORE_EMPTY_ARRIVALS :                                              \
  ((b) < OUT_EMPTY(0) -> OUT_FULL_ARRIVALS - (mutant == 105) :                              \
  ((b) < REHEARSED -> OUT_EMPTY_ARRIVALS :                                                  \
  ((b) < WRITTEN -> REHEARSED_ARRIVALS - (mutant == 107) :                                  \
                    WRITTEN_ARRIVALS - (mutant == 108)))))))))))

inline complete_if_done(b) {
  if
  :: pending[b] == 0 && ((b) >= STAGES || flying[b] == 0) ->
     generation[b]++;
     pending[b] = COUNT(b)
  :: else
  fi
}

/* In the phase that the warp means: `use` phases of the barrier came before. */
inline arrive(site, b, use, times) {
  if
  :: mutant == site
  :: else ->
     assert(generation[b] == use);
     assert(pending[b] >= times);
     pending[b] = pending[b] - times;
     complete_if_done(b)
  fi
}

/* Until `done` phases are over. A warp only sees their parity; passed() asserts all of it. */
#define may_pass(site, b, done) (mutant == site || (generation[b] & 1) == ((done) & 1))
inline passed(site, b, done) { assert(mutant == site || generation[b] == (done)) }

/* --- Shadows of shared memory. */

#define UPPER_FACTORS 1 /* of the queries of sub-chunk 0 */
#define LOWER_FACTORS 2 /* of those of sub-chunk 1, and beta */
#define BLANKED 4
#define INVERTED 8
byte has[STAGES];       /* chunk + 1; 0: boxes on their way */
byte factors[STAGES];   /* of the flags above */
byte rewritten[STAGES]; /* parts of k, q and g */
byte keys[STAGES];      /* whether factors of keys are stored */
byte queries[STAGES];   /* warps that have stored their part of Aqk */
byte score_has[PAIRS];
byte score_parts[PAIRS];
#if GENERAL
byte exchange_has[2];
#else
byte board[2 * STAGES]; /* chunk + 1 of each half; of the first, chunks + 1: does not exist */
byte block_chunks = 255;
#define BOARD(c, half) board[2 * STAGE(c) + (half)]
#endif
byte out_has[OUTS];
byte out_parts[OUTS];

#define STAGE(c) ((c) % STAGES)
#define holds_raw(c) (has[STAGE(c)] == (c) + 1 && rewritten[STAGE(c)] == 0)
#define is_rewritten(c) (has[STAGE(c)] == (c) + 1 && rewritten[STAGE(c)] == REWRITES)
#define has_factors(c, some) ((factors[STAGE(c)] & (some)) == (some))
#define has_keys(c) (keys[STAGE(c)] == 1)
#define is_blank(c) (!TAIL(c) || has_factors(c, BLANKED))
#define holds_operands(c)                                       \
  (is_rewritten(c) && is_blank(c) && has_keys(c) && queries[STAGE(c)] == QUERY_WARPS && \
   has_factors(c, UPPER_FACTORS | LOWER_FACTORS | INVERTED))
#define holds_scores(c) (score_has[(c) % PAIRS] == (c) + 1 && score_parts[(c) % PAIRS] == KEY_WARPS)
#define holds_outputs(c) (out_has[(c) % OUTS] == (c) + 1 && out_parts[(c) % OUTS] == RECURRENCE_WARPS)

byte warps_done; /* of the recurrence, whose states are written */

inline add_factors(c, some) { factors[STAGE(c)] = factors[STAGE(c)] | (some) }

inline store_scores(c) {
  if
  :: score_has[(c) % PAIRS] == (c) + 1 -> score_parts[(c) % PAIRS]++
  :: else -> score_has[(c) % PAIRS] = (c) + 1; score_parts[(c) % PAIRS] = 1
  fi
}
inline store_outputs(c, warps) {
  if
  :: out_has[(c) % OUTS] == (c) + 1 -> out_parts[(c) % OUTS] = out_parts[(c) % OUTS] + warps
  :: else -> out_has[(c) % OUTS] = (c) + 1; out_parts[(c) % OUTS] = warps
  fi
}

/* --- Named barriers, of the two warps of a pair. */

#if GENERAL
byte met[2];
bit met_turn[2];
inline meet(which, times, warps, turn) {
  turn = met_turn[which];
  met[which] = met[which] + times;
  if
  :: met[which] == warps -> met[which] = 0; met_turn[which] = 1 - met_turn[which]
  :: else
  fi
}
#define have_met(site, which, turn) (mutant == site || met_turn[which] != turn)
#endif

/* --- Roles. A step is waits, what the warp then reads and writes, and its arrivals before the next
 * wait. Waits change nothing that others see, so a warp that waits for one after the other, or
 * reads for long, is one whose step comes late. Were a phase to go by meanwhile that it waits for,
 * it would not reach its end, which is an error too. */

/* Boxes of stage 0 land some time, those of the others at once: landing late makes no difference
 * to readers that may themselves be late. */
#define LATE_STAGES 1
inline land(s) {
  has[s] = flying[s];
  flying[s] = 0;
  complete_if_done(RAW(s))
}
proctype Boxes() {
end:
  do
  :: d_step { flying[0] > 0 -> land(0) }
  od
}

/* A role's rehearsal on stage s, which nobody may have filled, and whose board nobody has written. */
#define is_untouched(s) (has[s] == 0 && flying[s] == 0)
#if GENERAL
#define is_rehearsed(c) true
#else
/* io_roles wait rehearsed */
#define is_rehearsed(c) (c != FIRST_REHEARSED || may_pass(17, REHEARSED, 1))
#endif

/* Refills a stage with chunk c, then stores the outputs of the chunk that was there. */
proctype Transfers() {
  byte c, out;
  do
  :: d_step { /* io_roles wait empty, expect raw */
       c < chunks && out + STAGES >= c && is_rehearsed(c) &&
         may_pass(2, EMPTY(STAGE(c)), c / STAGES) ->
       passed(2, EMPTY(STAGE(c)), c / STAGES);
       assert(flying[STAGE(c)] == 0);
       has[STAGE(c)] = 0;
       factors[STAGE(c)] = 0;
       rewritten[STAGE(c)] = 0;
       keys[STAGE(c)] = 0;
       queries[STAGE(c)] = 0;
       flying[STAGE(c)] = c + 1;
       arrive(52, RAW(STAGE(c)), c / STAGES, 1); /* io_roles arrive raw: the same, of rows */
       if
       :: STAGE(c) >= LATE_STAGES -> land(STAGE(c))
       :: else
       fi;
       c++
     }
  :: d_step { /* io_roles wait out_full */
       out < chunks && (out + STAGES < c || c == chunks) &&
         may_pass(13, OUT_FULL(out % OUTS), out / OUTS + 1) ->
       passed(13, OUT_FULL(out % OUTS), out / OUTS + 1);
       assert(holds_outputs(out));
       arrive(61, OUT_EMPTY(out % OUTS), out / OUTS, 1); /* io_roles arrive out_empty */
       out++
     }
  :: out == chunks -> break
  od;
  atomic { /* io_roles wait written: then others may take the block for ended */
    may_pass(19, WRITTEN, 1) ->
    passed(19, WRITTEN, 1);
    assert(warps_done == RECURRENCE_WARPS)
  }
}

proctype Scalars(byte sub) {
  byte c;
#if !GENERAL
  d_step { /* scalars_role arrive rehearsed */
    assert(is_untouched(FIRST_REHEARSED + 1));
    arrive(65, REHEARSED, 0, 1)
  }
#endif
  do
  :: d_step { /* scalars_role wait raw */
       c < chunks && may_pass(3, RAW(STAGE(c)), c / STAGES + 1) ->
       passed(3, RAW(STAGE(c)), c / STAGES + 1);
       assert(holds_raw(c));
       add_factors(c, (sub == 0 -> UPPER_FACTORS :
                       (TAIL(c) -> LOWER_FACTORS | BLANKED : LOWER_FACTORS)));
#if !GENERAL
       BOARD(c, sub) = c + 1;
#endif
       arrive(53, NORMED(STAGE(c)), c / STAGES, 1); /* scalars_role arrive normed */
       c++
     }
#if GENERAL
  :: c == chunks -> break
#else
  :: d_step { /* scalars_role wait rehearsed, empty: for the chunk that does not exist */
       c == chunks && may_pass(18, REHEARSED, 1) && may_pass(15, EMPTY(STAGE(c)), c / STAGES) ->
       passed(18, REHEARSED, 1);
       passed(15, EMPTY(STAGE(c)), c / STAGES);
       if
       :: sub == 0 -> BOARD(c, 0) = c + 1
       :: else
       fi;
       arrive(64, NORMED(STAGE(c)), c / STAGES, 1); /* scalars_role arrive normed */
       c++
     }
  :: c > chunks -> break
#endif
  od
}

proctype Inverse() {
  byte c;
  do
  :: d_step { /* inverse_role wait score_full */
       c < chunks && may_pass(4, SCORE_FULL(c % PAIRS), c / PAIRS + 1) ->
       passed(4, SCORE_FULL(c % PAIRS), c / PAIRS + 1);
       assert(holds_scores(c) && has[STAGE(c)] == c + 1);
#if GENERAL
       assert(has_keys(c));
#else
       assert(has_factors(c, UPPER_FACTORS | LOWER_FACTORS));
       keys[STAGE(c)]++;
#endif
       add_factors(c, INVERTED);
       arrive(54, SCORE_EMPTY(c % PAIRS), c / PAIRS, 1); /* inverse_role arrive score_empty */
       arrive(55, READY(STAGE(c)), c / STAGES, 1);       /* inverse_role arrive ready */
       c++
     }
  :: c == chunks -> break
  od
}

inline write_states(warps) {
  atomic {
    warps_done = warps_done + warps;
    arrive(67, WRITTEN, 0, warps) /* recurrence_role arrive written */
  }
}

#define may_store_scores(c) may_pass(8, SCORE_EMPTY(c % PAIRS), c / PAIRS)

#if GENERAL
/* Pairs of warps take chunks in turns: even ones pair 0, odd ones pair 1. Each warp of a pair has
 * summed half of the scores; they add up in turns. */
#define ADDS(c, warp) (((c) / PAIRS & 1) == (warp))
proctype Prepare(byte pair, warp) {
  byte c = pair;
  bit turn;
  do
  :: d_step { /* prepare_pairs wait raw, normed */
       c < chunks && may_pass(5, RAW(STAGE(c)), c / STAGES + 1) &&
         may_pass(6, NORMED(STAGE(c)), c / STAGES + 1) ->
       passed(5, RAW(STAGE(c)), c / STAGES + 1);
       passed(6, NORMED(STAGE(c)), c / STAGES + 1);
       assert(has[STAGE(c)] == c + 1 && is_blank(c));
       assert(has_factors(c, UPPER_FACTORS | LOWER_FACTORS));
       rewritten[STAGE(c)]++;
       if
       :: !ADDS(c, warp) -> exchange_has[pair] = c + 1
       :: else
       fi;
       meet(pair, 1, 2, turn) /* prepare_pairs meet pair */
     }
     if
     :: d_step {
          !ADDS(c, warp) && have_met(7, pair, turn) ->
          arrive(56, READY(STAGE(c)), c / STAGES, 1); /* prepare_pairs arrive ready */
          c = c + 2
        }
     :: d_step {
          ADDS(c, warp) && have_met(7, pair, turn) ->
          assert(exchange_has[pair] == c + 1)
        }
        d_step { /* prepare_pairs wait score_empty */
          may_store_scores(c) ->
          passed(8, SCORE_EMPTY(c % PAIRS), c / PAIRS);
          assert(exchange_has[pair] == c + 1 && is_rewritten(c));
          keys[STAGE(c)]++;
          store_scores(c);
          arrive(57, SCORE_FULL(c % PAIRS), c / PAIRS, 1) /* prepare_pairs arrive score_full */
        }
        d_step {
          assert(is_rewritten(c));
          queries[STAGE(c)]++;
          arrive(58, READY(STAGE(c)), c / STAGES, 1); /* prepare_pairs arrive ready */
          c = c + 2
        }
     fi
  :: c >= chunks -> break
  od
}

/* The eight warps are two here: any one of them, and the other seven as the last of them. A barrier
 * cannot tell how the seven arrive, only when the last does, and they arrive at every barrier in
 * the same order. */
proctype Recurrence(byte warps) {
  byte c;
  do
  :: d_step { /* recurrence_role wait ready, out_empty */
       c < chunks && may_pass(11, READY(STAGE(c)), c / STAGES + 1) &&
         may_pass(12, OUT_EMPTY(c % OUTS), c / OUTS) ->
       passed(11, READY(STAGE(c)), c / STAGES + 1);
       passed(12, OUT_EMPTY(c % OUTS), c / OUTS);
       assert(holds_operands(c));
       store_outputs(c, warps);
       arrive(59, OUT_FULL(c % OUTS), c / OUTS, warps);  /* recurrence_role arrive out_full */
       arrive(60, EMPTY(STAGE(c)), c / STAGES, warps); /* recurrence_role arrive empty */
       c++
     }
  :: c == chunks -> break
  od;
  write_states(warps)
}
#else
/* The eight warps are two here: any one of them, and the other seven as the last of them. A barrier
 * cannot tell how the seven arrive, only when the last does, and they arrive at every barrier in
 * the same order. */
proctype Prepare(byte warps) {
  byte c;
  d_step { /* prepare_role arrive rehearsed */
    assert(is_untouched(FIRST_REHEARSED) && BOARD(FIRST_REHEARSED, 0) == 0);
    arrive(66, REHEARSED, 0, warps)
  }
  do
  :: d_step { /* prepare_role wait normed */
       c < chunks && may_pass(6, NORMED(STAGE(c)), c / STAGES + 1) ->
       passed(6, NORMED(STAGE(c)), c / STAGES + 1);
       assert(BOARD(c, 0) == c + 1 && BOARD(c, 1) == c + 1);
       assert(has[STAGE(c)] == c + 1 && is_blank(c));
       assert(has_factors(c, UPPER_FACTORS | LOWER_FACTORS));
       rewritten[STAGE(c)] = rewritten[STAGE(c)] + warps;
       arrive(62, STORED(STAGE(c)), c / STAGES, warps); /* prepare_role arrive stored */
       c++
     }
  :: d_step { /* prepare_role wait empty: chunks that do not exist */
       c >= chunks && c < chunks + SCORES_AHEAD && may_pass(16, EMPTY(STAGE(c)), c / STAGES) &&
         (c > chunks || may_pass(6, NORMED(STAGE(c)), c / STAGES + 1)) ->
       if
       :: c == chunks ->
          passed(6, NORMED(STAGE(c)), c / STAGES + 1);
          assert(BOARD(c, 0) == c + 1);
          block_chunks = c
       :: else
       fi;
       passed(16, EMPTY(STAGE(c)), c / STAGES);
       arrive(63, STORED(STAGE(c)), c / STAGES, warps); /* prepare_role arrive stored */
       c++
     }
  :: c == chunks + SCORES_AHEAD -> break
  od
}

/* A warp of a warpgroup. Warps 0 and 1 store scores of keys; 2 and 3, which are one here, the last
 * of them, Aqk. */
#define WARPS(warp) ((warp) == 2 -> 2 : 1)
#define FIRST_SCORES 0
#define CHUNK 1
#define STORE 2

inline look_ahead(ahead) {
  passed(14, STORED(STAGE(ahead)), (ahead) / STAGES + 1);
  assert((ahead < block_chunks) == (ahead < chunks));
  assert(ahead >= chunks || is_rewritten(ahead));
  at = (ahead < block_chunks -> STORE : CHUNK)
}

proctype Recurrence(byte part, warp) {
  byte at = FIRST_SCORES, c, ahead = part;
  do
  :: d_step { /* recurrence_role wait stored */
       at == FIRST_SCORES && may_pass(14, STORED(STAGE(ahead)), ahead / STAGES + 1) ->
       look_ahead(ahead)
     }
  :: d_step { /* recurrence_role wait ready, stored, out_empty */
       at == CHUNK && c < chunks && may_pass(11, READY(STAGE(c)), c / STAGES + 1) &&
         (c % 2 != part ||
            may_pass(14, STORED(STAGE(c + SCORES_AHEAD)), (c + SCORES_AHEAD) / STAGES + 1)) &&
         may_pass(12, OUT_EMPTY(c % OUTS), c / OUTS) ->
       passed(11, READY(STAGE(c)), c / STAGES + 1);
       if
       :: c % 2 == part ->
          ahead = c + SCORES_AHEAD;
          look_ahead(ahead)
       :: else
       fi;
       passed(12, OUT_EMPTY(c % OUTS), c / OUTS);
       assert(holds_operands(c));
       store_outputs(c, WARPS(warp));
       arrive(59, OUT_FULL(c % OUTS), c / OUTS, WARPS(warp)); /* recurrence_role arrive out_full */
       arrive(60, EMPTY(STAGE(c)), c / STAGES, WARPS(warp));  /* recurrence_role arrive empty */
       c++
     }
  :: d_step {
       at == STORE && warp == 2 ->
       assert(is_rewritten(ahead));
       queries[STAGE(ahead)] = queries[STAGE(ahead)] + 2;
       arrive(56, READY(STAGE(ahead)), ahead / STAGES, 2); /* recurrence_role arrive ready */
       at = CHUNK
     }
  :: d_step { /* recurrence_role wait score_empty */
       at == STORE && warp < 2 && may_store_scores(ahead) ->
       passed(8, SCORE_EMPTY(ahead % PAIRS), ahead / PAIRS);
       assert(is_rewritten(ahead));
       store_scores(ahead);
       /* recurrence_role arrive score_full */
       arrive(57, SCORE_FULL(ahead % PAIRS), ahead / PAIRS, 1);
       at = CHUNK
     }
  :: at == CHUNK && c == chunks -> break
  od;
  write_states(WARPS(warp))
}
#endif

c_decl { \#include <stdlib.h> }
init {
  byte b;
  atomic {
    chunks = CHUNKS;
    do
    :: break
    :: chunks > 0 -> chunks = (chunks > STAGES -> STAGES : chunks - 1)
    od;
    skip;
    d_step {
      c_code { now.mutant = getenv("MUTANT") ? atoi(getenv("MUTANT")) : 0; };
      do
      :: b < BARRIERS -> pending[b] = COUNT(b); b++
      :: else -> break
      od;
      b = 0
    }
    run Transfers(); run Boxes(); run Scalars(0); run Scalars(1); run Inverse();
#if GENERAL
    run Prepare(0, 0); run Prepare(0, 1); run Prepare(1, 0); run Prepare(1, 1);
    run Recurrence(1); run Recurrence(RECURRENCE_WARPS - 1)
#else
    run Prepare(1); run Prepare(PREPARE_WARPS - 1);
    run Recurrence(0, 0); run Recurrence(0, 1); run Recurrence(0, 2);
    run Recurrence(1, 0); run Recurrence(1, 1); run Recurrence(1, 2)
#endif
  }
}
