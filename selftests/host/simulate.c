// SPDX-License-Identifier: GPL-2.0
/*
 * Simulator: the pool and the learner's laws as they are, under loads of
 * workload.c, in simulated time.
 *
 *   simulate RECORDING OUT_DIR     KTAP; tables and curves go to OUT_DIR
 *
 * Every pair of load and policy runs in a process of its own, on a new pool. The
 * reclaim tick and the learner take turns, half a second apart. A policy is a CAP
 * for all classes that stays the same, or a law. Random loads, not those by which its
 * constants were chosen, are for the cost law and the default alone.
 */
#include <math.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "chunk.h"
#include "chunk_map.h"
#include "cpu_cache.h"
#include "freelist.h"
#include "harden.h"
#include "inventory.h"
#include "reclaim.h"
#include "refill.h"
#include "reserve.h"
#include "workload.h"
#include "../../learner/decide.h"
#include "../../learner/learner.h"
#include "../../learner/policy.h"

#define MAX_SECONDS	300
#define LOOKS		8	/* at levels, in each second */
#define DEFAULT_CAP	64
#define SETTLE_S	10
#define NR_JOBS		2
#define NR_RANDOM	80

/*
 * Instructions off the hot path. Of a batch that moves between ring and shared tier,
 * either way; of a span from the inventory; of a chunk from the page allocator, and
 * back to it; of a block that trim sorts. Spans of more chunks cost a quarter of
 * the first chunk for each further one.
 */
#define COST_BATCH	30
#define COST_REUSE	300
#define COST_REFILL	2000
#define COST_RELEASE	1500
#define COST_SORT	40
#define SPAN_COST(chunk_cost, order) ((chunk_cost) * (3 + (1UL << (order))) / 4)

struct policy {
	const char *name;
	u32 cap;		/* 0: a law */
	enum hkm_controller controller;
	u32 target_bp;		/* of the step law, as is cap_step; 0: its own */
	u32 cap_step;
};

static const struct policy policies[] = {
	{ "cost", 0, HKM_CONTROLLER_COST },
	{ "step", 0, HKM_CONTROLLER_STEP },
	{ "step-80", 0, HKM_CONTROLLER_STEP, 8000 },
	{ "step-95", 0, HKM_CONTROLLER_STEP, 9500 },
	{ "step-98", 0, HKM_CONTROLLER_STEP, 9800 },
	{ "step-98-64", 0, HKM_CONTROLLER_STEP, 9800, 64 },
	{ "step-98-256", 0, HKM_CONTROLLER_STEP, 9800, 256 },
	{ "static-8", 8 }, { "static-32", 32 }, { "static-64", DEFAULT_CAP },
	{ "static-128", 128 }, { "static-256", 256 }, { "static-512", 512 },
};

#define NR_POLICIES	ARRAY_SIZE(policies)

enum { COST_LAW, STEP_LAW, FIRST_STATIC = 7, STATIC_DEFAULT = 9 };

/* What came of one load under one policy. */
struct result {
	u64 cost[MAX_SECONDS];		/* in each second */
	u64 free_sum[MAX_SECONDS];	/* of all looks, in chunks */
	u16 cap[MAX_SECONDS][HKM_NR_CLASSES];
	unsigned int faults;
	bool done;
};

static struct result *results;

/* Random loads come after all others. */
static const struct workload *load_of(unsigned int w)
{
	return w < nr_workloads ? &workloads[w] : &random_workload;
}

static struct result *result_of(unsigned int w, unsigned int p)
{
	return &results[w * NR_POLICIES + p];
}

/* What is counted up, of one class. */
struct counts {
	struct hkm_class_stats stats;
	u64 releases;		/* in spans */
};

struct class_sim {
	struct counts then;	/* at the begin of the window */
	long held_then;
	u32 low;
	u32 high;
	u64 batches_sorted;	/* by trim */
};

/* The thread's part is decide(), below. */
void hkm_learner_kick(void)
{
}

static struct class_sim sims[HKM_NR_CLASSES];
static bool trimming;
static u64 blocks_sorted;

typeof(hkm_freelist_pop) __real_hkm_freelist_pop, __wrap_hkm_freelist_pop;

