/* SPDX-License-Identifier: MIT
 * yardstick_stream load|triad|triad_nt THREADS MEBIBYTES SECONDS
 *
 * Memory bandwidth in the manner of STREAM, to hold our own measurement against: shares no code
 * with it and does it differently (barriers around passes, one stream a thread, doubles). A pass
 * goes over an eighth of the arrays, the next over the next; one in which a thread had to wait for
 * a processor does not count, unless there are fewer than five others. Prints the median and the
 * best pass in bytes per second, how many passes counted, and how many there were. load reads one
 * array; triad is c = a + s * b, for which 4 arrays' worth of bytes move, as the lines written are
 * read first; triad_nt writes past the caches (x86 only), and 3 move. */
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#if defined(__SSE2__)
#include <immintrin.h>
#endif

enum { kMostPasses = 100000, kMostThreads = 1024, kParts = 8 };
enum kind { LOAD, TRIAD, TRIAD_NT };

static enum kind kind;
static size_t n_threads, n_each; /* doubles of each array and thread */
static double *a, *b, *c;
static pthread_barrier_t barrier;
static volatile int done;
static volatile double sink;
static volatile int waited; /* some thread, in this pass */
static int cpus[kMostThreads];
static double starts[kMostThreads], ends[kMostThreads]; /* of the pass, by thread */

