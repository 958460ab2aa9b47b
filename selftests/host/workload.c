// SPDX-License-Identifier: GPL-2.0
/*
 * Loads for the simulator.
 *
 * Most are made of streams: a stream holds blocks of one size, as many as its
 * load wants at the time, and replaces some of them meanwhile.
 */
#include <math.h>

#include "api.h"
#include "workload.h"
#include "../../include/hakmem.h"

#define MAX_BLOCKS	8192
#define NR_STREAMS	12
/* Blocks that are replaced at a time, as devices do. */
#define BATCH		64
#define MAX_EVENTS	20000
#define MAX_IDS		8192
#define CHUNK		65536

/*
 * Blocks lie in the order in which they were allocated, so far as none but
 * the oldest are freed.
 */
struct stream {
	void *block[MAX_BLOCKS];
	unsigned int first;
	unsigned int nr;
	double due;	/* replacements that are due */
};

static struct stream streams[NR_STREAMS];
static u64 seed = 1;

static unsigned int rnd(unsigned int below)
{
	seed = seed * 6364136223846793005UL + 1442695040888963407UL;
	return (seed >> 33) % below;
}

static void take(struct stream *s, unsigned int cpu, size_t size)
{
	if (s->nr == MAX_BLOCKS)
		abort();
	host_cpu = cpu;
	/* As from a call site of its own. */
	s->block[(s->first + s->nr++) % MAX_BLOCKS] =
		hkm_kmalloc_from(size, GFP_KERNEL, (s - streams + 1) * 0x1357);
}

/* Frees one of the @nr oldest. */
static void give(struct stream *s, unsigned int cpu, unsigned int nr)
{
	unsigned int i = (s->first + rnd(min(nr, s->nr))) % MAX_BLOCKS;

	host_cpu = cpu;
	hkm_kfree(s->block[i]);
	s->block[i] = s->block[s->first];
	s->first = (s->first + 1) % MAX_BLOCKS;
	s->nr--;
}

/*
 * One step of stream @id: it comes to hold @nr blocks, and replaces @per_s a
 * second of those that it holds. Allocates and frees on the CPUs given.
 */
static void run_on(unsigned int id, unsigned int from, unsigned int to,
		   size_t size, double nr, double per_s)
{
	struct stream *s = &streams[id];
	unsigned int want = nr < 0 ? 0 : nr, i;

	while (s->nr < want)
		take(s, from, size);
	while (s->nr > want)
		give(s, to, 8);
	for (s->due += per_s * STEP_MS / 1000; s->due >= BATCH; s->due -= BATCH) {
		for (i = 0; i < BATCH && s->nr; i++)
			give(s, to, s->nr);
		while (i--)
			take(s, from, size);
	}
}

/* The same on one CPU, which changes now and then, as the scheduler has it. */
static void run(unsigned int id, unsigned int ms, size_t size, double nr,
		double per_s)
{
	unsigned int cpu = (id + ms / 700) % NR_SIM_CPUS;

	run_on(id, cpu, cpu, size, nr, per_s);
}

/* 1 for @on of each @period ms, else 0. */
static double pulse(unsigned int ms, unsigned int period, unsigned int on)
{
	return ms % period < on;
}

static double sine(unsigned int ms, unsigned int period)
{
	return (1 - cos(2 * M_PI * ms / period)) / 2;
}

/* Blocks that fill so many chunks. */
static double worth(size_t size, double nr_chunks)
{
	return nr_chunks * (CHUNK / size);
}

static void steady(unsigned int ms)
{
	run(0, ms, SZ_8K, worth(SZ_8K, 50), 10000);
}

static void phases(unsigned int ms)
{
	static const unsigned int high[] = { 30, 150, 60, 240 };
	double nr = 20 + high[ms / 45000] * pulse(ms, 2600, 1300);

	run(0, ms, SZ_16K, worth(SZ_16K, nr), 8000);
}