/* The linker puts this in front of it. */
unsigned int __wrap_hkm_freelist_pop(unsigned int bin, unsigned int home,
				     void **blocks, unsigned int max)
{
	unsigned int nr = __real_hkm_freelist_pop(bin, home, blocks, max);

	if (trimming)
		blocks_sorted += nr;
	return nr;
}

/* Chunks without those that are full of @used blocks. */
static u32 chunks_but(unsigned int id, s64 used)
{
	const struct hkm_class *cl = &hkm_classes[id];
	long left = hkm_chunk_count(id);

	/* A class not in use has no blocks in a span. */
	if (left)
		left -= (used + cl->nr_blocks - 1) / cl->nr_blocks << cl->span_order;
	return max(left, 0L);
}

static s64 live_blocks(unsigned int id)
{
	struct hkm_class_stats sum;

	hkm_stats_read(id, &sum);
	return hkm_stats_live(&sum);
}

static u32 free_chunks(unsigned int id)
{
	return chunks_but(id, live_blocks(id));
}

/* All but what trim can take. */
static u32 used_chunks(unsigned int id)
{
	struct hkm_class_stats sum;

	hkm_stats_read(id, &sum);
	return hkm_chunk_count(id) - chunks_but(id, hkm_stats_live(&sum) + sum.parked);
}

static void look(struct result *r, unsigned int s)
{
	unsigned int id;

	for (id = 0; id < HKM_NR_CLASSES; id++) {
		u32 used = used_chunks(id);

		sims[id].low = min(sims[id].low, used);
		sims[id].high = max(sims[id].high, used);
		r->free_sum[s] += free_chunks(id);
	}
}

/* Closes a window, as the learner's thread does. */
static void window_fill(struct hkm_window *window)
{
	unsigned int id;

	for (id = 0; id < HKM_NR_CLASSES; id++) {
		struct hkm_window_class *w = &window->class[id];
		unsigned int order = hkm_classes[id].span_order;
		struct class_sim *sim = &sims[id];
		struct hkm_class_stats now;
		const u64 *then = sim->then.stats.slow;
		long held = hkm_chunk_count(id);

		hkm_stats_read(id, &now);
		w->requests = now.hits_ring + now.hits_active +
			      now.slow[HKM_slow_allocs] -
			      sim->then.stats.hits_ring - sim->then.stats.hits_active -
			      then[HKM_slow_allocs];
		w->pops = now.slow[HKM_slow_allocs] - now.slow[HKM_refill_allocs] -
			  then[HKM_slow_allocs] + then[HKM_refill_allocs];
		w->reuses = now.slow[HKM_reuses] - then[HKM_reuses];
		w->refills = now.slow[HKM_refills] - then[HKM_refills];
		w->releases = w->refills + ((sim->held_then - held) >> order);
		w->held = held;
		w->used_low = sim->low;
		w->used_high = sim->high;
		w->span_chunks = 1U << order;
		w->cap = hkm_policy->cap_chunks[id];
		sim->then.stats = now;
		sim->held_then = held;
		sim->low = U32_MAX;
		sim->high = 0;
	}
}

/* What the second cost, from the window's counts and those of the pool. */
static u64 window_cost(const struct hkm_window *window)
{
	static u64 moved_then;
	u64 cost = 0, moved = 0;
	unsigned int id;

	for (id = 0; id < HKM_NR_CLASSES; id++) {
		const struct hkm_window_class *w = &window->class[id];
		const u64 *now = sims[id].then.stats.slow;
		unsigned int order = hkm_classes[id].span_order;

		moved += now[HKM_freelist_pops] + now[HKM_freelist_pushes] +
			 now[HKM_remote_drains] - sims[id].batches_sorted;
		cost += w->reuses * COST_REUSE +
			w->refills * SPAN_COST(COST_REFILL, order) +
			w->releases * SPAN_COST(COST_RELEASE, order);
	}
	cost += (moved - moved_then) * COST_BATCH + blocks_sorted * COST_SORT;
	moved_then = moved;
	blocks_sorted = 0;
	return cost;
}

static u64 batches(unsigned int id)
{
	struct hkm_class_stats sum;

	hkm_stats_read(id, &sum);
	return sum.slow[HKM_freelist_pops] + sum.slow[HKM_freelist_pushes];
}