static double read_clock(clockid_t id) {
  struct timespec t;
  clock_gettime(id, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static double load(const double* p, size_t n) {
  double s[32] = {0};
  for (size_t i = 0; i + 32 <= n; i += 32)
    for (size_t k = 0; k < 32; ++k) s[k] += p[i + k];
  double sum = 0;
  for (size_t k = 0; k < 32; ++k) sum += s[k];
  return sum;
}

static void triad(double* restrict to, const double* restrict x, const double* restrict y, double s,
                  size_t n) {
  for (size_t i = 0; i < n; ++i) to[i] = x[i] + s * y[i];
}

static void triad_nt(double* to, const double* x, const double* y, double s, size_t n) {
#if defined(__AVX512F__)
  for (size_t i = 0; i + 8 <= n; i += 8)
    _mm512_stream_pd(to + i,
                     _mm512_add_pd(_mm512_load_pd(x + i),
                                   _mm512_mul_pd(_mm512_set1_pd(s), _mm512_load_pd(y + i))));
#elif defined(__AVX__)
  for (size_t i = 0; i + 4 <= n; i += 4)
    _mm256_stream_pd(to + i,
                     _mm256_add_pd(_mm256_load_pd(x + i),
                                   _mm256_mul_pd(_mm256_set1_pd(s), _mm256_load_pd(y + i))));
#elif defined(__SSE2__)
  for (size_t i = 0; i + 2 <= n; i += 2)
    _mm_stream_pd(to + i,
                  _mm_add_pd(_mm_load_pd(x + i), _mm_mul_pd(_mm_set1_pd(s), _mm_load_pd(y + i))));
#else
  triad(to, x, y, s, n);
#endif
}

static void* work(void* argument) {
  const size_t me = (size_t)(uintptr_t)argument, from = me * n_each;
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(cpus[me], &set);
  pthread_setaffinity_np(pthread_self(), sizeof(set), &set);
  unsigned seed = (unsigned)me + 1;
  for (size_t i = from; i < from + n_each; ++i) { /* first touch */
    a[i] = 1.0 + (double)rand_r(&seed) / RAND_MAX;
    if (kind == LOAD) continue;
    b[i] = 2.0 - a[i] / 2;
    c[i] = 0;
  }
  double sum = 0;
  pthread_barrier_wait(&barrier);
  const size_t part = n_each / kParts;
  for (size_t pass = 0; !done; ++pass) {
    const size_t at = from + pass % kParts * part;
    const double wall = read_clock(CLOCK_MONOTONIC), cpu = read_clock(CLOCK_THREAD_CPUTIME_ID);
    if (kind == LOAD) sum += load(a + at, part);
    if (kind == TRIAD) triad(c + at, a + at, b + at, 3.0, part);
    if (kind == TRIAD_NT) triad_nt(c + at, a + at, b + at, 3.0, part);
    const double end = read_clock(CLOCK_MONOTONIC);
    if (read_clock(CLOCK_THREAD_CPUTIME_ID) - cpu < 0.95 * (end - wall)) waited = 1;
    starts[me] = wall;
    ends[me] = end;
    pthread_barrier_wait(&barrier); /* the pass ends */
    pthread_barrier_wait(&barrier); /* the clock was read */
  }
  if (kind != LOAD && c[from] != a[from] + 3.0 * b[from]) abort();
  sink = sum;
  return NULL;
}

static double* array(size_t bytes) {
  double* p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (p == MAP_FAILED) exit(1);
  madvise(p, bytes, MADV_HUGEPAGE);
  return p;
}

static int by_value(const void* x, const void* y) {
  const double d = *(const double*)x - *(const double*)y;
  return (d > 0) - (d < 0);
}

int main(int argc, char** argv) {
  if (argc != 5) {
    fprintf(stderr, "yardstick_stream load|triad|triad_nt THREADS MEBIBYTES SECONDS\n");
    return 2;
  }
  kind = strcmp(argv[1], "load") == 0 ? LOAD : strcmp(argv[1], "triad") == 0 ? TRIAD : TRIAD_NT;
  n_threads = strtoul(argv[2], NULL, 10);
  const size_t mebibytes = strtoul(argv[3], NULL, 10);
  const double seconds = strtod(argv[4], NULL);
  cpu_set_t allowed;
  CPU_ZERO(&allowed);
  sched_getaffinity(0, sizeof(allowed), &allowed);
  size_t n_cpus = 0;
  for (int i = 0; i < CPU_SETSIZE && n_cpus < kMostThreads; ++i)
    if (CPU_ISSET(i, &allowed)) cpus[n_cpus++] = i;
  if (n_threads < 1 || n_threads > n_cpus || mebibytes < 1) return 2;
  const size_t arrays = kind == LOAD ? 1 : 3;
  n_each = (mebibytes << 20) / sizeof(double) / arrays / n_threads / (32 * kParts) * (32 * kParts);
  a = array(n_each * n_threads * sizeof(double));
  b = kind == LOAD ? NULL : array(n_each * n_threads * sizeof(double));
  c = kind == LOAD ? NULL : array(n_each * n_threads * sizeof(double));
  pthread_barrier_init(&barrier, NULL, (unsigned)n_threads + 1);
  pthread_t threads[kMostThreads];
  for (size_t i = 0; i < n_threads; ++i)
    pthread_create(&threads[i], NULL, work, (void*)(uintptr_t)i);
  static double rates[kMostPasses], good[kMostPasses];
  size_t n = 0, n_good = 0;
  const double moved =
      (double)(n_each / kParts * n_threads * sizeof(double)) * (kind == LOAD    ? 1
                                                                : kind == TRIAD ? 4
                                                                                : 3);
  pthread_barrier_wait(&barrier);
  const double start = read_clock(CLOCK_MONOTONIC);
  while (!done) {
    pthread_barrier_wait(&barrier);
    double first = starts[0], last_start = starts[0], last = ends[0];
    for (size_t i = 1; i < n_threads; ++i) {
      first = starts[i] < first ? starts[i] : first;
      last_start = starts[i] > last_start ? starts[i] : last_start;
      last = ends[i] > last ? ends[i] : last;
    }
    if (last - start > 0.2) { /* warm */
      rates[n++] = moved / (last - first);
      if (!waited && last_start - first < 0.05 * (last - first)) good[n_good++] = rates[n - 1];
    }
    waited = 0;
    if ((last - start > seconds && n > 0) || n == kMostPasses) done = 1;
    pthread_barrier_wait(&barrier);
  }
  for (size_t i = 0; i < n_threads; ++i) pthread_join(threads[i], NULL);
  const size_t all = n;
  double* counted = n_good >= 5 ? good : rates;
  if (n_good >= 5) n = n_good;
  qsort(counted, n, sizeof(double), by_value);
  printf("%.6g %.6g %zu %zu\n", counted[n / 2], counted[n - 1], n_good, all);
  return 0;
}
