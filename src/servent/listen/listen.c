/* Listens to two-bit samples of a radio telescope for what nature would not send: tones that drift, tones that come and go as the beam passes, pulses,
   three in a row. ABI "slice". The input is a unit as `units.py` packs it, the result what `signals.py` reads; `plan.py` has the rules, the thresholds and
   the count of operations, all of which come with the unit.

   For each drift rate of its range: samples times exp(-i pi rate t^2); for each length due at this rate: all spectra, their power over its mean (which is
   exactly 2 * length before scaling: samples are +-1 +-i), and the detectors. A slice is some drift rates. What is not needed
   between slices is zero then, so that a snapshot is the unit and little more. The same source compiles natively, with wider vectors, for comparison. */

#include <stddef.h>
#ifdef __wasm__
#include "servent.h"
#define WIDE 4
#pragma clang attribute push(__attribute__((target("relaxed-simd"))), apply_to = function) /* to multiply and add at once; the same bits everywhere here */
#else
#include <stdint.h>
#define SERVENT_EXPORT(name)
#define SERVENT_RESULT(address, bytes) ((uint64_t)(uintptr_t)(address))
#define WIDE 8
#endif

#define MOST_BITS 20 /* 2^20 samples */
#define SHORTEST 3   /* lengths are 2^3 to 2^17 */
#define LONGEST 17
#define POINTS 64    /* of power over time, for the fit of the beam */
#define EDGE 8       /* of them before and behind the first and the last place where a beam may stand in the middle */
#define TAPS 16
#define TRIPLET_SPECTRA 16
#define PULSE_SPECTRA 128
#define PAD 16       /* floats between spectra, so that columns do not meet in one set of the cache */
#define SLICE 8e8    /* operations */
#define KEPT 32      /* signals of a kind */
#define PLOT 64      /* points of what goes with each */
#define CROWD 256    /* points above the threshold that are looked at in one column */
#define HEAD 368     /* bytes before the thresholds of pulses */
#define COLUMNS 256  /* of the picture: frequencies; times are its rows */
#define ROWS 64
#define SHOWN_LEAST 8 /* lengths of spectra that are shown: 2^8 to 2^14 */
#define SHOWN_MOST 14

typedef float vec __attribute__((vector_size(16), aligned(4)));
typedef int32_t ints __attribute__((vector_size(16), aligned(4)));
typedef uint32_t words __attribute__((vector_size(16), aligned(4)));
typedef uint64_t longs __attribute__((vector_size(32), aligned(8)));
typedef float wide __attribute__((vector_size(4 * WIDE), aligned(4)));
typedef int32_t wideints __attribute__((vector_size(4 * WIDE), aligned(4)));

#ifdef __wasm__
#define MADD(a, b, c) ((wide)__builtin_wasm_relaxed_madd_f32x4((vec)(a), (vec)(b), (vec)(c)))
#define NMADD(a, b, c) ((wide)__builtin_wasm_relaxed_nmadd_f32x4((vec)(a), (vec)(b), (vec)(c)))
#else
#define MADD(a, b, c) ((a) * (b) + (c))
#define NMADD(a, b, c) ((c) - (a) * (b))
#endif
#ifdef __wasm__
#define MAX(a, b) ((wide)__builtin_wasm_pmax_f32x4((vec)(a), (vec)(b)))
#else
#define MAX(a, b) __builtin_elementwise_max(a, b)
#endif

#define UNROLL _Pragma("clang loop unroll_count(8)") /* the sandbox looks up once for each turn of a loop */

enum { SPIKE, GAUSSIAN, PULSE, TRIPLET, KINDS };

struct signal { /* 144 bytes */
  uint32_t kind, bits; /* its length is 2^bits */
  float power, score;  /* times the mean; score over its threshold */
  double frequency, drift, time; /* Hz at the beginning, Hz/s, s */
  float period, chi, extra;      /* s between pulses; of the fit; see signals.py */
  uint32_t bin, drift_step, spectrum;
  float high, beside;  /* what 255 of the plot stands for; how much is left of a beam's height one point off its middle */
  uint32_t points, zero;
  uint8_t plot[PLOT];  /* spike: the bins beside it, itself in the middle; gaussian, triplet: power over time; pulse: one period, folded */
};

struct length {
  uint32_t every, most; /* drift steps; 0: never */
  float triplet, gaussian;
};

static struct {
  char magic[16];
  double operations, samples, rate, centre;
  uint64_t recording; /* the same for all parts of one */
  uint32_t zero[2], count[KINDS], over[KINDS]; /* kept; what fell out for lack of room */
  struct signal best[KINDS];
  struct signal found[KINDS * KEPT];
} out;

static uint8_t unit[HEAD + 8192 + (1 << (MOST_BITS - 2))];
static const uint8_t *packed;
static struct length lengths[LONGEST + 1];
static const float *pulses[LONGEST + 1];
static struct signal kept[KINDS][KEPT];
static double rate, step, total;
static float spike, worst, taps[TAPS], tap_sum, tap_norm;
static int32_t first, last, at;
static int bits;

/* Scratch; zero between slices. */
static struct {
  float re[1 << MOST_BITS], im[1 << MOST_BITS];
  float power[(1 << MOST_BITS) + (PAD << (MOST_BITS - SHORTEST))];
  float w4r[1 << LONGEST], w4i[1 << LONGEST]; /* factors of passes by four of n numbers: 3/4 n of them, from n on; n is 2^6, 2^8 ... 2^16 */
  float w2r[1 << LONGEST], w2i[1 << LONGEST]; /* by two: n/2 of them, from n/2 on; n is 2^5, 2^7 ... 2^17 */
  float xr[1 << LONGEST], xi[1 << LONGEST];
  float grid[ROWS * COLUMNS]; /* of the picture */
  uint8_t column_of[1 << SHOWN_MOST];
  wide column[1 << (MOST_BITS - SHORTEST)], half[1 << (MOST_BITS - SHORTEST)];
  wide fold[2][1 << (MOST_BITS - SHORTEST + 2)];
} work;

void *memset(void *to, int value, size_t size);
#ifdef __wasm__
void *memset(void *to, int value, size_t size) { /* freestanding: the compiler may call it, too */
  uint8_t *p = to;
  while (size && ((uintptr_t)p & 15)) *p++ = value, size--;
  words w = {0};
  w += (uint32_t)(uint8_t)value * 0x01010101u;
  for (; size >= 16; size -= 16, p += 16) *(volatile words *)p = w;
  while (size--) *(volatile uint8_t *)p++ = value;
  return to;
}
void *memcpy(void *restrict to, const void *restrict from, size_t size) {
  volatile uint8_t *t = to;
  const uint8_t *f = from;
  while (size--) *t++ = *f++;
  return to;
}
#endif