/* What trim moves counts by the block. */
static void tick(void)
{
	unsigned int id;

	for (id = 0; id < HKM_NR_CLASSES; id++)
		sims[id].batches_sorted -= batches(id);
	trimming = true;
	hkm_reclaim_tick();
	trimming = false;
	for (id = 0; id < HKM_NR_CLASSES; id++)
		sims[id].batches_sorted += batches(id);
	rcu_barrier();
}

static void decide(const struct hkm_window *window,
		   const struct hkm_decide_params *params)
{
	static struct hkm_decide_state state;
	static struct hkm_actions actions;
	unsigned int id;

	if (!state.now_ms)
		hkm_decide_init(&state, 0);
	hkm_decide(window, params, &state, &actions);
	for (id = 0; id < HKM_NR_CLASSES; id++)
		hkm_policy->cap_chunks[id] = actions.class[id].cap_new;
}

static void pool_init(u32 cap, struct result *r)
{
	unsigned int id;

	if (hkm_size_classes_init(10752))
		r->faults++;
	hkm_harden_init();
	if (hkm_policy_init() || hkm_chunk_map_init())
		r->faults++;
	hkm_policy->reserve_chunks = 0;
	hkm_reserve_init();
	if (hkm_shared_init() || hkm_cpu_init() || hkm_reclaim_init())
		r->faults++;
	for (id = 0; id < HKM_NR_CLASSES; id++)
		hkm_policy->cap_chunks[id] = cap;
}

static void curve_line(FILE *f, const struct workload *w,
		       const struct hkm_window *window, const struct result *r,
		       unsigned int s)
{
	const struct hkm_window_class *c = &window->class[w->class_id];
	u64 hits = c->pops + c->reuses, all = hits + c->refills;
	long held = hkm_chunk_count(w->class_id);

	fprintf(f, "%u,%u,", s + 1, hkm_policy->cap_chunks[w->class_id]);
	if (all)
		fprintf(f, "%.4f", (double)hits / all);
	fprintf(f, ",%ld,%ld,%.1f,%llu\n", held, held - (long)free_chunks(w->class_id),
		(double)r->free_sum[s] / LOOKS, r->cost[s]);
}

/* One load under one policy. */
static void simulate(const struct workload *w, const struct policy *p,
		     struct result *r, FILE *curve)
{
	struct hkm_decide_params params = hkm_decide_defaults;
	struct hkm_window window = {};
	unsigned int ms = 0, s, id;

	params.controller = p->controller;
	if (p->target_bp) {
		params.target_mid_bp = p->target_bp;
		params.target_large_bp = p->target_bp;
	}
	if (p->cap_step)
		params.cap_step = p->cap_step;
	if (w->budget)
		params.global_budget_chunks = w->budget;
	pool_init(p->cap ?: DEFAULT_CAP, r);
	fprintf(curve, "second,cap,hit_rate,held,live,free_all,cost\n");
	for (s = 0; s < w->seconds; s++) {
		for (; ms < (s + 1) * 1000; ms += STEP_MS) {
			w->step(ms);
			host_cpu = 0;
			if (ms % (1000 / LOOKS) == 0)
				look(r, s);
			if (ms % 1000 == 500)
				tick();
		}
		window.now_ms = ms;
		window_fill(&window);
		r->cost[s] = window_cost(&window);
		if (!p->cap)
			decide(&window, &params);
		for (id = 0; id < HKM_NR_CLASSES; id++)
			r->cap[s][id] = hkm_policy->cap_chunks[id];
		curve_line(curve, w, &window, r, s);
	}
	r->done = true;
}

static u64 cost_from(const struct result *r, unsigned int from, unsigned int to)
{
	u64 sum = 0;

	for (; from < to; from++)
		sum += r->cost[from];
	return sum;
}

/*
 * The same and a rent for free memory: what holding a chunk for hold_ms costs is what
 * it takes to give it back and fetch it again.
 */
static double priced_from(const struct result *r, unsigned int from, unsigned int to)
{
	double rent = (COST_REFILL + COST_RELEASE) * 1000.0 / hkm_decide_defaults.hold_ms;
	double sum = cost_from(r, from, to);

	for (; from < to; from++)
		sum += rent * r->free_sum[from] / LOOKS;
	return sum;
}

