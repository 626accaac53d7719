/* Trial factoring of Mersenne numbers, as GIMPS does it before anything else: does 2^p - 1 have a factor q = 2kp + 1?
   ABI "slice". Input, as text: "p first last", the exponent and the range of k. Result: a line "p k q" for each factor found, in order.

   build:  servent grid build examples/grid/mersenne.c --abi slice
   try:    echo "67 1 2000000" | servent grid try mersenne.wasm --abi slice          (2^67 - 1 = 193707721 * ..., Cole 1903)

   Needs no C library. Operations of a unit: about 5 * log2(p) for each k. */

#include "servent.h"

#define PER_SLICE 200000 /* values of k: about a tenth of a second */
#define MOST 65536       /* bytes of result */

static uint8_t input[256];
static char found[MOST];
static uint32_t used;
static uint64_t p, k, first, last;

void *alloc(uint32_t size) { return size <= sizeof input ? input : 0; }

static const uint8_t *number(const uint8_t *at, const uint8_t *end, uint64_t *into) {
  uint64_t value = 0;
  while (at < end && (*at < '0' || *at > '9')) at++;
  if (at == end) return 0;
  while (at < end && *at >= '0' && *at <= '9') value = value * 10 + (*at++ - '0');
  *into = value;
  return at;
}

int32_t begin(const uint8_t *said, uint32_t size) {
  const uint8_t *at = said, *end = said + size;
  if (!(at = number(at, end, &p)) || !(at = number(at, end, &first)) || !number(at, end, &last)) return 1;
  if (p < 3 || first < 1 || last < first) return 2;
  if (last > ((UINT64_C(1) << 62) - 1) / (2 * p)) return 3; /* q must fit */
  k = first;
  return 0;
}

/* x * y mod q, for q below 2^62, without a 128-bit division: by halves of Montgomery's method. */
static uint64_t inverse(uint64_t q) {
  uint64_t n = q;
  for (int i = 0; i < 5; i++) n *= 2 - q * n;
  return -n;
}

static uint64_t high(uint64_t a, uint64_t b) {
  uint64_t al = (uint32_t)a, ah = a >> 32, bl = (uint32_t)b, bh = b >> 32;
  uint64_t low = al * bl, m1 = ah * bl + (low >> 32), m2 = al * bh + (uint32_t)m1;
  return ah * bh + (m1 >> 32) + (m2 >> 32);
}

static uint64_t times(uint64_t a, uint64_t b, uint64_t q, uint64_t n) {
  uint64_t low = a * b, m = low * n, t = high(a, b) + high(m, q) + (low != 0);
  return t >= q ? t - q : t;
}

static int divides(uint64_t q) {
  uint64_t n = inverse(q), one = (UINT64_MAX % q) + 1, x;
  int bit = 63;
  if (one == q) one = 0;
  while (!(p >> bit & 1)) bit--;
  x = one;
  for (; bit >= 0; bit--) {
    x = times(x, x, q, n);
    if (p >> bit & 1) {
      x += x;
      if (x >= q) x -= q;
    }
  }
  return x == one;
}

static void say(uint64_t value, char after) {
  char digits[20];
  int count = 0;
  do digits[count++] = '0' + value % 10;
  while (value /= 10);
  if (used + count + 1 > MOST) return;
  while (count) found[used++] = digits[--count];
  found[used++] = after;
}

int32_t slice(void) {
  for (uint32_t i = 0; i < PER_SLICE && k <= last; i++, k++) {
    uint64_t q = 2 * k * p + 1;
    if ((q & 7) != 1 && (q & 7) != 7) continue; /* every factor is 1 or 7 mod 8 */
    if (q % 3 == 0 || q % 5 == 0 || q % 7 == 0) {
      if (q != 3 && q != 5 && q != 7) continue;
    }
    if (divides(q)) {
      say(p, ' ');
      say(k, ' ');
      say(q, '\n');
    }
  }
  return k <= last;
}

SERVENT_EXPORT(fraction) double fraction(void) { return (double)(k - first) / (double)(last - first + 1); }

uint64_t result(void) { return SERVENT_RESULT(found, used); }
