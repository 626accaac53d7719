/* An app for servent's grid in C, ABI "slice": include this and define the functions below. See docs/grid-abi.md. */

#ifndef SERVENT_H
#define SERVENT_H

#include <stdint.h>

#define SERVENT_EXPORT(name) __attribute__((export_name(#name), used))

#ifdef __cplusplus
extern "C" {
#endif

/* Room for an input of `size` bytes; 0 where there is none. Called once, before `begin`. */
SERVENT_EXPORT(alloc) void *alloc(uint32_t size);

/* Here is the input. 0 to go on; anything else ends the unit as an error with this code. */
SERVENT_EXPORT(begin) int32_t begin(const uint8_t *input, uint32_t size);

/* Some work, of a tenth of a second to a few seconds. 1: there is more; 0: done; below 0: an error with this code.
   Between two calls everything lives in memory and globals: they may be saved, and restored elsewhere. */
SERVENT_EXPORT(slice) int32_t slice(void);

/* Where the result lies: SERVENT_RESULT(address, bytes). Called once, after the last slice. */
SERVENT_EXPORT(result) uint64_t result(void);

/* Optional: how much is done, from 0.0 to 1.0. Define it with SERVENT_EXPORT(fraction) double fraction(void). */

/* Optional: something to look at. Define it with SERVENT_EXPORT(picture) uint64_t picture(void), and give SERVENT_RESULT(address, bytes) of a head and its data,
   64 KiB together at most. Called after each slice, whether anybody looks or not, so that looking changes nothing: it has to be quick. Words are UTF-8 and end with a zero
   where they are shorter. */
struct servent_axis {
  char label[24]; /* what it is, with its unit: "frequency, Hz" */
  float low, high; /* what its first and its last place stand for */
};

struct servent_picture {
  char magic[16]; /* SERVENT_HEAT or SERVENT_POINTS */
  uint32_t width, height;
  char words[104]; /* a line about it */
  struct servent_axis x, y, z;
}; /* 224 bytes; behind it
      heat: height rows of width bytes; the first row at y.low, the first of each row at x.low; 0 is z.low, 255 is z.high
      points: width of them (height is 1) in a box: x, y, z of each as uint16_t, 0 to 65535 from side to side; then the kind of each, uint8_t, below 16 */

#define SERVENT_HEAT "servent heat 1\0"
#define SERVENT_POINTS "servent points 1"

#define SERVENT_RESULT(address, bytes) (((uint64_t)(uintptr_t)(address) << 32) | (uint32_t)(bytes))

#ifdef __cplusplus
}
#endif

#endif
