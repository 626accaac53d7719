/* Molecular dynamics: atoms of a simple liquid (Lennard-Jones) in a periodic box, by velocity Verlet. ABI "slice", made for generations: the result of
   one unit is the input of the next, and many short generations give the same bits as one long run.

   build:  servent grid build examples/grid/molecules.c --abi slice
   try:    echo "atoms 256 steps 5000 every 500" | servent grid try molecules.wasm > melted
   use:    servent grid app add molecules.wasm --abi slice --operations 20G --memory 16MB --output 8MB
           echo "atoms 864 steps 100000 every 1000 seed 7" | servent grid submit molecules --lines - --generations 50 --to trajectory/

   Units are reduced: length in sigma, energy in epsilon, mass in m of an atom. The potential is cut off at `cutoff` and shifted so that energy and force
   end there at 0 without a step, else energy could not be kept:  U(r) = u(r) - u(rc) - (r - rc) u'(rc),  u(r) = 4 (r^-12 - r^-6).

   The first input is text, names and numbers in any order, in lower case; what is missing is as it stands here:
       atoms 256  density 0.8442  temperature 1.44  cutoff 2.5  dt 0.004  steps 10000  every 100  seed 1
   A crystal is made of it, with random velocities; about half of the temperature goes into melting it. (It is face-centred where that leaves fewer places
   empty than a simple cubic one: none with 108, 256, 500 or 864 atoms.) `steps` is for each generation.

   Every result, and every later input, little-endian:
        0  "servent molecules 1\n"                         20 bytes
       20  atoms                                            u32, 4 to 16,384
       24  steps done since the first generation began      u64
       32  steps of a generation                            u32
       36  steps between two frames                         u32; a frame is taken where the steps done are a multiple of it
       40  side of the box, cutoff, time step               3 f64
       64  frames                                           u32
       68  0                                                u32
       72  energy when the first generation began           f64
       80  positions: x, y, z of each atom, 0 <= x < side   f64
           velocities: the same                             f64
           frames, the oldest first, each: potential energy, kinetic energy (f64), x, y, z of each atom as u16, in 65536ths of the side
   An input's frames are not looked at. A result has those of its own generation.

   Same bits everywhere: only + - * / and square roots, which IEEE 754 rounds in one way, in one order. The order in which forces are added up depends on
   nothing but the positions (pairs by the numbers of their atoms), never on when the list of neighbours was made. So neither does the result.

   Energy is kept within 0.002 an atom over 100,000 steps of 0.004, from the crystal through melting (108 atoms: at most 0.0006 off, no drift above 0.0002); there
   is no thermostat. Where atoms fly apart, the unit ends with code -1; 1 to 5: what is wrong with the input, see below.

   While it computes it shows where its atoms are, coloured by their speed: on the page under Grid, Lend.

   Needs no C library. Operations: about 40 for each pair within the cutoff, 27 pairs an atom at density 0.8442: 1.1 kFLOP for each atom and step. */

#include "servent.h"

#define MOST 16384             /* atoms */
#define NEIGHBOURS (MOST * 96) /* pairs in the list; a dense liquid has 43 an atom */
#define CELLS 20               /* of a side, at most */
#define SKIN 0.4               /* how much farther than the cutoff the list reaches */
#define PAIRS_PER_SLICE 20e6   /* about a tenth of a second */
#define SHOWN 9330             /* atoms of a picture; of more every second, or third */
#define ROOM (8u << 20)        /* bytes of an input, and of a result */
#define HEAD 80

/* begin */
enum { TEXT = 1, SIZE = 2, RANGE = 3, TOO_MUCH = 4, OUTSIDE = 5 };
/* slice */
enum { FLEW_APART = -1, TOO_DENSE = -2 };

