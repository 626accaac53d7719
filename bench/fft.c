/* A Fourier transform of 2^n complex numbers in single precision: Stockham, radix 4, real and imaginary parts in arrays of their own. The same source is
   compiled to WebAssembly and natively; loops are left to the compiler to make vectors of. ABI "slice": input is n and rounds, one byte each; a slice
   is `rounds` transforms of the same numbers; the result is the last spectrum, real parts first. */

#include "servent.h"

#define MOST (1 << 20)

static uint8_t input[16];
static int n, rounds;
static float xr[MOST], xi[MOST], wr[MOST], wi[MOST], ar[2][MOST], ai[2][MOST];
float spectrum[2 * MOST];

void *alloc(uint32_t size) { return size <= sizeof input ? input : 0; }

/* cos and sin of 2 pi k / size, by their series in the first octant. */
static void turn(uint32_t k, uint32_t size, float *c, float *s) {
  uint32_t eighth = size / 8, octant = k / eighth, rest = k % eighth;
  double x = 6.283185307179586476925 * (octant & 1 ? eighth - rest : rest) / size, y = x * x;
  double cosine = 1 - y / 2 * (1 - y / 12 * (1 - y / 30 * (1 - y / 56 * (1 - y / 90 * (1 - y / 132 * (1 - y / 182))))));
  double sine = x * (1 - y / 6 * (1 - y / 20 * (1 - y / 42 * (1 - y / 72 * (1 - y / 110 * (1 - y / 156 * (1 - y / 210)))))));
  double a = octant + 1 & 2 ? sine : cosine, b = octant + 1 & 2 ? cosine : sine;
  *c = octant >= 2 && octant < 6 ? -a : a;
  *s = octant >= 4 ? -b : b;
}

int32_t begin(const uint8_t *said, uint32_t size) {
  if (size != 2 || said[0] < 4 || said[0] > 20) return 1;
  n = said[0];
  rounds = said[1];
  uint32_t state = 1;
  for (uint32_t k = 0; k < 1u << n; k++) {
    turn(k, 1u << n, &wr[k], &wi[k]);
    wi[k] = -wi[k];
    state = state * 1664525u + 1013904223u;
    xr[k] = (int32_t)state * 0x1p-31f;
    state = state * 1664525u + 1013904223u;
    xi[k] = (int32_t)state * 0x1p-31f;
  }
  return 0;
}

/* One step for four parts of the numbers: `m` turns, each of `s` numbers that lie side by side. */
static void four(int m, int s, const float *restrict pr, const float *restrict pi, float *restrict qr, float *restrict qi) {
  int step = s, quarter = m * s;
  for (int p = 0; p < m; p++) {
    float w1r = wr[p * step], w1i = wi[p * step], w2r = wr[2 * p * step], w2i = wi[2 * p * step];
    float w3r = wr[3 * p * step], w3i = wi[3 * p * step];
    const float *restrict r = pr + p * s, *restrict i = pi + p * s;
    float *restrict to = qr + 4 * p * s, *restrict ti = qi + 4 * p * s;
    for (int q = 0; q < s; q++) {
      float a = r[q] + r[q + 2 * quarter], b = i[q] + i[q + 2 * quarter];
      float c = r[q] - r[q + 2 * quarter], d = i[q] - i[q + 2 * quarter];
      float e = r[q + quarter] + r[q + 3 * quarter], f = i[q + quarter] + i[q + 3 * quarter];
      float g = r[q + quarter] - r[q + 3 * quarter], h = i[q + quarter] - i[q + 3 * quarter];
      to[q] = a + e;
      ti[q] = b + f;
      float ur = c + h, ui = d - g, vr = a - e, vi = b - f, zr = c - h, zi = d + g;
      to[q + s] = ur * w1r - ui * w1i;
      ti[q + s] = ur * w1i + ui * w1r;
      to[q + 2 * s] = vr * w2r - vi * w2i;
      ti[q + 2 * s] = vr * w2i + vi * w2r;
      to[q + 3 * s] = zr * w3r - zi * w3i;
      ti[q + 3 * s] = zr * w3i + zi * w3r;
    }
  }
}

/* The first step, where the numbers of a turn do not lie side by side, but the turns do. */
static void first(int m, const float *restrict r, const float *restrict i, float *restrict to, float *restrict ti) {
  for (int p = 0; p < m; p++) {
    float a = r[p] + r[p + 2 * m], b = i[p] + i[p + 2 * m], c = r[p] - r[p + 2 * m], d = i[p] - i[p + 2 * m];
    float e = r[p + m] + r[p + 3 * m], f = i[p + m] + i[p + 3 * m], g = r[p + m] - r[p + 3 * m], h = i[p + m] - i[p + 3 * m];
    float ur = c + h, ui = d - g, vr = a - e, vi = b - f, zr = c - h, zi = d + g;
    to[4 * p] = a + e;
    ti[4 * p] = b + f;
    to[4 * p + 1] = ur * wr[p] - ui * wi[p];
    ti[4 * p + 1] = ur * wi[p] + ui * wr[p];
    to[4 * p + 2] = vr * wr[2 * p] - vi * wi[2 * p];
    ti[4 * p + 2] = vr * wi[2 * p] + vi * wr[2 * p];
    to[4 * p + 3] = zr * wr[3 * p] - zi * wi[3 * p];
    ti[4 * p + 3] = zr * wi[3 * p] + zi * wr[3 * p];
  }
}

static void two(int s, const float *restrict r, const float *restrict i, float *restrict to, float *restrict ti) {
  for (int q = 0; q < s; q++) {
    to[q] = r[q] + r[q + s];
    ti[q] = i[q] + i[q + s];
    to[q + s] = r[q] - r[q + s];
    ti[q + s] = i[q] - i[q + s];
  }
}

static int transform(void) {
  int m = 1 << (n - 2), s = 4, here = 0;
  first(m, xr, xi, ar[0], ai[0]);
  for (m >>= 2; m >= 1; m >>= 2, s <<= 2) {
    four(m, s, ar[here], ai[here], ar[1 - here], ai[1 - here]);
    here = 1 - here;
  }
  if (n & 1) {
    two(s, ar[here], ai[here], ar[1 - here], ai[1 - here]);
    here = 1 - here;
  }
  return here;
}

int32_t slice(void) {
  int here = 0;
  for (int round = 0; round < rounds; round++) here = transform();
  for (int k = 0; k < 1 << n; k++) {
    spectrum[k] = ar[here][k];
    spectrum[k + (1 << n)] = ai[here][k];
  }
  return 0;
}

uint64_t result(void) { return SERVENT_RESULT(spectrum, 8u << n); }