static void phase_down(unsigned int ms)
{
	static const unsigned int high[] = { 300, 40, 200, 20 };
	double nr = 20 + high[ms / 45000] * pulse(ms, 3100, 1000);

	run(0, ms, SZ_32K, worth(SZ_32K, nr), 8000);
}

static void bursts(unsigned int ms)
{
	run(0, ms, SZ_8K, worth(SZ_8K, 120) * pulse(ms, 4300, 700), 10000);
}

/* So far apart that the class is idle in between, and keeps nothing. */
static void rare_bursts(unsigned int ms)
{
	run(0, ms, SZ_16K, worth(SZ_16K, 120) * pulse(ms, 20100, 3000), 10000);
}

static void diurnal(unsigned int ms)
{
	run(0, ms, SZ_8K, worth(SZ_8K, 20 + 150 * sine(ms, 60000)), 10000);
}

/* The same, slower: most of its night is longer than hold_ms. */
static void day(unsigned int ms)
{
	double high = sine(ms, 150000);

	run(0, ms, SZ_8K, worth(SZ_8K, 20 + 300 * high * high), 10000);
}

static void sawtooth(unsigned int ms)
{
	run(0, ms, SZ_8K, worth(SZ_8K, 10 + 110.0 * (ms % 7300) / 7300), 10000);
}

/* Packets: allocated on one CPU, freed on another, queues that fill and drain. */
static void pipeline(unsigned int ms)
{
	double full = sine(ms, 5700);

	run_on(0, 0, 1, 9320, 60 + 600 * full, 8000);
	run_on(1, 2, 3, SZ_2K, 200 + 1500 * sine(ms, 3900), 8000);
}

static void mixed(unsigned int ms)
{
	static const size_t sizes[] = {
		SZ_2K, SZ_4K, SZ_8K, 9320, SZ_16K, SZ_32K, 50000
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(sizes); i++)
		run(i, ms, sizes[i],
		    worth(sizes[i], 10 + 20 * i * sine(ms, 3000 + 1700 * i)), 2000);
}

static void large(unsigned int ms)
{
	run(0, ms, SZ_256K, 8 + 40 * pulse(ms, 3700, 1500), 500);
	run(1, ms, SZ_1M, 2 + 8 * pulse(ms, 5300, 2500), 60);
	run(2, ms, 60000, 20 + 60 * sine(ms, 9000), 1000);
}

/* Each burst is of another size than the one before. */
static void shifting(unsigned int ms)
{
	static const size_t sizes[] = { SZ_4K, SZ_32K, 9320, SZ_8K, 50000 };
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(sizes); i++)
		run(i, ms, sizes[i], worth(sizes[i], 5 + 90 *
					   (ms / 1500 % ARRAY_SIZE(sizes) == i)), 2000);
}

static void leak(unsigned int ms)
{
	run(0, ms, SZ_8K, worth(SZ_8K, 10 + 500.0 * ms / 180000), 10000);
}

/* Ever smaller steps about a mean that they come back to. */
static void noise(unsigned int ms)
{
	static double x, y;

	x += (rnd(2001) / 1000.0 - 1) * 6 - x / 400;
	y += (rnd(2001) / 1000.0 - 1) * 2 - y / 50;
	run(0, ms, SZ_8K, worth(SZ_8K, 150 + x + y), 10000);
}

/* A class with a working set, and one that once had one. */
static void aftermath(unsigned int ms)
{
	run(0, ms, SZ_16K, worth(SZ_16K, ms < 20000 ? 300 * pulse(ms, 2000, 1000) : 20),
	    5000);
	run(1, ms, SZ_4K, worth(SZ_4K, 10 + 30 * pulse(ms, 2900, 1450)), 6000);
}