/* ---- turns ---------------------------------------------------------------------------------------------------------------------------------------- */

/* cos and sin of four angles in 2^-32 of a turn: polynomials within an eighth of a turn of the next quarter; errors below 2^-23. */
static inline void turn(words u, vec *c, vec *s) {
  words quarter = (u + (1u << 29)) >> 30;
  vec r = __builtin_convertvector((ints)(u - (quarter << 30)), vec) * 0x1p-32f * 6.28318530718f, y = r * r;
  vec sine = r + r * y * (-1.6666654611e-1f + y * (8.3321608736e-3f + y * -1.9515295891e-4f));
  vec cosine = 1.0f - 0.5f * y + y * y * (4.166664568298827e-2f + y * (-1.388731625493765e-3f + y * 2.443315711809948e-5f));
  ints odd = (ints)((quarter & 1) != 0);
  words a = (words)((odd & (ints)sine) | (~odd & (ints)cosine)), b = (words)((odd & (ints)cosine) | (~odd & (ints)sine));
  *c = (vec)(a ^ (((quarter + 1) & 2) << 30));
  *s = (vec)(b ^ ((quarter & 2) << 30));
}

static const words LANE = {0, 1, 2, 3};

static inline words all(uint32_t value) {
  words same = {value, value, value, value};
  return same;
}

static void make_turns(void) {
  for (int b = 5; b <= LONGEST; b++) {
    uint32_t n = 1u << b, parts = b & 1 ? 1 : 3, each = b & 1 ? n / 2 : n / 4;
    float *to = b & 1 ? work.w2r + n / 2 : work.w4r + n, *ti = b & 1 ? work.w2i + n / 2 : work.w4i + n;
    for (uint32_t part = 0; part < parts; part++)
      for (uint32_t k = 0; k < each; k += 4) {
        vec c, s;
        turn(((all(k) + LANE) * (part + 1)) << (32 - b), &c, &s);
        *(vec *)(to + part * each + k) = c;
        *(vec *)(ti + part * each + k) = -s;
      }
  }
}

/* ---- chirp ---------------------------------------------------------------------------------------------------------------------------------------- */

/* All samples times exp(-i pi rate t^2). The angle of sample n is c n^2 in 2^-64 of a turn, kept exactly by its differences. */
static void chirp(int32_t drift) {
  double turns = (double)drift * step / (2 * rate * rate) * 0x1p64;
  uint64_t c = (uint64_t)(int64_t)__builtin_rint(turns);
  longs n = {0, 1, 2, 3}, angle = n * n * c, move = (n * 8 + 16) * c, more = {32 * c, 32 * c, 32 * c, 32 * c};
  words i_bits = {1, 4, 16, 64}, q_bits = i_bits * 2;
  for (uint32_t k = 0; k < 1u << bits; k += 4) {
    vec c4, s4;
    words high = __builtin_convertvector(angle >> 32, words), byte = all(packed[k / 4]);
    turn(high, &c4, &s4);
    words i = (words)((byte & i_bits) == 0) << 31, q = (words)((byte & q_bits) == 0) << 31; /* the sign bit of those that are -1 */
    *(vec *)(work.re + k) = (vec)((words)c4 ^ i) + (vec)((words)s4 ^ q);
    *(vec *)(work.im + k) = (vec)((words)c4 ^ q) - (vec)((words)s4 ^ i);
    angle += move;
    move += more;
  }
}

/* ---- Fourier transform: by frequency, in place, results where they fall ------------------------------------------------------------------------------ */

static inline wide load(const float *from) { return *(const wide *)from; }
static inline void store(float *to, wide value) { *(wide *)to = value; }

static void by_two(uint32_t n, const float *fr, const float *fi, float *tr, float *ti) {
  uint32_t h = n / 2;
  const float *wr = work.w2r + h, *wi = work.w2i + h;
  for (uint32_t k = 0; k < h; k += WIDE) {
    wide ar = load(fr + k), ai = load(fi + k), br = load(fr + h + k), bi = load(fi + h + k), r = load(wr + k), i = load(wi + k);
    wide dr = ar - br, di = ai - bi;
    store(tr + k, ar + br);
    store(ti + k, ai + bi);
    store(tr + h + k, NMADD(di, i, dr * r));
    store(ti + h + k, MADD(di, r, dr * i));
  }
}

static void by_four(uint32_t n, const float *fr, const float *fi, float *tr, float *ti) {
  uint32_t q = n / 4;
  const float *wr = work.w4r + n, *wi = work.w4i + n;
  for (uint32_t k = 0; k < q; k += WIDE) {
    wide ar = load(fr + k), br = load(fr + q + k), cr = load(fr + 2 * q + k), dr = load(fr + 3 * q + k);
    wide ai = load(fi + k), bi = load(fi + q + k), ci = load(fi + 2 * q + k), di = load(fi + 3 * q + k);
    wide sr = ar + cr, si = ai + ci, er = ar - cr, ei = ai - ci, ur = br + dr, ui = bi + di, vr = br - dr, vi = bi - di;
    store(tr + k, sr + ur);
    store(ti + k, si + ui);
    wide xr = er + vi, xi = ei - vr, yr = sr - ur, yi = si - ui, zr = er - vi, zi = ei + vr;
    wide w1r = load(wr + k), w1i = load(wi + k), w2r = load(wr + q + k), w2i = load(wi + q + k);
    store(tr + q + k, NMADD(xi, w1i, xr * w1r));
    store(ti + q + k, MADD(xi, w1r, xr * w1i));
    store(tr + 2 * q + k, NMADD(yi, w2i, yr * w2r));
    store(ti + 2 * q + k, MADD(yi, w2r, yr * w2i));
    wide w3r = load(wr + 2 * q + k), w3i = load(wi + 2 * q + k);
    store(tr + 3 * q + k, NMADD(zi, w3i, zr * w3r));
    store(ti + 3 * q + k, MADD(zi, w3r, zr * w3i));
  }
}

static inline void turned(vec *a, vec *b, vec *c, vec *d) {
  vec p = __builtin_shufflevector(*a, *b, 0, 4, 1, 5), q = __builtin_shufflevector(*a, *b, 2, 6, 3, 7);
  vec r = __builtin_shufflevector(*c, *d, 0, 4, 1, 5), s = __builtin_shufflevector(*c, *d, 2, 6, 3, 7);
  *a = __builtin_shufflevector(p, r, 0, 1, 4, 5);
  *b = __builtin_shufflevector(p, r, 2, 3, 6, 7);
  *c = __builtin_shufflevector(q, s, 0, 1, 4, 5);
  *d = __builtin_shufflevector(q, s, 2, 3, 6, 7);
}