static const char magic[20] = "servent molecules 1\n";
static uint8_t room[ROOM]; /* the input, then the result */
static double x[3 * MOST], v[3 * MOST], f[3 * MOST], built[3 * MOST];
static uint16_t list[NEIGHBOURS];
static uint32_t from[MOST + 1]; /* in `list` */
static uint32_t atoms, steps, every, left, frames, used;
static uint64_t step;
static double box, cutoff, dt, began, potential, kinetic;
static int32_t trouble;

static double root(double a) { return __builtin_sqrt(a); }
static int finite(double a) { return a - a == 0; }

/* -- bytes */

static void put(uint8_t *at, uint64_t value, int size) {
  for (int i = 0; i < size; i++) at[i] = (uint8_t)(value >> 8 * i);
}

static uint64_t get(const uint8_t *at, int size) {
  uint64_t value = 0;
  for (int i = 0; i < size; i++) value |= (uint64_t)at[i] << 8 * i;
  return value;
}

static void put_real(uint8_t *at, double value) {
  union { double real; uint64_t bits; } both = {value};
  put(at, both.bits, 8);
}

static double get_real(const uint8_t *at) {
  union { uint64_t bits; double real; } both = {get(at, 8)};
  return both.real;
}

/* -- forces */

/* The shortest way from one atom to another, in one direction. */
static inline double nearest(double d, double half) {
  double less = d > half ? box : 0, more = d < -half ? box : 0;
  return d - less + more;
}

typedef double two __attribute__((vector_size(16)));
typedef int64_t flags __attribute__((vector_size(16)));

static inline two only(flags where, two value) { return (two)((flags)value & where); }

static inline two near2(two d) {
  two all = {box, box};
  return d - only((flags)(d > all * 0.5), all) + only((flags)(d < all * -0.5), all);
}

static inline double distance2(uint32_t i, uint32_t j, const double *at) {
  double half = box * 0.5;
  double a = nearest(at[3 * i] - at[3 * j], half), b = nearest(at[3 * i + 1] - at[3 * j + 1], half),
         c = nearest(at[3 * i + 2] - at[3 * j + 2], half);
  return a * a + b * b + c * c;
}

static int add(uint32_t i, uint32_t j, double reach2) {
  if (j <= i || distance2(i, j, x) >= reach2) return 1;
  if (from[i + 1] == NEIGHBOURS) return 0;
  uint32_t at = from[i + 1]++; /* in the order of their numbers */
  for (; at > from[i] && list[at - 1] > j; at--) list[at] = list[at - 1];
  list[at] = (uint16_t)j;
  return 1;
}

/* For each atom those with a higher number that may come within the cutoff, while no atom moves by more than half of the skin. */
static int neighbours(void) {
  static uint16_t order[MOST], cell_of[MOST];
  static uint32_t first[CELLS * CELLS * CELLS + 1];
  double reach = cutoff + SKIN, reach2 = reach * reach;
  int32_t side = box / reach >= CELLS ? CELLS : (int32_t)(box / reach);
  for (uint32_t i = 0; i < 3 * atoms; i++) built[i] = x[i];
  if (side < 3) { /* each cell would be its own neighbour's neighbour */
    for (uint32_t i = 0; i < atoms; i++) {
      from[i + 1] = from[i];
      for (uint32_t j = i + 1; j < atoms; j++)
        if (!add(i, j, reach2)) return 0;
    }
    return 1;
  }
  uint32_t cells = (uint32_t)(side * side * side);
  for (uint32_t c = 0; c <= cells; c++) first[c] = 0;
  for (uint32_t i = 0; i < atoms; i++) {
    int32_t at[3];
    for (int k = 0; k < 3; k++) {
      at[k] = (int32_t)(x[3 * i + k] / box * side);
      if (at[k] >= side) at[k] = side - 1;
    }
    cell_of[i] = (uint16_t)((at[2] * side + at[1]) * side + at[0]);
    first[cell_of[i] + 1]++;
  }
  for (uint32_t c = 0; c < cells; c++) first[c + 1] += first[c];
  for (uint32_t i = atoms; i-- > 0;) order[--first[cell_of[i] + 1]] = (uint16_t)i; /* now cell c begins at first[c + 1] */
  for (uint32_t i = 0; i < atoms; i++) {
    int32_t c = cell_of[i], cx = c % side, cy = c / side % side, cz = c / (side * side);
    from[i + 1] = from[i];
    for (int32_t n = 0; n < 27; n++) {
      int32_t nx = (cx + n % 3 - 1 + side) % side, ny = (cy + n / 3 % 3 - 1 + side) % side, nz = (cz + n / 9 - 1 + side) % side;
      uint32_t other = (uint32_t)((nz * side + ny) * side + nx), end = other + 1 < cells ? first[other + 2] : atoms;
      for (uint32_t at = first[other + 1]; at < end; at++)
        if (!add(i, order[at], reach2)) return 0;
    }
  }
  return 1;
}