/* Three classes that would each want more than a third of the budget. */
static void scarce(unsigned int ms)
{
	run(0, ms, SZ_8K, worth(SZ_8K, 10 + 300 * pulse(ms, 2300, 1000)), 6000);
	run(1, ms, SZ_16K, worth(SZ_16K, 10 + 300 * pulse(ms, 5900, 2500)), 6000);
	run(2, ms, SZ_32K, worth(SZ_32K, 10 + 300 * pulse(ms, 3100, 1500)), 6000);
}

/*
 * The design's trace: half of what restocks the front end each second is kept
 * chunks while CAP is 64, and 0.64 of it with CAP 104.
 */
static void design(unsigned int ms)
{
	run_on(0, 0, 0, 52 * SZ_1K, 80 + 218 * pulse(ms, 1000, 300), 1400);
}

/* See random_begin(). */
static struct {
	size_t size;
	double base;
	double per_s;
	bool smooth;
	bool even;
	unsigned int phase_end;
	double high;
	double period;
	double on;
	unsigned int wave;
	unsigned int wave_end;
} random_load;

static double rnd_between(double from, double to)
{
	return from + (to - from) * rnd(10001) / 10000;
}

/* Any magnitude is as likely. */
static double rnd_scale(double from, double to)
{
	return from * pow(to / from, rnd_between(0, 1));
}

/*
 * A load of its own for each @nr: waves that come to another height every 25 to 65 s,
 * now and then to another pace too, some of them even, some not.
 */
void random_begin(unsigned int nr)
{
	static const size_t sizes[] = { SZ_4K, SZ_8K, SZ_16K, SZ_32K };

	seed = nr;
	random_load.size = sizes[rnd(ARRAY_SIZE(sizes))];
	random_load.base = rnd_between(5, 35);
	random_load.per_s = rnd_between(1000, 10000);
	random_load.smooth = rnd(3) == 0;
	random_load.even = rnd(2);
	random_load.period = rnd_scale(1200, 9600);
}

static void random_step(unsigned int ms)
{
	double wave, high;

	if (ms >= random_load.phase_end) {
		random_load.phase_end += rnd_between(25000, 65000);
		random_load.high = rnd_scale(12, 240);
		random_load.on = rnd_between(0.2, 0.6);
		if (rnd(3) == 0)
			random_load.period = rnd_scale(1200, 9600);
	}
	if (ms >= random_load.wave_end) {
		random_load.wave = random_load.wave_end;
		random_load.wave_end += random_load.period *
					(random_load.even ? 1 : rnd_between(0.4, 1.6));
	}
	wave = (double)(ms - random_load.wave) /
	       (random_load.wave_end - random_load.wave);
	high = random_load.smooth ? (1 - cos(2 * M_PI * wave)) / 2 :
	       wave < random_load.on;
	run(0, ms, random_load.size,
	    worth(random_load.size, random_load.base + random_load.high * high),
	    random_load.per_s);
}

/* A recording, over and over. One line an event: MS CPU + ID SIZE, or MS CPU - ID */
static struct event {
	unsigned int ms;
	unsigned int cpu;
	unsigned int id;
	size_t size;	/* 0: it is freed */
} events[MAX_EVENTS];

static unsigned int nr_events;
static void *id_block[MAX_IDS];

int recording_load(const char *path)
{
	FILE *f = fopen(path, "r");
	char line[80], op;

	if (!f)
		return -errno;
	while (fgets(line, sizeof(line), f)) {
		struct event *e = &events[nr_events];

		if (*line == '#')
			continue;
		e->size = 0;
		if (nr_events == MAX_EVENTS ||
		    sscanf(line, "%u %u %c %u %zu", &e->ms, &e->cpu, &op, &e->id,
			   &e->size) < 4 ||
		    e->id >= MAX_IDS || (op == '+') != !!e->size) {
			fclose(f);
			return -EINVAL;
		}
		nr_events++;
	}
	fclose(f);
	return nr_events ? 0 : -EINVAL;
}