/* Free memory that the pool holds, on average, in chunks. */
static double memory(unsigned int w, unsigned int p)
{
	u64 sum = 0;
	unsigned int s;

	for (s = 0; s < load_of(w)->seconds; s++)
		sum += result_of(w, p)->free_sum[s];
	return (double)sum / load_of(w)->seconds / LOOKS;
}

static void run_one(unsigned int w, unsigned int p, const char *dir)
{
	char path[256];
	FILE *curve;

	if (w < nr_workloads) {
		snprintf(path, sizeof(path), "%s/%s.%s.csv", dir, workloads[w].name,
			 policies[p].name);
	} else {
		random_begin(w - nr_workloads + 1);
		snprintf(path, sizeof(path), "%s/random-%u.%s.csv", dir,
			 w - nr_workloads + 1, policies[p].name);
	}
	curve = fopen(path, "w");
	if (!curve)
		exit(1);
	simulate(load_of(w), &policies[p], result_of(w, p), curve);
	fclose(curve);
	_exit(0);
}

static void run_all(const char *dir)
{
	unsigned int w, p, jobs = 0;

	for (w = 0; w < nr_workloads + NR_RANDOM; w++) {
		for (p = 0; p < NR_POLICIES; p++) {
			if (w >= nr_workloads && p != COST_LAW && p != STATIC_DEFAULT)
				continue;
			if (jobs == NR_JOBS) {
				wait(NULL);
				jobs--;
			}
			jobs++;
			if (!fork())
				run_one(w, p, dir);
		}
	}
	while (wait(NULL) > 0)
		;
}

/* The bars */

static unsigned int nr_cases, nr_failed;

static void verdict(bool ok, const char *known, const char *fmt, ...)
{
	va_list args;

	nr_failed += !ok && !known;
	printf("%s %u ", ok ? "ok" : "not ok", ++nr_cases);
	va_start(args, fmt);
	vprintf(fmt, args);
	va_end(args);
	printf("%s%s\n", !ok && known ? " # TODO " : "", !ok && known ? known : "");
}

static double cost_all(unsigned int w, unsigned int p)
{
	return cost_from(result_of(w, p), 0, load_of(w)->seconds);
}

static double vs_default(unsigned int w)
{
	return cost_all(w, COST_LAW) / cost_all(w, STATIC_DEFAULT);
}

/* Phase @i of a load, from when it should have settled; false if there is none. */
static bool phase_get(unsigned int w, unsigned int i, unsigned int *from,
		      unsigned int *to)
{
	const struct workload *load = &workloads[w];

	if (i == MAX_PHASES || (i && !load->phase[i]))
		return false;
	*from = load->phase[i] + SETTLE_S;
	*to = i + 1 < MAX_PHASES && load->phase[i + 1] ? load->phase[i + 1] :
							 load->seconds;
	/* Shorter than that: what there is. */
	if (*from >= *to)
		*from = *to - 1;
	return true;
}

static double plain_from(const struct result *r, unsigned int from, unsigned int to)
{
	return cost_from(r, from, to);
}

/* The static CAP of least cost, of those that the budget has room for. */
static unsigned int best_static(unsigned int w, unsigned int from, unsigned int to,
				double (*cost)(const struct result *r,
					       unsigned int from, unsigned int to))
{
	unsigned int p, best = FIRST_STATIC;

	for (p = FIRST_STATIC; p < NR_POLICIES; p++) {
		if (workloads[w].budget &&
		    policies[p].cap * HKM_NR_CLASSES > workloads[w].budget)
			break;
		if (cost(result_of(w, p), from, to) <
		    cost(result_of(w, best), from, to))
			best = p;
	}
	return best;
}

static double vs_best(unsigned int w, unsigned int from, unsigned int to)
{
	u64 cost = cost_from(result_of(w, COST_LAW), from, to);
	u64 best = cost_from(result_of(w, best_static(w, from, to, plain_from)),
			     from, to);

	return best ? (double)cost / best : cost ? INFINITY : 1;
}

static double vs_best_priced(unsigned int w, unsigned int from, unsigned int to)
{
	unsigned int best = best_static(w, from, to, priced_from);

	return priced_from(result_of(w, COST_LAW), from, to) /
	       priced_from(result_of(w, best), from, to);
}