/* The last sixteen: four by four, in the right order; gives their power. */
static void sixteen(const float *fr, const float *fi, float *power, float scale) {
  static const vec w1r = {1, 0.92387953251f, 0.70710678119f, 0.38268343236f}, w1i = {0, -0.38268343236f, -0.70710678119f, -0.92387953251f};
  static const vec w2r = {1, 0.70710678119f, 0, -0.70710678119f}, w2i = {0, -0.70710678119f, -1, -0.70710678119f};
  static const vec w3r = {1, 0.38268343236f, -0.70710678119f, -0.92387953251f}, w3i = {0, -0.92387953251f, -0.70710678119f, 0.38268343236f};
  vec ar = *(vec *)fr, br = *(vec *)(fr + 4), cr = *(vec *)(fr + 8), dr = *(vec *)(fr + 12);
  vec ai = *(vec *)fi, bi = *(vec *)(fi + 4), ci = *(vec *)(fi + 8), di = *(vec *)(fi + 12);
  vec sr = ar + cr, si = ai + ci, er = ar - cr, ei = ai - ci, ur = br + dr, ui = bi + di, vr = br - dr, vi = bi - di;
  vec xr = er + vi, xi = ei - vr, yr = sr - ur, yi = si - ui, zr = er - vi, zi = ei + vr;
  ar = sr + ur, ai = si + ui;
  br = xr * w1r - xi * w1i, bi = xr * w1i + xi * w1r;
  cr = yr * w2r - yi * w2i, ci = yr * w2i + yi * w2r;
  dr = zr * w3r - zi * w3i, di = zr * w3i + zi * w3r;
  turned(&ar, &br, &cr, &dr);
  turned(&ai, &bi, &ci, &di);
  sr = ar + cr, si = ai + ci, er = ar - cr, ei = ai - ci, ur = br + dr, ui = bi + di, vr = br - dr, vi = bi - di;
  ar = sr + ur, ai = si + ui, br = er + vi, bi = ei - vr, cr = sr - ur, ci = si - ui, dr = er - vi, di = ei + vr;
  *(vec *)power = (ar * ar + ai * ai) * scale;
  *(vec *)(power + 4) = (br * br + bi * bi) * scale;
  *(vec *)(power + 8) = (cr * cr + ci * ci) * scale;
  *(vec *)(power + 12) = (dr * dr + di * di) * scale;
}

/* By fours down to sixteen; depth first, so that small parts stay in the cache. `from` may be `to`. */
static void parts(uint32_t n, const float *fr, const float *fi, float *tr, float *ti, float *power, float scale) {
  if (n == 16) {
    sixteen(fr, fi, power, scale);
    return;
  }
  by_four(n, fr, fi, tr, ti);
  for (uint32_t q = n / 4, part = 0; part < n; part += q) parts(q, tr + part, ti + part, tr + part, ti + part, power + part, scale);
}

/* Power of the spectrum of 2^b samples; which bin is where, `bin_of` knows. */
static void spectrum(int b, const float *re, const float *im, float *power, float scale) {
  uint32_t n = 1u << b;
  if (b == SHORTEST) {
    for (int k = 0; k < 8; k++) {
      float sr = 0, si = 0;
      for (int j = 0; j < 8; j++) {
        static const float wave[10] = {1, 0.70710678119f, 0, -0.70710678119f, -1, -0.70710678119f, 0, 0.70710678119f, 1, 0.70710678119f};
        float c = wave[j * k & 7], s = -wave[(j * k & 7) + 2 & 7]; /* sin x = -cos(x + a quarter) */
        sr += re[j] * c + im[j] * s;
        si += im[j] * c - re[j] * s;
      }
      power[k] = (sr * sr + si * si) * scale;
    }
  } else if (b & 1) {
    by_two(n, re, im, work.xr, work.xi);
    parts(n / 2, work.xr, work.xi, work.xr, work.xi, power, scale);
    parts(n / 2, work.xr + n / 2, work.xi + n / 2, work.xr + n / 2, work.xi + n / 2, power + n / 2, scale);
  } else
    parts(n, re, im, work.xr, work.xi, power, scale);
}

static uint32_t bin_of(int b, uint32_t place) {
  uint32_t n = 1u << b, bin = 0, unit = 1;
  if (b == SHORTEST) return place;
  if (b & 1) bin = place / (n / 2), place %= n / 2, n /= 2, unit = 2;
  for (; n > 16; n /= 4, unit *= 4) bin += place / (n / 4) * unit, place %= n / 4;
  return bin + place * unit;
}

static uint32_t place_of(int b, uint32_t bin) {
  uint32_t n = 1u << b, place = 0;
  if (b == SHORTEST) return bin;
  if (b & 1) place = (bin & 1) * (n / 2), bin >>= 1, n /= 2;
  for (; n > 16; n /= 4, bin >>= 2) place += (bin & 3) * (n / 4);
  return place + bin;
}

/* ---- signals ---------------------------------------------------------------------------------------------------------------------------------------- */

static double size(double x) { return x < 0 ? -x : x; }

/* Whether both may be one tone: on the line of the one, the other lies within two bins and what their drift rates differ by. */
static int alike(const struct signal *a, const struct signal *b) {
  double later = b->time - a->time, wider = rate / (double)(1u << (a->bits < b->bits ? a->bits : b->bits));
  double off = b->frequency + b->drift * b->time - (a->frequency + a->drift * b->time);
  return size(off) <= 2 * wider + size((a->drift - b->drift) * later);
}

static int better(const struct signal *a, const struct signal *b) { return a->score > b->score; }

static void report(struct signal *s) {
  struct signal *list = kept[s->kind], *best = &out.best[s->kind];
  uint32_t *count = &out.count[s->kind], weakest = 0;
  if (better(s, best)) *best = *s;
  if (s->score <= 1) return;
  for (uint32_t k = 0; k < *count; k++) {
    if (alike(&list[k], s)) {
      if (better(s, &list[k])) list[k] = *s;
      return;
    }
    if (list[k].score < list[weakest].score) weakest = k;
  }
  if (*count < KEPT)
    list[(*count)++] = *s;
  else {
    out.over[s->kind]++;
    if (better(s, &list[weakest])) list[weakest] = *s;
  }
}