static int moved(void) {
  double most = 0, half = box * 0.5;
  for (uint32_t i = 0; i < atoms; i++) {
    double a = nearest(x[3 * i] - built[3 * i], half), b = nearest(x[3 * i + 1] - built[3 * i + 1], half),
           c = nearest(x[3 * i + 2] - built[3 * i + 2], half), r2 = a * a + b * b + c * c;
    most = r2 > most ? r2 : most;
  }
  return most > SKIN * SKIN / 4;
}

static void forces(void) {
  double rc2 = cutoff * cutoff, i2 = 1 / rc2, i6 = i2 * i2 * i2, sum = 0;
  double at_cut = 4 * (i6 * i6 - i6), slope = -24 * (2 * i6 * i6 - i6) / cutoff;
  for (uint32_t i = 0; i < 3 * atoms; i++) f[i] = 0;
  for (uint32_t i = 0; i < atoms; i++) {
    double xi = x[3 * i], yi = x[3 * i + 1], zi = x[3 * i + 2], fx = 0, fy = 0, fz = 0;
    uint32_t end = from[i + 1];
    for (uint32_t at = from[i]; at < end; at += 2) { /* two at once; what is beyond the cutoff adds 0, which changes no bit of a sum */
      uint32_t j = list[at], k = at + 1 < end ? list[at + 1] : j;
      two a = near2(xi - (two){x[3 * j], x[3 * k]}), b = near2(yi - (two){x[3 * j + 1], x[3 * k + 1]}),
          c = near2(zi - (two){x[3 * j + 2], x[3 * k + 2]});
      two r2 = a * a + b * b + c * c;
      flags within = (flags)(r2 < rc2) & (flags){-1, at + 1 < end ? -1 : 0};
      if (!(within[0] | within[1])) continue;
      two s = 1 / __builtin_elementwise_sqrt(r2), s2 = s * s, s6 = s2 * s2 * s2, s12 = s6 * s6;
      two u = only(within, 4 * (s12 - s6) - at_cut - (r2 * s - cutoff) * slope);
      two pull = only(within, 24 * (2 * s12 - s6) * s2 + slope * s);
      a *= pull, b *= pull, c *= pull;
      sum += u[0], sum += u[1];
      fx += a[0], fx += a[1], fy += b[0], fy += b[1], fz += c[0], fz += c[1];
      f[3 * j] -= a[0], f[3 * j + 1] -= b[0], f[3 * j + 2] -= c[0];
      f[3 * k] -= a[1], f[3 * k + 1] -= b[1], f[3 * k + 2] -= c[1];
    }
    f[3 * i] += fx, f[3 * i + 1] += fy, f[3 * i + 2] += fz;
  }
  potential = sum;
}

static void motion(void) {
  double sum = 0;
  for (uint32_t i = 0; i < 3 * atoms; i++) sum += v[i] * v[i];
  kinetic = 0.5 * sum;
}

/* -- the first state */

static uint64_t dice;