/* Most changes of direction that any class's CAP made. */
static unsigned int reversals(unsigned int w, unsigned int from, unsigned int to)
{
	const struct result *r = result_of(w, COST_LAW);
	unsigned int id, s, most = 0;

	for (id = 0; id < HKM_NR_CLASSES; id++) {
		unsigned int nr = 0;
		int last = 0;

		for (s = from; s < to; s++) {
			int diff = r->cap[s][id] - r->cap[s - 1][id];

			if (diff > 0 ? last < 0 : diff < 0 && last > 0)
				nr++;
			last = diff ?: last;
		}
		most = max(most, nr);
	}
	return most;
}

/* The step law, set so that it costs as little as the cost law, with least memory. */
static int step_as_cheap(unsigned int w)
{
	double cost = 1.05 * cost_all(w, COST_LAW);
	int p, best = -1;

	for (p = STEP_LAW; p < FIRST_STATIC; p++)
		if (cost_all(w, p) <= cost &&
		    (best < 0 || memory(w, p) < memory(w, best)))
			best = p;
	return best;
}

static void check_best(unsigned int w)
{
	unsigned int i, from, to;

	for (i = 0; phase_get(w, i, &from, &to); i++) {
		double ratio = vs_best(w, from, to);

		verdict(ratio <= 1.05, workloads[w].misses_best[i],
			"%s: within 5 %% of the best static CAP from %u to %u s: %+.1f %%",
			workloads[w].name, from, to, 100 * (ratio - 1));
	}
}

static void check_reversals(unsigned int w)
{
	unsigned int i, from, to, nr;

	for (i = 0; phase_get(w, i, &from, &to); i++) {
		nr = reversals(w, from, to);
		verdict(nr <= (to - from + 59) / 60, NULL,
			"%s: at most one reversal a minute from %u to %u s: %u",
			workloads[w].name, from, to, nr);
	}
}

static void check_memory(unsigned int w)
{
	int p = step_as_cheap(w);
	double ratio;

	if (p < 0) {
		verdict(true, NULL, "%s: no setting of the step law costs as little",
			workloads[w].name);
		return;
	}
	ratio = memory(w, COST_LAW) / max(memory(w, p), 0.1);
	/* Where the load needs all that it keeps, no law can hold less. */
	verdict(ratio <= (workloads[w].falls ? 0.75 : 1.05),
		workloads[w].misses_memory,
		"%s: memory beside %s, which costs as little: %+.1f %%",
		workloads[w].name, policies[p].name, 100 * (ratio - 1));
}

static void check_random(void)
{
	double sum[2][2] = {}, worst = 0;
	unsigned int w, over = 0;
	bool ran = true;

	for (w = nr_workloads; w < nr_workloads + NR_RANDOM; w++) {
		const struct result *law = result_of(w, COST_LAW);
		const struct result *def = result_of(w, STATIC_DEFAULT);

		ran = ran && law->done && !law->faults && def->done && !def->faults;
		sum[0][0] += cost_all(w, COST_LAW);
		sum[0][1] += cost_all(w, STATIC_DEFAULT);
		sum[1][0] += memory(w, COST_LAW);
		sum[1][1] += memory(w, STATIC_DEFAULT);
		over += vs_default(w) > 1.02;
		worst = fmax(worst, vs_default(w));
	}
	printf("# %u random loads: cost %.1f, default %.1f; memory %.0f, default %.0f\n",
	       NR_RANDOM, sum[0][0] / 1e6, sum[0][1] / 1e6, sum[1][0], sum[1][1]);
	verdict(ran, NULL, "random loads ran to their end");
	verdict(!over, "pays for giving back what the default leaves scattered",
		"random loads over 2 %% above the static default: %u; at most %+.1f %%",
		over, 100 * (worst - 1));
}

/* 72 at 3 s, and so on up to 104 at 15 s, where it stays. */
static void check_trace(void)
{
	const struct result *r = result_of(nr_workloads - 1, STEP_LAW);
	unsigned int s, wrong = 0;

	for (s = 0; s < workloads[nr_workloads - 1].seconds; s++)
		wrong += r->cap[s][HKM_CLASS_52K] != min(64 + 8 * ((s + 1) / 3), 104U);
	verdict(!wrong, NULL, "the step law follows its trace");
}

