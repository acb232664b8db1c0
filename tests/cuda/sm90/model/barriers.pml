/* The barriers of one block of the fused kernel, for every order of its warps and copies.
 *
 * check_model.py gives the constants, read from the sources: STAGES, PAIRS, OUTS, the arrivals
 * RAW_ARRIVALS .. OUT_EMPTY_ARRIVALS; and GENERAL, the gate form, CHUNKS and FIRST. Data are
 * shadows: a region knows the chunk that it holds, and whoever reads it looks when it begins and
 * again when it ends. Fences between proxies are left to the emulator's checker.
 *
 * The eight warps of the recurrence are two here: any one of them, and the other seven as the last
 * of them. A barrier cannot tell how the seven arrive, only when the last does, and they arrive at
 * every barrier in the same order.
 *
 * Comments "file wait barrier" name the statement of a source that a step stands for; the test fails
 * when a source has others. Each is also a mutant, which leaves it out; 101 and up are barriers that
 * expect an arrival less.
 */
/* CHUNKS in two items, the first of FIRST; both end with a tail. */
#define TAIL(c) ((c) == FIRST - 1 || (c) == CHUNKS - 1)
#define RECURRENCE_WARPS 8

#if GENERAL
#define REWRITES 2    /* parts in which k, q and g of a chunk are rewritten */
#define KEY_WARPS 1   /* warps that store Akk of a chunk, and factors of keys */
#define QUERY_WARPS 1 /* warps that store Aqk of a chunk */
#else
#define REWRITES 4
#define KEY_WARPS 2
#define QUERY_WARPS 2
#endif

/* --- Barriers: mbarriers with arrivals, phases and bytes. */

#define RAW(s) (s)
#define NORMED(s) (STAGES + (s))
#define READY(s) (2 * STAGES + (s))
#define EMPTY(s) (3 * STAGES + (s))
#define SCORE_FULL(b) (4 * STAGES + (b))
#define SCORE_EMPTY(b) (4 * STAGES + PAIRS + (b))
#define OUT_FULL(b) (4 * STAGES + 2 * PAIRS + (b))
#define OUT_EMPTY(b) (4 * STAGES + 2 * PAIRS + OUTS + (b))
#define BARRIERS (4 * STAGES + 2 * PAIRS + 2 * OUTS)

byte mutant; /* 0: none */
byte generation[BARRIERS];
byte pending[BARRIERS];
byte flying[STAGES]; /* chunk + 1 of the boxes that the raw barrier still expects */

#define COUNT(b)                                                                            \
  ((b) < NORMED(0) -> RAW_ARRIVALS :                                                        \
  ((b) < READY(0) -> NORMED_ARRIVALS - (mutant == 101) :                                    \
  ((b) < EMPTY(0) -> READY_ARRIVALS - (mutant == 102) :                                     \
  ((b) < SCORE_FULL(0) -> EMPTY_ARRIVALS - (mutant == 103) :                                \
  ((b) < SCORE_EMPTY(0) -> SCORE_FULL_ARRIVALS - (mutant == 104 && SCORE_FULL_ARRIVALS > 1) : \
  ((b) < OUT_FULL(0) -> SCORE_EMPTY_ARRIVALS :                                              \
  ((b) < OUT_EMPTY(0) -> OUT_FULL_ARRIVALS - (mutant == 105) : OUT_EMPTY_ARRIVALS)))))))

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
byte keys[STAGES];      /* warps that have stored their factors of keys */
byte queries[STAGES];   /* warps that have stored their part of Aqk */
byte score_has[PAIRS];
byte score_parts[PAIRS];
byte exchange_has[2];
byte out_has[OUTS];
byte out_parts[OUTS];

#define STAGE(c) ((c) % STAGES)
#define holds_raw(c) (has[STAGE(c)] == (c) + 1 && rewritten[STAGE(c)] == 0)
#define is_rewritten(c) (has[STAGE(c)] == (c) + 1 && rewritten[STAGE(c)] == REWRITES)
#define has_factors(c, some) ((factors[STAGE(c)] & (some)) == (some))
#define has_keys(c) (keys[STAGE(c)] == KEY_WARPS)
#define is_blank(c) (!TAIL(c) || has_factors(c, BLANKED))
#define holds_operands(c)                                       \
  (is_rewritten(c) && is_blank(c) && has_keys(c) && queries[STAGE(c)] == QUERY_WARPS && \
   has_factors(c, UPPER_FACTORS | LOWER_FACTORS | INVERTED))
#define holds_scores(c) (score_has[(c) % PAIRS] == (c) + 1 && score_parts[(c) % PAIRS] == KEY_WARPS)
#define holds_outputs(c) (out_has[(c) % OUTS] == (c) + 1 && out_parts[(c) % OUTS] == RECURRENCE_WARPS)

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

