/* A tile of the Mandelbrot set. ABI "command": arguments are the centre, the width of the tile and its side in pixels; the result is a PGM picture.

   build:  servent grid build examples/grid/mandelbrot.c
   try:    servent grid try mandelbrot.wasm --arg -0.745 --arg 0.1 --arg 0.01 --arg 256 > tile.pgm

   Operations of a unit: at most 10 * 1000 for each pixel. */

#include <stdio.h>
#include <stdlib.h>

#define STEPS 1000

int main(int count, char **said) {
  if (count != 5) {
    fprintf(stderr, "wanted: x y width side\n");
    return 2;
  }
  double x = atof(said[1]), y = atof(said[2]), width = atof(said[3]);
  int side = atoi(said[4]);
  if (side < 1 || side > 8192) return 3;
  unsigned char *row = malloc(side);
  if (!row) return 4;
  printf("P5 %d %d 255\n", side, side);
  for (int j = 0; j < side; j++) {
    double ci = y + width * ((double)j / side - 0.5);
    for (int i = 0; i < side; i++) {
      double cr = x + width * ((double)i / side - 0.5), re = 0, im = 0, rr = 0, ii = 0;
      int step = 0;
      while (step < STEPS && rr + ii <= 4.0) {
        im = 2 * re * im + ci;
        re = rr - ii + cr;
        rr = re * re;
        ii = im * im;
        step++;
      }
      row[i] = step == STEPS ? 0 : 255 - step % 255;
    }
    if (fwrite(row, 1, side, stdout) != (size_t)side) return 5;
  }
  return fflush(stdout) ? 5 : 0;
}