static void plot(struct signal *s, const float *values, uint32_t count) {
  float high = 1e-6f;
  for (uint32_t k = 0; k < count; k++) high = values[k] > high ? values[k] : high;
  for (uint32_t k = 0; k < count; k++) s->plot[k] = (uint8_t)(values[k] / high * 255.0f + 0.5f);
  s->high = high, s->points = count;
}

/* How far from the middle one of three the top of the parabola through them is, in steps. */
static float between(float before, float top, float after) {
  float bend = 2 * top - before - after, off = bend > 0 ? 0.5f * (after - before) / bend : 0;
  return off < -0.5f ? -0.5f : off > 0.5f ? 0.5f : off;
}

static struct signal made(uint32_t kind, int b, uint32_t place, float power, float score, double spectra) {
  struct signal s = {0};
  uint32_t n = 1u << b, bin = bin_of(b, place);
  s.kind = kind, s.bits = b, s.power = power, s.score = score, s.bin = bin;
  s.frequency = ((double)bin - (bin >= n / 2 ? (double)n : 0)) * rate / n;
  s.drift = at * step, s.drift_step = (uint32_t)at;
  s.time = spectra * n / rate;
  return s;
}

static void find_spike(int b, const float *power, uint32_t j) {
  uint32_t n = 1u << b;
  wide most = load(power);
  UNROLL
  for (uint32_t k = 0; k < n; k += WIDE) most = MAX(load(power + k), most);
  float top = most[0];
  for (int l = 1; l < WIDE; l++) top = most[l] > top ? most[l] : top;
  if (top <= spike && top <= out.best[SPIKE].power) return;
  for (uint32_t k = 0; k < n; k++)
    if (power[k] == top) {
      struct signal s = made(SPIKE, b, k, top, top / spike, j + 0.5);
      s.spectrum = j;
      float beside[PLOT];
      uint32_t count = n < PLOT ? n : PLOT;
      for (uint32_t p = 0; p < count; p++) beside[p] = power[place_of(b, (s.bin + p - count / 2) & (n - 1))];
      plot(&s, beside, count);
      report(&s);
      return;
    }
}

/* ---- power over time: a vector holds as many bins side by side ---------------------------------------------------------------------------------------- */

static inline wide same(float value) {
  wide v;
  for (int l = 0; l < WIDE; l++) v[l] = value;
  return v;
}

static inline int any(wideints mask) {
#ifdef __wasm__
  return __builtin_wasm_any_true_v128((__attribute__((vector_size(16))) signed char)mask);
#else
  int some = 0;
  for (int l = 0; l < WIDE; l++) some |= mask[l];
  return some;
#endif
}

/* Three of equal distance, each above the threshold; the least of them counts. */
static void triplets(int b, uint32_t place, uint32_t spectra, wide mean) {
  wide above = mean * lengths[b].triplet;
  wideints count = {0};
  UNROLL
  for (uint32_t j = 0; j < spectra; j++) count -= (wideints)(work.column[j] > above);
  for (int l = 0; l < WIDE; l++) {
    if (count[l] < 3 || (!place && !l)) continue;
    uint32_t where[CROWD], n = 0;
    float level = above[l], top = 0;
    uint32_t from = 0, apart = 0;
    for (uint32_t j = 0; j < spectra && n < CROWD; j++)
      if (work.column[j][l] > level) where[n++] = j;
    for (uint32_t x = 0; x + 2 < n; x++)
      for (uint32_t y = x + 2; y < n; y++) {
        uint32_t span = where[y] - where[x];
        if (span & 1 || span < 4) continue;
        uint32_t mid = where[x] + span / 2;
        float least = work.column[mid][l];
        if (least <= level) continue;
        least = work.column[where[x]][l] < least ? work.column[where[x]][l] : least;
        least = work.column[where[y]][l] < least ? work.column[where[y]][l] : least;
        if (least > top) top = least, from = where[x], apart = span / 2;
      }
    if (!apart) continue;
    struct signal s = made(TRIPLET, b, place + l, top / mean[l], top / level, from + 0.5);
    s.period = (float)(apart * (double)(1u << b) / rate);
    s.spectrum = from;
    float cells[PLOT] = {0};
    uint32_t count = spectra < PLOT ? spectra : PLOT;
    for (uint32_t j = 0; j < spectra; j++) {
      float *cell = &cells[j / (spectra / count)], value = work.column[j][l] / mean[l];
      *cell = value > *cell ? value : *cell;
    }
    plot(&s, cells, count);
    report(&s);
  }
}

/* A tone that comes and goes as the beam passes: its known shape, at each place of 64, by least squares over a level of its own. */
static void gaussians(int b, uint32_t place, uint32_t spectra) {
  uint32_t each = spectra / POINTS;
  wide point[POINTS], level = same(0), top = same(-1e9f);
  float over = 1.0f / (float)each;
  for (uint32_t p = 0; p < POINTS; p++) {
    wide sum = work.column[p * each];
    for (uint32_t j = 1; j < each; j++) sum += work.column[p * each + j];
    point[p] = sum * over;
    level += point[p];
  }
  level *= tap_sum / POINTS;
  wide fit[POINTS];
  for (int p = EDGE; p < POINTS - EDGE; p++) {
    wide sum = point[p] * taps[0] - level;
    for (int t = 1; t <= EDGE; t++) sum = MADD(point[p - t] + point[p + t], same(taps[t]), sum);
    fit[p] = sum;
    top = MAX(sum, top);
  }
  float unit_score = __builtin_sqrtf((float)each) / tap_norm, wanted = out.best[GAUSSIAN].score < 1 ? out.best[GAUSSIAN].score : 1;
  wide need = same(wanted * lengths[b].gaussian / unit_score);
  if (!any((wideints)(top > need))) return;
  for (int l = 0; l < WIDE; l++) {
    if (!(top[l] > need[l]) || (!place && !l)) continue;
    int p = EDGE;
    while (fit[p][l] != top[l]) p++;
    float height = top[l] / (tap_norm * tap_norm), base = (level[l] / tap_sum) - height * tap_sum / POINTS, chi = 0;
    for (int k = 0; k < POINTS; k++) {
      int off = k < p ? p - k : k - p;
      float model = base + (off <= EDGE ? height * taps[off] : 0);
      model = model < 0.1f ? 0.1f : model;
      float miss = (point[k][l] - model) / model;
      chi += miss * miss;
    }
    chi *= (float)each / (POINTS - 2);
    if (chi > worst) continue;
    struct signal s = made(GAUSSIAN, b, place + l, height, top[l] * unit_score / lengths[b].gaussian, (p + 0.5 + (p > EDGE && p + 1 < POINTS - EDGE ? between(fit[p - 1][l], fit[p][l], fit[p + 1][l]) : 0)) * each);
    s.chi = chi;
    s.extra = base;
    s.spectrum = (uint32_t)p;
    s.beside = taps[1];
    float seen[PLOT];
    for (int k = 0; k < POINTS; k++) seen[k] = point[k][l] > 0 ? point[k][l] : 0;
    plot(&s, seen, POINTS);
    report(&s);
  }
}