/* --- Named barriers: of the four warps of a group or, under kGeneral, the two of a pair; and of the
 * two warps that store Akk. */

#define GROUP(group) (group)
#define SCORES(group) (2 + (group))
byte met[4];
bit met_turn[4];
inline meet(which, times, warps, turn) {
  turn = met_turn[which];
  met[which] = met[which] + times;
  if
  :: met[which] == warps -> met[which] = 0; met_turn[which] = 1 - met_turn[which]
  :: else
  fi
}
#define have_met(site, which, turn) (mutant == site || met_turn[which] != turn)

/* --- Roles. A step begins with what it waits for and ends before the next wait, or in the middle
 * of a read: what lies between can be moved to its begin or its end without a difference to others. */

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

/* Refills a stage with chunk c, then stores the outputs of the chunk that was there. */
proctype Transfers() {
  byte c, out;
  do
  :: d_step { /* io_roles wait empty, expect raw */
       c < CHUNKS && out + STAGES >= c && may_pass(2, EMPTY(STAGE(c)), c / STAGES) ->
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
       out < CHUNKS && (out + STAGES < c || c == CHUNKS) &&
         may_pass(13, OUT_FULL(out % OUTS), out / OUTS + 1) ->
       passed(13, OUT_FULL(out % OUTS), out / OUTS + 1);
       assert(holds_outputs(out))
     }
     d_step {
       assert(holds_outputs(out));
       arrive(61, OUT_EMPTY(out % OUTS), out / OUTS, 1); /* io_roles arrive out_empty */
       out++
     }
  :: out == CHUNKS -> break
  od
}

proctype Scalars(byte sub) {
  byte c;
  do
  :: d_step { /* scalars_role wait raw */
       c < CHUNKS && may_pass(3, RAW(STAGE(c)), c / STAGES + 1) ->
       passed(3, RAW(STAGE(c)), c / STAGES + 1);
       assert(holds_raw(c))
     }
     d_step {
       assert(holds_raw(c));
       add_factors(c, (sub == 0 -> UPPER_FACTORS : (TAIL(c) -> LOWER_FACTORS | BLANKED : LOWER_FACTORS)));
       arrive(53, NORMED(STAGE(c)), c / STAGES, 1); /* scalars_role arrive normed */
       c++
     }
  :: c == CHUNKS -> break
  od
}

proctype Inverse() {
  byte c;
  do
  :: d_step { /* inverse_role wait score_full */
       c < CHUNKS && may_pass(4, SCORE_FULL(c % PAIRS), c / PAIRS + 1) ->
       passed(4, SCORE_FULL(c % PAIRS), c / PAIRS + 1);
       assert(holds_scores(c) && has[STAGE(c)] == c + 1 && has_keys(c))
     }
     d_step {
       assert(holds_scores(c) && has[STAGE(c)] == c + 1);
       add_factors(c, INVERTED);
       arrive(54, SCORE_EMPTY(c % PAIRS), c / PAIRS, 1); /* inverse_role arrive score_empty */
       arrive(55, READY(STAGE(c)), c / STAGES, 1);       /* inverse_role arrive ready */
       c++
     }
  :: c == CHUNKS -> break
  od
}

/* Prepare takes chunks in turns: even ones group 0, odd ones group 1. */
inline read_and_rewrite(c, parts) {
  passed(5, RAW(STAGE(c)), c / STAGES + 1);
  passed(6, NORMED(STAGE(c)), c / STAGES + 1);
  assert(has[STAGE(c)] == c + 1 && is_blank(c));
  assert(has_factors(c, UPPER_FACTORS | LOWER_FACTORS));
  rewritten[STAGE(c)] = rewritten[STAGE(c)] + parts
}
#define may_rewrite(c) \
  (may_pass(5, RAW(STAGE(c)), c / STAGES + 1) && may_pass(6, NORMED(STAGE(c)), c / STAGES + 1))
#define may_store_scores(c) may_pass(8, SCORE_EMPTY(c % PAIRS), c / PAIRS)