static void replay(unsigned int ms)
{
	static unsigned int next, begin;

	while (nr_events && begin + events[next].ms < ms) {
		const struct event *e = &events[next];

		host_cpu = e->cpu % NR_SIM_CPUS;
		if (e->size) {
			if (!id_block[e->id])
				id_block[e->id] = hkm_kmalloc(e->size, GFP_KERNEL);
		} else {
			hkm_kfree(id_block[e->id]);
			id_block[e->id] = NULL;
		}
		if (++next == nr_events) {
			next = 0;
			begin += e->ms + STEP_MS;
		}
	}
}

#define GIVES_BACK	"gives memory back, which a CAP that stays does not"
#define LOOKS_FOR_MORE	"trim looks in vain for more to give back"

const struct workload workloads[] = {
	{ "steady", "8 KiB, as many held at all times", HKM_CLASS_8K, 180,
	  .step = steady },
	{ "phases", "16 KiB, waves of 30, 150, 60, 240 chunks", HKM_CLASS_16K, 180,
	  { 0, 45, 90, 135 }, .misses_best = { [2] = GIVES_BACK }, .falls = true,
	  .misses_memory = "what is of no use is of use again 45 s later",
	  .step = phases },
	{ "phase-down", "32 KiB, waves of 300, 40, 200, 20 chunks", HKM_CLASS_32K, 180,
	  { 0, 45, 90, 135 },
	  .misses_best = { [1] = LOOKS_FOR_MORE, [3] = LOOKS_FOR_MORE },
	  .falls = true, .step = phase_down },
	{ "bursts", "8 KiB, 120 chunks every 4.3 s, else nothing", HKM_CLASS_8K, 180,
	  .step = bursts },
	{ "rare-bursts", "16 KiB, 120 chunks every 20 s, idle between", HKM_CLASS_16K, 180,
	  .misses_best = { "idle classes keep nothing, whatever CAP" },
	  .misses_memory = "keeps for idle_ms what is then given back",
	  .step = rare_bursts },
	{ "diurnal", "8 KiB, 20 to 170 chunks, a day of 60 s", HKM_CLASS_8K, 180,
	  .step = diurnal },
	{ "day", "8 KiB, 20 to 320 chunks, a day of 150 s", HKM_CLASS_8K, 300,
	  .misses_best = { "swings slower than hold_ms" },
	  .misses_memory = "swings slower than hold_ms", .step = day },
	{ "sawtooth", "8 KiB, up to 120 chunks in 7.3 s, and down at once", HKM_CLASS_8K,
	  180, .step = sawtooth },
	{ "pipeline", "9 320 B and 2 KiB, freed on other CPUs; queues swing",
	  HKM_CLASS_DYN1, 180, .step = pipeline },
	{ "mixed", "seven sizes, each with a period of its own", HKM_CLASS_32K, 180,
	  .step = mixed },
	{ "large", "60 000 B, 256 KiB and 1 MiB", HKM_CLASS_256K, 180, .step = large },
	{ "shifting", "bursts, each of another size than the last", HKM_CLASS_32K, 180,
	  .step = shifting },
	{ "leak", "8 KiB, never less: up to 510 chunks", HKM_CLASS_8K, 180, .step = leak },
	{ "noise", "8 KiB, random walk about 150 chunks", HKM_CLASS_8K, 180,
	  .step = noise },
	{ "aftermath", "waves of 300 chunks for 20 s, then calm", HKM_CLASS_16K, 180,
	  { 0, 20 }, .falls = true, .step = aftermath },
	{ "scarce", "three classes that want more than the budget", HKM_CLASS_8K, 180,
	  .budget = 800, .step = scarce },
	{ "recorded", "make demo's pipeline, over and over", HKM_CLASS_52K, 180,
	  .step = replay },
	{ "design", "the trace of the step law's design", HKM_CLASS_52K, 60,
	  .step = design },
};

const struct workload random_workload = {
	"random", "random waves", HKM_CLASS_8K, 180, .step = random_step
};

const unsigned int nr_workloads = ARRAY_SIZE(workloads);