static inline uint32_t pulse_rows(uint32_t rows) { /* the power of two that holds them */
  uint32_t n = 4;
  while (n < rows) n *= 2;
  return n;
}

/* Folding by halves, for one `width` that the compiler knows: rows of parts of h, with all shifts up to h - 1, become rows of parts of 2h. Every row is kept
   twice behind itself, so that a shifted one needs no second loop. Gives the greatest of the last step, and where all lie: in `fold[*where]`. */
static inline __attribute__((always_inline)) wide fold(const wide *line, const uint32_t width, uint32_t rows, uint32_t full, uint32_t *where) {
  wide top = same(0);
  uint32_t here = 0;
  for (uint32_t row = 0; row < rows; row += 2) {
    const wide *a = line + row * width, *b = a + width;
    wide *t = work.fold[0] + 2 * row * width;
    int paired = row + 1 < rows;
    _Pragma("clang loop unroll(full)")
    for (uint32_t j = 0; j < width; j++) {
      t[j] = t[j + width] = paired ? a[j] + b[j] : a[j];
      t[j + 2 * width] = t[j + 3 * width] = paired ? a[j] + b[j + 1 < width ? j + 1 : 0] : a[j];
    }
  }
  for (uint32_t h = 2; h < full; h *= 2, here = 1 - here) {
    int last = 2 * h == full;
    for (uint32_t block = 0; block < rows; block += 2 * h) {
      int paired = block + h < rows;
      uint32_t shift = 0;
      for (uint32_t s = 0; s < 2 * h; s++) {
        const wide *a = work.fold[here] + (block + s / 2) * 2 * width, *b = work.fold[here] + (block + h + s / 2) * 2 * width + shift;
        wide *t = work.fold[1 - here] + (block + s) * 2 * width;
        if (!(s & 1) && ++shift == width) shift = 0;
        if (last) {
          _Pragma("clang loop unroll(full)")
          for (uint32_t j = 0; j < width; j++) {
            t[j] = a[j] + b[j];
            top = MAX(t[j], top);
          }
        } else if (paired) {
          _Pragma("clang loop unroll(full)")
          for (uint32_t j = 0; j < width; j++) t[j] = t[j + width] = a[j] + b[j];
        } else {
          _Pragma("clang loop unroll(full)")
          for (uint32_t j = 0; j < width; j++) t[j] = t[j + width] = a[j];
        }
      }
    }
  }
  *where = here;
  return top;
}

static wide folded(const wide *line, uint32_t width, uint32_t rows, uint32_t full, uint32_t *where) {
  switch (width) {
  case 8: return fold(line, 8, rows, full, where);
  case 9: return fold(line, 9, rows, full, where);
  case 10: return fold(line, 10, rows, full, where);
  case 11: return fold(line, 11, rows, full, where);
  case 12: return fold(line, 12, rows, full, where);
  case 13: return fold(line, 13, rows, full, where);
  case 14: return fold(line, 14, rows, full, where);
  default: return fold(line, 15, rows, full, where);
  }
}

/* Folds at all periods: 8 to 16 points each, of spectra one by one, by twos, by fours ...; within such an octave by the fast folding of Staelin (1969). */
static void find_pulses(int b, uint32_t place, uint32_t spectra, wide mean) {
  const float *wanted = pulses[b];
  wide *line = work.column;
  wide over = same(1.0f) / mean;
  for (uint32_t twos = 0, n = spectra; n >= 32; twos++, n /= 2) {
    if (twos) {
      UNROLL
      for (uint32_t j = 0; j < n; j++) work.half[j] = line[2 * j] + line[2 * j + 1];
      line = work.half;
    }
    for (uint32_t width = 8; width < 16 && n / width >= 4; width++) {
      uint32_t rows = n / width, full = pulse_rows(rows), here;
      float need = *wanted++;
      wide top = folded(line, width, rows, full, &here) * over;
      const wide *from = work.fold[here];
      float low = out.best[PULSE].score < 1 ? out.best[PULSE].score : 1;
      if (!any((wideints)(top > same(need * low)))) continue;
      for (int l = 0; l < WIDE; l++) {
        if (!(top[l] > need * low) || (!place && !l)) continue;
        float greatest = 0;
        uint32_t where = 0;
        for (uint32_t row = 0; row < full; row++)
          for (uint32_t j = 0; j < width; j++)
            if (from[row * 2 * width + j][l] > greatest) greatest = from[row * 2 * width + j][l], where = row * width + j;
        double t_spectrum = (double)(1u << b) / rate;
        struct signal s = made(PULSE, b, place + l, top[l] / (float)(rows << twos), top[l] / need, 0);
        s.period = (float)((width + where / width / (double)(full - 1)) * (1u << twos) * t_spectrum);
        s.time = (where % width + 0.5) * (1u << twos) * t_spectrum;
        s.extra = (float)(rows);
        s.spectrum = where % width << twos;
        float period[16];
        uint32_t row = where / width * 2 * width;
        for (uint32_t j = 0; j < width; j++) period[j] = from[row + j][l] / mean[l] / (float)(rows << twos);
        plot(&s, period, width);
        report(&s);
      }
    }
  }
}

static void over_time(int b) {
  uint32_t n = 1u << b, spectra = 1u << (bits - b), stride = n + PAD;
  for (uint32_t place = 0; place < n; place += WIDE) {
    wide sum = same(0);
    UNROLL
    for (uint32_t j = 0; j < spectra; j++) sum += work.column[j] = load(work.power + (size_t)j * stride + place);
    wide mean = sum * (1.0f / (float)spectra);
    if (!place) mean[0] = 1; /* of the bin that is left out */
    if (lengths[b].triplet > 0) triplets(b, place, spectra, mean);
    if (lengths[b].gaussian > 0) gaussians(b, place, spectra);
    if (pulses[b]) find_pulses(b, place, spectra, mean);
  }
}

/* ---- the picture ------------------------------------------------------------------------------------------------------------------------------------ */

#ifdef __wasm__
static struct {
  struct servent_picture head;
  uint8_t data[ROWS * COLUMNS];
} shown;
static int drawn; /* in this slice */

static char *put(char *to, const char *end, const char *text) {
  while (*text && to < end) *to++ = *text++;
  return to;
}