#if GENERAL
/* Groups are pairs of warps, each of which has summed half of the scores. They add up in turns. */
#define ADDS(c, warp) (((c) / PAIRS & 1) == (warp))
proctype Prepare(byte group, warp) {
  byte c = group;
  bit turn;
  do
  :: d_step { /* prepare_pairs wait raw, normed */
       c < CHUNKS && may_rewrite(c) ->
       read_and_rewrite(c, 1);
       if
       :: !ADDS(c, warp) -> exchange_has[group] = c + 1
       :: else
       fi;
       meet(GROUP(group), 1, 2, turn) /* prepare_pairs meet pair */
     }
     if
     :: d_step {
          !ADDS(c, warp) && have_met(7, GROUP(group), turn) ->
          arrive(56, READY(STAGE(c)), c / STAGES, 1); /* prepare_pairs arrive ready */
          c = c + 2
        }
     :: d_step {
          ADDS(c, warp) && have_met(7, GROUP(group), turn) ->
          assert(exchange_has[group] == c + 1)
        }
        d_step { /* prepare_pairs wait score_empty */
          may_store_scores(c) ->
          passed(8, SCORE_EMPTY(c % PAIRS), c / PAIRS);
          assert(exchange_has[group] == c + 1 && is_rewritten(c));
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
  :: c >= CHUNKS -> break
  od
}
#else
/* Warps 2 and 3 of a group are one here, the last of them, as seven of the recurrence are. Warps 0
 * and 1 are alike: it is enough to let the first step first. */
byte steps[4];
#define step_of(group, warp) steps[2 * (group) + (warp)]
#define is_turn(group, warp) (warp != 1 || step_of(group, 1) < step_of(group, 0))

proctype Prepare(byte group, warp) {
  byte c = group;
  bit turn;
  do
  :: d_step { /* prepare_role wait raw, normed */
       c < CHUNKS && is_turn(group, warp) && may_rewrite(c) ->
       read_and_rewrite(c, (warp == 2 -> 2 : 1));
       meet(GROUP(group), (warp == 2 -> 2 : 1), 4, turn); /* prepare_role meet prepare */
       if
       :: warp < 2 -> step_of(group, warp)++
       :: else
       fi
     }
     if /* products of the chunk's tiles, then Aqk of warps 2 and 3, Akk of warps 0 and 1 */
     :: d_step {
          warp == 2 && have_met(7, GROUP(group), turn) ->
          assert(is_rewritten(c));
          queries[STAGE(c)] = queries[STAGE(c)] + 2;
          arrive(56, READY(STAGE(c)), c / STAGES, 2); /* prepare_role arrive ready */
          c = c + 2
        }
     :: d_step {
          warp < 2 && is_turn(group, warp) && have_met(7, GROUP(group), turn) ->
          assert(is_rewritten(c));
          keys[STAGE(c)]++;
          meet(SCORES(group), 1, 2, turn); /* prepare_role meet score */
          step_of(group, warp)++
        }
        d_step { /* prepare_role wait score_empty */
          is_turn(group, warp) && have_met(9, SCORES(group), turn) && may_store_scores(c) ->
          passed(8, SCORE_EMPTY(c % PAIRS), c / PAIRS);
          assert(is_rewritten(c) && has_keys(c));
          store_scores(c);
          arrive(57, SCORE_FULL(c % PAIRS), c / PAIRS, 1); /* prepare_role arrive score_full */
          c = c + 2;
          step_of(group, warp)++
        }
     fi
  :: c >= CHUNKS -> break
  od
}
#endif

proctype Recurrence(byte warps) {
  byte c;
  do
  :: d_step { /* recurrence_role wait raw, ready */
       c < CHUNKS && may_pass(10, RAW(STAGE(c)), c / STAGES + 1) &&
         may_pass(11, READY(STAGE(c)), c / STAGES + 1) ->
       passed(10, RAW(STAGE(c)), c / STAGES + 1);
       passed(11, READY(STAGE(c)), c / STAGES + 1);
       assert(holds_operands(c))
     }
     d_step { /* recurrence_role wait out_empty */
       may_pass(12, OUT_EMPTY(c % OUTS), c / OUTS) ->
       passed(12, OUT_EMPTY(c % OUTS), c / OUTS);
       assert(holds_operands(c));
       store_outputs(c, warps);
       arrive(59, OUT_FULL(c % OUTS), c / OUTS, warps);  /* recurrence_role arrive out_full */
       arrive(60, EMPTY(STAGE(c)), c / STAGES, warps); /* recurrence_role arrive empty */
       c++
     }
  :: c == CHUNKS -> break
  od
}

c_decl { \#include <stdlib.h> }
init {
  byte b;
  atomic {
    d_step {
      c_code { now.mutant = getenv("MUTANT") ? atoi(getenv("MUTANT")) : 0; };
      do
      :: b < BARRIERS -> pending[b] = COUNT(b); b++
      :: else -> break
      od;
      b = 0
    }
    run Transfers(); run Boxes(); run Scalars(0); run Scalars(1); run Inverse();
    run Prepare(0, 0); run Prepare(0, 1); run Prepare(1, 0); run Prepare(1, 1);
#if !GENERAL
    run Prepare(0, 2); run Prepare(1, 2);
#endif
    run Recurrence(1); run Recurrence(RECURRENCE_WARPS - 1)
  }
}
