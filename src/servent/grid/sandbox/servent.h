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

#define SERVENT_RESULT(address, bytes) (((uint64_t)(uintptr_t)(address) << 32) | (uint32_t)(bytes))

#ifdef __cplusplus
}
#endif

#endif