static char *put_number(char *to, const char *end, double value, int places) {
  char digits[24];
  int n = 0;
  double unit = 1;
  for (int k = 0; k < places; k++) unit *= 10;
  if (value < 0) to = put(to, end, "-"), value = -value;
  uint64_t whole = value < 1e9 ? (uint64_t)(value * unit + 0.5) : 0;
  do {
    if (places && n == places) digits[n++] = '.';
    digits[n++] = (char)('0' + whole % 10);
    whole /= 10;
  } while (n < 22 && (whole || n <= places));
  while (n && to < end) *to++ = digits[--n];
  return to;
}

/* The spectra of this length as people may look at them: the strongest of each cell of time and frequency. */
static void draw(int b) {
  uint32_t n = 1u << b, spectra = 1u << (bits - b), stride = n + PAD, rows = spectra < ROWS ? spectra : ROWS, each = spectra / rows;
  float high = spike;
  for (uint32_t place = 0; place < n; place++) work.column_of[place] = (uint8_t)(((bin_of(b, place) + n / 2) & (n - 1)) * COLUMNS / n);
  for (uint32_t row = 0; row < rows; row++) {
    float *top = work.grid + row * COLUMNS;
    for (uint32_t j = row * each; j < (row + 1) * each; j++) {
      const float *power = work.power + (size_t)j * stride;
      for (uint32_t place = 0; place < n; place++) {
        float *cell = top + work.column_of[place];
        *cell = power[place] > *cell ? power[place] : *cell;
      }
    }
    for (int k = 0; k < COLUMNS; k++) high = top[k] > high ? top[k] : high;
  }
  high = high < 2 * spike ? high : 2 * spike; /* what is stronger is shown as that */
  for (uint32_t k = 0; k < rows * COLUMNS; k++) shown.data[k] = (uint8_t)((work.grid[k] < high ? work.grid[k] / high : 1) * 255.0f + 0.5f);
  struct servent_picture *head = &shown.head;
  head->width = COLUMNS, head->height = rows, head->z.high = high;
  char *to = head->words, *end = to + sizeof head->words;
  to = put(put_number(put(to, end, "drift "), end, at * step, 4), end, " Hz/s, spectra of ");
  to = put(put_number(to, end, n, 0), end, " samples, strongest so far ");
  to = put(put_number(to, end, out.best[SPIKE].power, 1), end, " times the noise");
  if (to < end) *to = 0;
  drawn = 1;
}

static void frame(void) { /* what stays the same */
  struct servent_picture *head = &shown.head;
  memcpy(head->magic, SERVENT_HEAT, sizeof head->magic);
  put(head->x.label, head->x.label + 24, "frequency, Hz");
  put(head->y.label, head->y.label + 24, "time, s");
  put(head->z.label, head->z.label + 24, "power; noise is 1");
  head->x.low = (float)(-rate / 2), head->x.high = (float)(rate / 2);
  head->y.low = 0, head->y.high = (float)((double)(1u << bits) / rate), head->z.low = 0;
  head->width = 0;
}

SERVENT_EXPORT(picture) uint64_t picture(void) {
  return shown.head.width ? SERVENT_RESULT(&shown, sizeof shown.head + shown.head.width * shown.head.height) : 0;
}
#endif

/* ---- the unit ---------------------------------------------------------------------------------------------------------------------------------------- */

static double pulse_operations(uint32_t spectra) { /* of one bin */
  double sum = 0;
  for (uint32_t twos = 0, n = spectra; n >= 32; twos++, n /= 2) {
    if (twos) sum += n;
    for (uint32_t width = 8; width < 16 && n / width >= 4; width++) {
      uint32_t rows = n / width, full = pulse_rows(rows);
      for (uint32_t h = 1; h < full; h *= 2)
        for (uint32_t block = 0; block + h < rows; block += 2 * h) sum += (double)(2 * h * width * (2 * h == full ? 2 : 1));
    }
  }
  return sum;
}

static int due(int b, int32_t drift) {
  uint32_t away = (uint32_t)(drift < 0 ? -drift : drift);
  return lengths[b].every && away <= lengths[b].most && away % lengths[b].every == 0;
}

static double cost[LONGEST + 1];

/* Additions, multiplications and comparisons, as `plan.operations` counts them. */
static double cost_of(int b) {
  double samples = (double)(1u << bits), n = (double)(1u << b);
  uint32_t spectra = 1u << (bits - b);
  double each = 5.0 * b + 3 + 1; /* transform, power, spike */
  if (lengths[b].triplet > 0 || lengths[b].gaussian > 0 || pulses[b]) each += 1;
  if (lengths[b].triplet > 0) each += 1;
  double sum = each * samples;
  if (lengths[b].gaussian > 0) sum += samples + n * (POINTS - 2 * EDGE) * (3.0 * EDGE + 3);
  if (pulses[b]) sum += n * pulse_operations(spectra);
  return sum;
}

static double cost_at(int32_t drift) {
  double sum = 0;
  for (int b = SHORTEST; b <= LONGEST; b++)
    if (due(b, drift)) sum += cost[b];
  return sum > 0 ? sum + 24.0 * (double)(1u << bits) : 0; /* and the chirp */
}

void *alloc(uint32_t size) { return size <= sizeof unit ? unit : 0; }

static double number8(const uint8_t *from) {
  union { uint64_t bits; double value; } both = {0};
  for (int k = 0; k < 8; k++) both.bits |= (uint64_t)from[k] << 8 * k;
  return both.value;
}

static uint32_t number4(const uint8_t *from) { return from[0] | from[1] << 8 | from[2] << 16 | (uint32_t)from[3] << 24; }

static float real4(const uint8_t *from) {
  union { uint32_t bits; float value; } both = {number4(from)};
  return both.value;
}

static int good(double value, double least, double most) { return value >= least && value <= most; }

static float thresholds[2048];