static double roll(void) { /* from 0 to 1: xorshift64*, Vigna 2016 */
  dice ^= dice >> 12, dice ^= dice << 25, dice ^= dice >> 27;
  return (double)(dice * UINT64_C(2685821657736338717) >> 11) / 9007199254740992.0;
}

struct wish { const char *name; double value; };

static int read_text(const uint8_t *at, uint32_t size, struct wish *wishes, int count) {
  const uint8_t *end = at + size;
  for (;;) {
    while (at < end && (*at == ' ' || *at == '\t' || *at == '\n' || *at == '\r')) at++;
    if (at == end) return 1;
    struct wish *wish = 0;
    for (int i = 0; i < count && !wish; i++) {
      uint32_t n = 0;
      while (wishes[i].name[n] && at + n < end && at[n] == (uint8_t)wishes[i].name[n]) n++;
      if (!wishes[i].name[n] && at + n < end && at[n] == ' ') wish = &wishes[i], at += n;
    }
    if (!wish) return 0;
    while (at < end && *at == ' ') at++;
    double value = 0, part = 1;
    int digits = 0;
    for (; at < end && *at >= '0' && *at <= '9'; at++, digits++) value = value * 10 + (*at - '0');
    if (at < end && *at == '.')
      for (at++; at < end && *at >= '0' && *at <= '9'; at++, digits++) value = value * 10 + (*at - '0'), part *= 10;
    if (!digits || digits > 15 || (at < end && *at > ' ')) return 0;
    wish->value = value / part;
  }
}

static int whole(double value, double least, double most) { return value >= least && value <= most && value == (double)(uint64_t)value; }

static int make(const uint8_t *said, uint32_t size) {
  struct wish w[] = {{"atoms", 256}, {"density", 0.8442}, {"temperature", 1.44}, {"cutoff", 2.5},
                     {"dt", 0.004},  {"steps", 10000},    {"every", 100},        {"seed", 1}};
  if (!read_text(said, size, w, 8)) return TEXT;
  if (!whole(w[0].value, 4, MOST) || !(w[1].value >= 1e-6 && w[1].value <= 2) || w[2].value > 1000) return RANGE;
  if (!whole(w[5].value, 1, 4e9) || !whole(w[6].value, 1, 4e9) || !whole(w[7].value, 0, 1e15)) return RANGE;
  atoms = (uint32_t)w[0].value, steps = (uint32_t)w[5].value, every = (uint32_t)w[6].value;
  cutoff = w[3].value, dt = w[4].value, step = 0;
  double volume = atoms / w[1].value, low = 0, high = 1e6;
  for (int i = 0; i < 200; i++) { /* cube root by halving */
    box = (low + high) / 2;
    if (box * box * box < volume) low = box;
    else high = box;
  }
  uint32_t fcc = 1, cubic = 1;
  while (4 * fcc * fcc * fcc < atoms) fcc++;
  while (cubic * cubic * cubic < atoms) cubic++;
  uint32_t plain = cubic * cubic * cubic < 4 * fcc * fcc * fcc, side = plain ? cubic : fcc, each = plain ? 1 : 4;
  uint32_t sites = each * side * side * side;
  static const double corner[4][3] = {{0.25, 0.25, 0.25}, {0.75, 0.75, 0.25}, {0.75, 0.25, 0.75}, {0.25, 0.75, 0.75}};
  for (uint32_t i = 0; i < atoms; i++) {
    uint32_t site = (uint32_t)((uint64_t)i * sites / atoms); /* what is empty is spread */
    uint32_t cell = site / each, place[3] = {cell % side, cell / side % side, cell / (side * side)};
    for (int k = 0; k < 3; k++) x[3 * i + k] = (place[k] + corner[site % each][k]) * (box / side);
  }
  dice = (uint64_t)w[7].value * UINT64_C(0x9E3779B97F4A7C15) + 1;
  if (!dice) dice = 1;
  double mean[3] = {0, 0, 0};
  for (uint32_t i = 0; i < 3 * atoms; i++) {
    v[i] = -6; /* about normal: the sum of twelve, Irwin and Hall */
    for (int k = 0; k < 12; k++) v[i] += roll();
    mean[i % 3] += v[i] / atoms;
  }
  for (uint32_t i = 0; i < 3 * atoms; i++) v[i] -= mean[i % 3];
  motion();
  double scale = root(w[2].value * 1.5 * (atoms - 1) / kinetic); /* kinetic energy 3/2 T for each atom but one: the centre stands still */
  for (uint32_t i = 0; i < 3 * atoms; i++) v[i] *= scale;
  return 0;
}