/* A row of the table for each load: all it takes to judge the bars. */
static void table_write(FILE *f)
{
	double sum[2][NR_POLICIES] = {};
	unsigned int w, p, i, from, to;

	fprintf(f, "| load | cost: step | default | best static | cost law ");
	fprintf(f, "| beside default | beside best, 10 s after each change ");
	fprintf(f, "| the same, memory priced ");
	fprintf(f, "| reversals a minute | memory: step | default | cost law ");
	fprintf(f, "| step, as cheap |\n");
	fprintf(f, "|---|---|---|---|---|---|---|---|---|---|---|---|---|\n");
	for (w = 0; w < nr_workloads; w++) {
		unsigned int best = best_static(w, 0, workloads[w].seconds,
						plain_from);
		double most = 0;
		int cheap = step_as_cheap(w);

		for (p = 0; p < NR_POLICIES; p++) {
			sum[0][p] += cost_all(w, p);
			sum[1][p] += memory(w, p);
		}
		fprintf(f, "| %s | %.2f | %.2f | %.2f (%u) | %.2f | %+.1f %% |",
			workloads[w].name, cost_all(w, STEP_LAW) / 1e6,
			cost_all(w, STATIC_DEFAULT) / 1e6, cost_all(w, best) / 1e6,
			policies[best].cap, cost_all(w, COST_LAW) / 1e6,
			100 * (vs_default(w) - 1));
		for (i = 0; phase_get(w, i, &from, &to); i++) {
			double ratio = vs_best(w, from, to);

			fprintf(f, ratio > 1.05 ? " **%+.1f %%**" : " %+.1f %%",
				100 * (ratio - 1));
			most = max(most, 60.0 * reversals(w, from, to) / (to - from));
		}
		fprintf(f, " |");
		for (i = 0; phase_get(w, i, &from, &to); i++)
			fprintf(f, " %+.1f %%", 100 * (vs_best_priced(w, from, to) - 1));
		fprintf(f, " | %.1f | %.0f | %.0f | %.0f | ", most, memory(w, STEP_LAW),
			memory(w, STATIC_DEFAULT), memory(w, COST_LAW));
		if (cheap < 0)
			fprintf(f, "none |\n");
		else
			fprintf(f, "%.0f (%s) |\n", memory(w, cheap), policies[cheap].name);
	}
	fprintf(f, "\n| policy | cost of all | memory of all |\n|---|---|---|\n");
	for (p = 0; p < NR_POLICIES; p++)
		fprintf(f, "| %s | %.1f | %.0f |\n", policies[p].name, sum[0][p] / 1e6,
			sum[1][p]);
}

int main(int argc, char **argv)
{
	unsigned int w, p;
	char path[256];
	FILE *table;

	if (argc != 3 || recording_load(argv[1])) {
		fprintf(stderr, "usage: simulate RECORDING OUT_DIR\n");
		return 2;
	}
	results = mmap(NULL, (nr_workloads + NR_RANDOM) * NR_POLICIES *
				sizeof(*results),
		       PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (results == MAP_FAILED)
		return 2;
	printf("KTAP version 1\n");
	fflush(stdout);
	run_all(argv[2]);

	for (w = 0; w < nr_workloads; w++) {
		bool ran = true;

		for (p = 0; p < NR_POLICIES; p++)
			ran = ran && result_of(w, p)->done && !result_of(w, p)->faults;
		verdict(ran, NULL, "%s: ran to its end under each policy", workloads[w].name);
		if (!ran)
			continue;
		verdict(vs_default(w) <= 1.02, NULL,
			"%s: not over 2 %% above the static default: %+.1f %%",
			workloads[w].name, 100 * (vs_default(w) - 1));
		check_best(w);
		check_reversals(w);
		check_memory(w);
	}
	check_random();
	check_trace();
	printf("1..%u\n", nr_cases);
	snprintf(path, sizeof(path), "%s/table.md", argv[2]);
	table = fopen(path, "w");
	if (!table)
		return 2;
	table_write(table);
	return fclose(table) || nr_failed;
}