int32_t begin(const uint8_t *said, uint32_t size) {
  static const char wanted[16] = "servent listen 1", answer[16] = "listen found 2  ";
  if (size < HEAD) return 1;
  for (int k = 0; k < 16; k++)
    if (said[k] != (uint8_t)wanted[k]) return 1;
  rate = number8(said + 16), step = number8(said + 24);
  first = (int32_t)number4(said + 40), last = (int32_t)number4(said + 44);
  bits = (int)number4(said + 48);
  uint32_t head = number4(said + 52), count = 0;
  if (!good(rate, 1, 1e10) || !good(step, 1e-9, 1e9) || bits < 14 || bits > MOST_BITS) return 2;
  if (head < HEAD || head > HEAD + sizeof thresholds || head % 4 || size != head + (1u << (bits - 2))) return 3;
  if (first > last || first < -(1 << 22) || last > 1 << 22) return 4;
  if (!good((last > -first ? last : -first) * step / rate / rate, 0, 0.25)) return 4; /* the chirp's first angles would not fit */
  spike = real4(said + 56), worst = real4(said + 60);
  if (!good(spike, 1, 1e6) || !good(worst, 0, 1e6)) return 5;
  tap_sum = tap_norm = 0;
  for (int k = 0; k < TAPS; k++) {
    taps[k] = real4(said + 64 + 4 * k);
    if (!good(taps[k], k ? 0 : 0.1, 1)) return 5;
  }
  for (int k = 0; k <= EDGE; k++) tap_sum += taps[k] * (k ? 2 : 1), tap_norm += taps[k] * taps[k] * (k ? 2 : 1);
  tap_norm = __builtin_sqrtf(tap_norm - tap_sum * tap_sum / POINTS);
  for (uint32_t k = 0; k < (head - HEAD) / 4; k++) {
    thresholds[k] = real4(said + HEAD + 4 * k);
    if (!good(thresholds[k], 1, 1e7)) return 5;
  }
  for (int b = SHORTEST; b <= LONGEST; b++) {
    const uint8_t *from = said + 128 + 16 * (b - SHORTEST);
    uint32_t spectra = b < bits ? 1u << (bits - b) : 0;
    lengths[b].every = number4(from), lengths[b].most = number4(from + 4);
    lengths[b].triplet = real4(from + 8), lengths[b].gaussian = real4(from + 12);
    pulses[b] = 0;
    if (!lengths[b].every) continue;
    if (!spectra || !good(lengths[b].triplet, 0, 1e6) || !good(lengths[b].gaussian, 0, 1e6)) return 6;
    if (lengths[b].triplet > 0 && spectra < TRIPLET_SPECTRA) return 6;
    if (lengths[b].gaussian > 0 && spectra < POINTS) return 6;
    if (spectra >= PULSE_SPECTRA && count < (head - HEAD) / 4) {
      pulses[b] = thresholds + count;
      for (uint32_t n = spectra; n >= 32; n /= 2)
        for (uint32_t width = 8; width < 16 && n / width >= 4; width++) count++;
      if (count > (head - HEAD) / 4) return 6;
    }
  }
  if (count != (head - HEAD) / 4) return 6;
  packed = said + head;
  total = 0;
  for (int b = SHORTEST; b <= LONGEST; b++) cost[b] = lengths[b].every ? cost_of(b) : 0;
  for (int32_t k = first; k < last; k++) total += cost_at(k);
  for (int k = 0; k < 16; k++) out.magic[k] = answer[k];
  out.operations = 0, out.samples = (double)(1u << bits), out.rate = rate, out.centre = number8(said + 32);
  if (!good(out.centre, -1e15, 1e15)) return 2;
  out.recording = 0xcbf29ce484222325u; /* FNV-1a, by eight bytes */
  for (uint32_t k = 0; k < (1u << bits) / 4; k += 8) out.recording = (out.recording ^ (number4(packed + k) | (uint64_t)number4(packed + k + 4) << 32)) * 0x100000001b3u;
  for (int k = 0; k < KINDS; k++) {
    out.count[k] = out.over[k] = 0;
    out.best[k] = (struct signal){.kind = (uint32_t)k};
  }
  at = first;
#ifdef __wasm__
  frame();
#endif
  return 0;
}

static int least; /* the shortest length of this slice */

static void listen_at(void) {
  int some = 0;
  for (int b = SHORTEST; b <= LONGEST; b++) {
    if (!due(b, at)) continue;
    if (!some++) chirp(at);
    if (b < least) least = b;
    uint32_t n = 1u << b, spectra = 1u << (bits - b), stride = n + PAD;
    float scale = 0.5f / (float)n;
    for (uint32_t j = 0; j < spectra; j++) {
      float *power = work.power + (size_t)j * stride;
      spectrum(b, work.re + (size_t)j * n, work.im + (size_t)j * n, power, scale);
      power[0] = 0; /* what does not change is the receiver's own */
      find_spike(b, power, j);
    }
#ifdef __wasm__
    if (!drawn && b >= SHOWN_LEAST && b <= SHOWN_MOST) draw(b);
#endif
    if (lengths[b].triplet > 0 || lengths[b].gaussian > 0 || pulses[b]) over_time(b);
  }
}

/* What was used of it, that is. */
static void wipe(void) {
  uint32_t samples = 1u << bits, spectra = samples >> least;
  memset(work.re, 0, 4 * samples);
  memset(work.im, 0, 4 * samples);
  memset(work.power, 0, 4 * (samples + PAD * spectra));
  memset(work.w4r, 0, (char *)work.column - (char *)work.w4r);
  memset(work.column, 0, spectra * sizeof(wide));
  memset(work.half, 0, spectra * sizeof(wide));
  for (int k = 0; k < 2; k++) memset(work.fold[k], 0, 4 * spectra * sizeof(wide)); /* rows, filled up, twice each */
}

int32_t slice(void) {
  double done = 0;
  least = LONGEST;
#ifdef __wasm__
  drawn = 0;
#endif
  make_turns();
  while (at < last && done < SLICE) {
    listen_at();
    done += cost_at(at);
    at++;
  }
  out.operations += done;
  wipe();
  return at < last;
}

SERVENT_EXPORT(fraction) double fraction(void) { return total > 0 ? out.operations / total : 1; }

/* ---- what was found, more finely: between the bins and the drift rates of the search ------------------------------------------------------------------ */

/* How much the spectrum `j` has to do with a signal. */
static float weight(const struct signal *s, uint32_t j) {
  double each = (double)(1u << s->bits) / rate, middle = (j + 0.5) * each, later = middle - s->time;
  if (s->kind == SPIKE) return j == s->spectrum;
  if (s->kind == GAUSSIAN) {
    double points = size(later) * rate / (double)(1u << bits) * POINTS;
    return points < EDGE ? taps[(int)(points + 0.5)] : 0;
  }
  double turns = later / (s->period > 0 ? s->period : 1), whole = __builtin_floor(turns + 0.5);
  if (s->kind == TRIPLET && (whole < -0.5 || whole > 2.5)) return 0;
  return size(turns - whole) * s->period <= (each > s->period / 16 ? each : s->period / 16) * 0.501;
}