/* -- what the host calls */

void *alloc(uint32_t size) { return size && size <= ROOM ? room : 0; }

static int again(const uint8_t *said, uint32_t size) {
  if (size < HEAD) return SIZE;
  uint64_t n = get(said + 20, 4), count = get(said + 64, 4);
  if (n < 4 || n > MOST || size != HEAD + 48 * n + count * (16 + 6 * n)) return SIZE;
  atoms = (uint32_t)n, step = get(said + 24, 8), steps = (uint32_t)get(said + 32, 4), every = (uint32_t)get(said + 36, 4);
  box = get_real(said + 40), cutoff = get_real(said + 48), dt = get_real(said + 56), began = get_real(said + 72);
  if (!steps || !every || step > UINT64_C(1) << 62) return RANGE;
  for (uint32_t i = 0; i < 3 * atoms; i++) {
    x[i] = get_real(said + HEAD + 8 * i);
    v[i] = get_real(said + HEAD + 24 * atoms + 8 * i);
    if (!(x[i] >= 0 && x[i] < box) || !finite(v[i])) return OUTSIDE;
  }
  return 0;
}

int32_t begin(const uint8_t *said, uint32_t size) {
  int first = size < 20, wrong;
  for (int i = 0; i < 20 && !first; i++) first = said[i] != (uint8_t)magic[i];
  if ((wrong = first ? make(said, size) : again(said, size))) return wrong;
  if (!(box <= 1e6 && cutoff >= 1 && 2 * cutoff <= box && dt > 0 && dt <= 0.1) || (!first && !finite(began))) return RANGE;
  uint64_t pictures = (step + steps) / every - step / every;
  if (HEAD + 48 * (uint64_t)atoms + pictures * (16 + 6 * (uint64_t)atoms) > ROOM) return TOO_MUCH;
  for (uint32_t i = 0; i < size; i++) room[i] = 0; /* so that it is not in every snapshot */
  used = HEAD + 48 * atoms, frames = 0, left = steps;
  if (!neighbours()) return TOO_MUCH;
  forces();
  motion();
  if (first) began = potential + kinetic;
  return finite(potential) ? 0 : OUTSIDE;
}

static void frame(void) {
  uint8_t *at = room + used;
  motion();
  put_real(at, potential), put_real(at + 8, kinetic);
  for (uint32_t i = 0; i < 3 * atoms; i++) put(at + 16 + 2 * i, (uint64_t)(x[i] / box * 65536) & 65535, 2);
  used += 16 + 6 * atoms, frames++;
}

static int32_t one(void) {
  double half = 0.5 * dt;
  for (uint32_t i = 0; i < 3 * atoms; i++) {
    v[i] += half * f[i];
    double to = x[i] + dt * v[i];
    to += to < 0 ? box : 0;
    to -= to >= box ? box : 0; /* also where it was a hair below 0, and is `box` now */
    if (!(to >= 0 && to < box)) return FLEW_APART;
    x[i] = to;
  }
  if (moved() && !neighbours()) return TOO_DENSE;
  forces();
  for (uint32_t i = 0; i < 3 * atoms; i++) v[i] += half * f[i];
  return finite(potential) ? 0 : FLEW_APART;
}

