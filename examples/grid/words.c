/* Counts words. ABI "command": text on stdin; the result is a line "count word" for each, most frequent first, equal ones by the alphabet.

   build:  servent grid build examples/grid/words.c
   try:    servent grid try words.wasm < book.txt */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BUCKETS 65536
#define LONGEST 64

struct word {
  struct word *next;
  unsigned long count;
  char text[];
};

static struct word *buckets[BUCKETS];
static size_t different;

static int count(const char *text, size_t size) {
  unsigned hash = 2166136261u; /* FNV-1a */
  for (size_t i = 0; i < size; i++) hash = (hash ^ (unsigned char)text[i]) * 16777619u;
  struct word **at = &buckets[hash % BUCKETS];
  for (; *at; at = &(*at)->next)
    if (!memcmp((*at)->text, text, size) && !(*at)->text[size]) {
      (*at)->count++;
      return 0;
    }
  if (!(*at = calloc(1, sizeof(struct word) + size + 1))) return 1;
  memcpy((*at)->text, text, size);
  (*at)->count = 1;
  different++;
  return 0;
}

static int order(const void *a, const void *b) {
  const struct word *x = *(struct word *const *)a, *y = *(struct word *const *)b;
  if (x->count != y->count) return x->count < y->count ? 1 : -1;
  return strcmp(x->text, y->text);
}

int main(void) {
  char text[LONGEST + 1] = {0};
  size_t size = 0;
  int byte;
  do {
    byte = getchar();
    int letter = (byte | 32) >= 'a' && (byte | 32) <= 'z';
    if (byte != EOF && (letter || byte >= 128)) {
      if (size < LONGEST) text[size++] = letter ? byte | 32 : byte;
    } else if (size) {
      if (count(text, size)) return 4;
      memset(text, 0, sizeof text);
      size = 0;
    }
  } while (byte != EOF);
  struct word **all = malloc((different + 1) * sizeof *all);
  if (!all) return 4;
  size_t n = 0;
  for (int i = 0; i < BUCKETS; i++)
    for (struct word *w = buckets[i]; w; w = w->next) all[n++] = w;
  qsort(all, n, sizeof *all, order);
  for (size_t i = 0; i < n; i++) printf("%lu %s\n", all[i]->count, all[i]->text);
  return 0;
}