/* Four parts more, each turned back by `df + dd * t` Hz; see `refine`. */
static inline void turned_back(uint32_t part, float df, float dd, vec *re, vec *im) {
  vec t = *(vec *)(work.power + part), c4, s4, phase = t * (df + dd * t), a = *(vec *)(work.re + part), b = *(vec *)(work.im + part);
  for (int l = 0; l < 4; l++) phase[l] -= __builtin_floorf(phase[l]);
  turn((words)__builtin_convertvector(phase * 0x1p30f, ints) << 2, &c4, &s4);
  *re += a * c4 + b * s4;
  *im += b * c4 - a * s4;
}

/* How much of a beam is left so many points off its middle. */
static float tap_at(float off) {
  off = off < 0 ? -off : off;
  int whole = off < TAPS ? (int)off : TAPS;
  return whole + 1 < TAPS ? taps[whole] + (taps[whole + 1] - taps[whole]) * (off - (float)whole) : 0;
}

/* When the beam passed: by the power of spectra that follow the tone as it is known now, `df + dd * t` Hz beside it; what is strong is uncertain, too. */
static void when(struct signal *s, uint32_t used, uint32_t many, float df, float dd) {
  const float *times = work.power;
  float *seen = (float *)work.half, point = (float)((double)(1u << bits) / rate / POINTS), scale = 0.5f / (float)(1u << s->bits), missed[17];
  int best = 8;
  for (uint32_t j = 0; j < used; j++) {
    vec re = {0}, im = {0};
    for (uint32_t part = j * many; part < (j + 1) * many; part += 4) turned_back(part, df, dd, &re, &im);
    float x = re[0] + re[1] + re[2] + re[3], y = im[0] + im[1] + im[2] + im[3];
    seen[j] = (x * x + y * y) * scale;
  }
  for (int k = 0; k < 17; k++) {
    missed[k] = 0;
    for (uint32_t j = 0; j < used; j++) {
      float off = times[j * many + many / 2] / point, rough = tap_at(off) * s->power, miss = seen[j] - s->extra - tap_at(off - (float)(k - 8) * 0.25f) * s->power;
      missed[k] += miss * miss / (1 + 2 * rough);
    }
    if (missed[k] < missed[best]) best = k;
  }
  double off = best - 8;
  if (best > 0 && best < 16) off += between(-missed[best - 1], -missed[best], -missed[best + 1]);
  s->time += off * 0.25 * point;
}

/* The samples of each spectrum that has to do with it, turned back by it and summed up in parts; then the frequency and the drift beside its own at which these
   parts add up to the most power. Scratch is free by then. */
static void refine(struct signal *s) {
  uint32_t n = 1u << s->bits, spectra = 1u << (bits - s->bits), many = s->kind == SPIKE ? 64 : 8, used = 0;
  if (s->bits < 6 || s->score <= 0) return;
  if (many > n / 4) many = n / 4;
  uint32_t each = n / many, begin = spectra, end = 0;
  uint64_t c1 = (uint64_t)(int64_t)__builtin_rint(s->frequency / rate * 0x1p64), c2 = (uint64_t)(int64_t)__builtin_rint(s->drift / (2 * rate * rate) * 0x1p64);
  words i_bits = {1, 4, 16, 64}, q_bits = i_bits * 2;
  float *weights = (float *)work.column, *times = work.power;
  for (uint32_t j = 0; j < spectra; j++) {
    float w = weight(s, j);
    if (!(w > 0)) continue;
    begin = j < begin ? j : begin, end = j + 1;
    for (uint32_t part = 0; part < many; part++) {
      vec re = {0}, im = {0};
      uint32_t from = j * n + part * each;
      for (uint32_t k = from; k < from + each; k += 4) {
        longs m = {k, k + 1, k + 2, k + 3}, angle = m * c1 + m * m * c2;
        vec c4, s4;
        words byte = all(packed[k / 4]);
        turn(__builtin_convertvector(angle >> 32, words), &c4, &s4);
        words i = (words)((byte & i_bits) == 0) << 31, q = (words)((byte & q_bits) == 0) << 31;
        re += (vec)((words)c4 ^ i) + (vec)((words)s4 ^ q);
        im += (vec)((words)c4 ^ q) - (vec)((words)s4 ^ i);
      }
      work.re[used * many + part] = re[0] + re[1] + re[2] + re[3];
      work.im[used * many + part] = im[0] + im[1] + im[2] + im[3];
      times[used * many + part] = (float)((from + 0.5 * each) / rate - s->time);
    }
    weights[used++] = w;
  }
  if (!used) return;
  double span = (end - begin) * (double)n / rate, bin = rate / n, fine = bin / 4, slow = bin / span / 3;
  double widest = (lengths[s->bits].most + 1) * step / 6; /* who looks for a moment sees no drift: it is moved by what the search reaches, and a step, at most */
  slow = slow < widest ? slow : widest;
  float power[13][9], top = -1;
  int best_d = 6, best_f = 4;
  for (int d = 0; d < 13; d++)
    for (int f = 0; f < 9; f++) {
      float sum = 0, df = (float)((f - 4) * fine), dd = (float)((d - 6) * slow / 2);
      for (uint32_t j = 0; j < used; j++) {
        vec re = {0}, im = {0};
        for (uint32_t part = j * many; part < (j + 1) * many; part += 4) turned_back(part, df, dd, &re, &im);
        float x = re[0] + re[1] + re[2] + re[3], y = im[0] + im[1] + im[2] + im[3];
        sum += weights[j] * (x * x + y * y);
      }
      power[d][f] = sum;
      if (sum > top) top = sum, best_d = d, best_f = f;
    }
  double df = best_f - 4, dd = best_d - 6;
  if (best_f > 0 && best_f < 8) df += between(power[best_d][best_f - 1], top, power[best_d][best_f + 1]);
  if (best_d > 0 && best_d < 12) dd += between(power[best_d - 1][best_f], top, power[best_d + 1][best_f]);
  s->frequency += df * fine - dd * slow * s->time;
  s->drift += dd * slow;
  if (s->kind == GAUSSIAN && used >= POINTS / 8) when(s, used, many, (float)(df * fine), (float)(dd * slow / 2));
}

uint64_t result(void) {
  uint32_t n = 0;
  for (int kind = 0; kind < KINDS; kind++) {
    refine(&out.best[kind]);
    for (uint32_t k = 0; k < out.count[kind]; k++) refine(&kept[kind][k]);
  }
  for (int kind = 0; kind < KINDS; kind++)
    for (uint32_t k = 0; k < out.count[kind]; k++) out.found[n++] = kept[kind][k];
  return SERVENT_RESULT(&out, sizeof out - sizeof out.found + n * sizeof(struct signal));
}

#ifdef __wasm__
#pragma clang attribute pop
#endif