int32_t slice(void) {
  uint32_t some = (uint32_t)(PAIRS_PER_SLICE / (43.0 * atoms)) + 1;
  for (; some && left; some--) {
    if ((trouble = one())) return trouble;
    step++, left--;
    if (step % every == 0) frame();
  }
  if (!left) motion();
  return !left && !finite(kinetic) ? FLEW_APART : left != 0;
}

SERVENT_EXPORT(fraction) double fraction(void) { return (double)(steps - left) / steps; }

/* -- to look at */

static char *number(char *to, uint64_t value) {
  char digits[20];
  int count = 0;
  do digits[count++] = (char)('0' + value % 10);
  while (value /= 10);
  while (count) *to++ = digits[--count];
  return to;
}

static char *text(char *to, const char *said) {
  while (*said) *to++ = *said++;
  return to;
}

static char *hundredths(char *to, double value) { /* of a number below 10^15 */
  uint64_t all = value >= 0 && value < 1e15 ? (uint64_t)(value * 100 + 0.5) : 0;
  to = text(number(to, all / 100), ".");
  *to++ = (char)('0' + all / 10 % 10), *to++ = (char)('0' + all % 10);
  return to;
}

/* The atoms where they are, the faster the hotter their colour. */
SERVENT_EXPORT(picture) uint64_t picture(void) {
  static struct {
    struct servent_picture head;
    uint8_t data[7 * SHOWN];
  } shown;
  uint32_t part = (atoms + SHOWN - 1) / SHOWN, count = (atoms + part - 1) / part;
  struct servent_axis *axes[3] = {&shown.head.x, &shown.head.y, &shown.head.z};
  double speeds = 0;
  for (uint32_t i = 0; i < 3 * atoms; i++) speeds += v[i] * v[i];
  double usual = root(speeds / atoms);
  for (int i = 0; i < 16; i++) shown.head.magic[i] = SERVENT_POINTS[i];
  shown.head.width = count, shown.head.height = 1;
  for (int i = 0; i < 104; i++) shown.head.words[i] = 0;
  char *to = text(number(shown.head.words, atoms), " atoms, step ");
  to = text(number(to, step), " of ");
  hundredths(text(number(to, step + left), ", temperature "), atoms > 1 ? speeds / (3.0 * (atoms - 1)) : 0);
  for (int k = 0; k < 3; k++) {
    char *label = axes[k]->label;
    label[0] = (char)('x' + k), text(label + 1, ", sigma");
    axes[k]->low = 0, axes[k]->high = (float)box;
  }
  for (uint32_t n = 0, i = 0; n < count; n++, i += part) {
    double speed = root(v[3 * i] * v[3 * i] + v[3 * i + 1] * v[3 * i + 1] + v[3 * i + 2] * v[3 * i + 2]);
    double kind = usual > 0 ? speed / usual * 7.5 : 0;
    for (int k = 0; k < 3; k++) put(shown.data + 6 * n + 2 * k, (uint64_t)(x[3 * i + k] / box * 65535) & 65535, 2);
    shown.data[6 * count + n] = kind < 15 ? (uint8_t)kind : 15;
  }
  return SERVENT_RESULT(&shown, sizeof shown.head + 7 * count);
}

uint64_t result(void) {
  for (int i = 0; i < 20; i++) room[i] = (uint8_t)magic[i];
  put(room + 20, atoms, 4), put(room + 24, step, 8), put(room + 32, steps, 4), put(room + 36, every, 4);
  put_real(room + 40, box), put_real(room + 48, cutoff), put_real(room + 56, dt);
  put(room + 64, frames, 4), put(room + 68, 0, 4), put_real(room + 72, began);
  for (uint32_t i = 0; i < 3 * atoms; i++) {
    put_real(room + HEAD + 8 * i, x[i]);
    put_real(room + HEAD + 24 * atoms + 8 * i, v[i]);
  }
  return SERVENT_RESULT(room, used);
}
