// SPDX-License-Identifier: GPL-2.0
/*
 * The shared tier, the allocator on top of it, and trim below it, under threads
 * and signals.
 *
 *   freelist_stress [SECONDS]     of each stress test, default 2
 *
 * Each block has an owner word. It is exchanged without any memory order, and
 * the blocks are written with plain stores, so that only the allocator's own
 * order stands between one owner and the next; the thread sanitizer checks it.
 */
#include <signal.h>
#include <time.h>
#include <unistd.h>

#include "chunk.h"
#include "chunk_map.h"
#include "cpu_cache.h"
#include "dyn_class.h"
#include "freelist.h"
#include "harden.h"
#include "inventory.h"
#include "reclaim.h"
#include "refill.h"
#include "reserve.h"
#include "trim.h"
#include "../../include/hakmem.h"
#include "../../learner/policy.h"

#define NR_WORKERS	4
#define NR_HELD		24
#define NR_HOMES	2
#define NR_STRESS_CHUNKS 16
#define STRESS_CLASS	HKM_CLASS_32K
#define UNIT_CLASS	HKM_CLASS_16K
#define NR_UNIT_BLOCKS	4
#define NR_TRIM_CHUNKS	4
#define NR_MAILBOXES	32
#define NR_STRESS_DYNS	3

struct worker {
	pthread_t thread;
	unsigned int cpu;
	unsigned int seed;
	unsigned int signal_seed;
	void *held[NR_HELD];
	unsigned int nr;
};

static struct worker workers[NR_WORKERS];
static __thread struct worker *self;
static u32 owner[HOST_ARENA_BYTES >> HKM_GRAIN_SHIFT];
static u64 *mailbox[NR_MAILBOXES];
static unsigned int seconds = 2;
static unsigned int faults;
static bool stop;
static long nr_trimmed;
static unsigned int nr_resized;
/* Passed when all workers are there, and before the first goes. */
static pthread_barrier_t all_here;

#define expect(cond)							\
do {									\
	if (!(cond) && __atomic_fetch_add(&faults, 1, __ATOMIC_RELAXED) < 10) \
		fprintf(stderr, "# line %d: not so: %s\n", __LINE__, #cond); \
} while (0)

/* When to trim is for the cases to say. */
void hkm_reclaim_kick(void)
{
}

bool hkm_reclaim_at_cap(unsigned int bin)
{
	return false;
}

static unsigned int rnd(unsigned int *seed)
{
	*seed = *seed * 1664525 + 1013904223;
	return *seed >> 8;
}

static u32 owner_set(const void *block, u32 to)
{
	unsigned long id = ((unsigned long)block - PAGE_OFFSET) >> HKM_GRAIN_SHIFT;

	return __atomic_exchange_n(&owner[id], to, __ATOMIC_RELAXED);
}

/* A block is ours from here on, and was nobody's. */
static void block_take(void *block)
{
	expect(owner_set(block, host_cpu + 1) == 0);
	*(u64 *)block = host_cpu;
}

static void block_give(void *block)
{
	expect(*(u64 *)block == host_cpu);
	expect(owner_set(block, 0) == host_cpu + 1);
}

static void worker_take(unsigned int nr)
{
	while (nr--)
		block_take(self->held[self->nr++]);
}

static void *const *worker_give(unsigned int nr)
{
	unsigned int i;

	self->nr -= nr;
	for (i = 0; i < nr; i++)
		block_give(self->held[self->nr + i]);
	return &self->held[self->nr];
}

/* Half of them are for chunks that drain. */
static unsigned int any_home(unsigned int n)
{
	return n % NR_HOMES + (n / NR_HOMES % 2 ? HKM_DRAINS : 0);
}

static bool chunk_take(unsigned int home)
{
	struct hkm_chunk *chunk = hkm_chunk_create(STRESS_CLASS, home, NUMA_NO_NODE, GFP_KERNEL);
	unsigned int i;

	if (!chunk)
		return false;
	/* Grace periods are late, and memory is short. */
	if (hkm_chunk_is_fragment(chunk)) {
		hkm_chunk_release(chunk);
		return false;
	}
	for (i = 0; i < chunk->nr_blocks; i++)
		self->held[self->nr + i] = hkm_chunk_block(chunk, i);
	worker_take(chunk->nr_blocks);
	return true;
}

/* The chunk of a block that is ours, and so keeps it. */
static struct hkm_chunk *chunk_of(const void *block)
{
	struct hkm_chunk *chunk;

	preempt_disable();
	chunk = hkm_chunk_lookup(block);
	preempt_enable();
	return chunk;
}

/* Releases a chunk if all its blocks happen to be ours, and takes a new one. */
static void chunk_replace(void)
{
	unsigned int i, j;

	for (i = 0; i < self->nr; i++) {
		struct hkm_chunk *chunk = chunk_of(self->held[i]);

		for (j = i + 1; j < self->nr; j++) {
			if (chunk_of(self->held[j]) != chunk)
				continue;
			if (self->nr + 2 > NR_HELD ||
			    !chunk_take(any_home(rnd(&self->seed))))
				return;
			block_give(self->held[i]);
			block_give(self->held[j]);
			self->held[j] = self->held[--self->nr];
			self->held[i] = self->held[--self->nr];
			hkm_chunk_release(chunk);
			return;
		}
	}
}

static void freelist_step(void)
{
	unsigned int what = rnd(&self->seed), many = 1 + rnd(&self->seed) % 4;
	unsigned int home = rnd(&self->seed) % NR_HOMES;
	void **end = &self->held[self->nr];

	if (what % 64 == 0)
		return chunk_replace();
	/* As trim does. */
	if (what % 64 == 2 && self->nr) {
		WRITE_ONCE(chunk_of(self->held[0])->home, any_home(rnd(&self->seed)));
		return;
	}
	preempt_disable();
	if (what % 2 && self->nr + many <= NR_HELD) {
		if (what & 4)
			many = hkm_remote_drain(STRESS_CLASS, home, end, many);
		else
			many = hkm_freelist_pop(STRESS_CLASS, home, end, many);
		worker_take(many);
	} else if (self->nr >= many) {
		if (what & 4)
			expect(hkm_remote_push(STRESS_CLASS, worker_give(1)[0]));
		else
			expect(hkm_freelist_push(STRESS_CLASS, worker_give(many),
						 many) == many);
	}
	preempt_enable();
}

/* Sends a new block to another thread and frees one that was sent. */
static void api_step(unsigned int *seed, bool nested)
{
	size_t size = HKM_MIN_BYTES + rnd(seed) % (HKM_MAX_BYTES - HKM_MIN_BYTES + 1);
	u64 **box = &mailbox[rnd(seed) % NR_MAILBOXES], *p = NULL;
	gfp_t zero = rnd(seed) % 8 ? 0 : __GFP_ZERO;
	gfp_t gfp = rnd(seed) % 2 ? GFP_KERNEL : GFP_ATOMIC;
	size_t last = size / sizeof(*p) - 1, i;

	if (rnd(seed) % 8)
		p = nested ? hkm_kmalloc_nolock(size, zero) :
			     hkm_kmalloc(size, gfp | zero);
	/* A refill fails while the chunk map grows. */
	if (p && !hkm_owns(p)) {
		hkm_kfree(p);
		p = NULL;
	}
	if (p) {
		expect(owner_set(p, 1) == 0);
		for (i = 0; zero && i <= last; i++)
			expect(p[i] == 0);
		p[0] = last;
		p[last] = (unsigned long)p;
	}
	/* Hands the block over as a caller of the allocator would. */
	p = __atomic_exchange_n(box, p, __ATOMIC_ACQ_REL);
	if (p) {
		expect(p[p[0]] == (unsigned long)p);
		expect(owner_set(p, 0) == 1);
		hkm_kfree(p);
	}
}

/* What reclaim has an interrupt do. */
static void this_cpu_flush(void)
{
	struct hkm_cpu *cpu;

	preempt_disable();
	cpu = hkm_cpu_enter();
	if (cpu != &hkm_cpu_busy)
		hkm_cpu_flush_all(cpu);
	hkm_cpu_leave(cpu);
	preempt_enable();
}

static void on_signal(int sig)
{
	if (!self)
		return;
	host_in_nmi = true;
	if (rnd(&self->signal_seed) % 4 == 0)
		this_cpu_flush();
	api_step(&self->signal_seed, true);
	host_in_nmi = false;
}

static void *freelist_worker(void *arg)
{
	self = arg;
	host_cpu = self->cpu;
	pthread_barrier_wait(&all_here);
	while (!READ_ONCE(stop))
		freelist_step();
	pthread_barrier_wait(&all_here);
	return NULL;
}

static void *api_worker(void *arg)
{
	const struct itimerspec often = {
		.it_value.tv_nsec = 50000, .it_interval.tv_nsec = 50000,
	};
	struct sigevent event = {
		.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGUSR1,
	};
	struct worker *worker = arg;
	timer_t timer;

	event._sigev_un._tid = gettid();
	host_cpu = worker->cpu;
	pthread_barrier_wait(&all_here);
	WRITE_ONCE(self, worker);
	timer_create(CLOCK_MONOTONIC, &event, &timer);
	timer_settime(timer, 0, &often, NULL);
	while (!READ_ONCE(stop))
		api_step(&worker->seed, false);
	timer_delete(timer);
	WRITE_ONCE(self, NULL);
	pthread_barrier_wait(&all_here);
	/* No signal now leaves a section open. */
	preempt_disable();
	preempt_enable();
	return NULL;
}

/* Trims class after class, on a CPU of its own. */
static void *trim_worker(void *arg)
{
	unsigned int seed = 0, id;
	long keep;

	host_cpu = NR_WORKERS + 1;
	pthread_barrier_wait(&all_here);
	while (!READ_ONCE(stop)) {
		id = rnd(&seed) % hkm_nr_bins;
		keep = rnd(&seed) % 32;
		nr_trimmed += hkm_trim_bin(id, keep);
		hkm_reserve_fill(GFP_KERNEL);
		/* Others only take from there. */
		expect(hkm_inventory_count(id) <= keep);
	}
	pthread_barrier_wait(&all_here);
	return NULL;
}

/*
 * Runs the workers, and @other if it is not NULL; meanwhile grace periods end and
 * memory is hot-added.
 */
static void workers_run(void *(*fn)(void *arg), void *(*other)(void *arg))
{
	static struct memory_notify mem = {
		.start_pfn = HOST_ARENA_BYTES >> PAGE_SHIFT,
	};
	time_t end = time(NULL) + seconds;
	unsigned int i, turn;
	pthread_t thread;

	/* No worker's, for callbacks that enter sections. */
	host_cpu = 0;
	WRITE_ONCE(stop, false);
	pthread_barrier_init(&all_here, NULL, NR_WORKERS + 1 + !!other);
	if (other)
		pthread_create(&thread, NULL, other, NULL);
	for (i = 0; i < NR_WORKERS; i++)
		pthread_create(&workers[i].thread, NULL, fn, &workers[i]);
	pthread_barrier_wait(&all_here);
	for (turn = 0; time(NULL) <= end; turn++) {
		usleep(500);
		rcu_barrier();
		if (turn % 64 == 0) {
			mem.nr_pages += 1UL << (HKM_CHUNK_SHIFT + HKM_LEAF_SHIFT -
						PAGE_SHIFT);
			host_memory_nb->notifier_call(host_memory_nb,
						      MEM_GOING_ONLINE, &mem);
		}
	}
	WRITE_ONCE(stop, true);
	pthread_barrier_wait(&all_here);
	for (i = 0; i < NR_WORKERS; i++)
		pthread_join(workers[i].thread, NULL);
	if (other)
		pthread_join(thread, NULL);
	pthread_barrier_destroy(&all_here);
}

/* Pages given out and not yet back, in chunks. */
static unsigned int chunks_used(void)
{
	return DIV_ROUND_UP(host_pages_used(), 1U << HKM_CHUNK_ORDER);
}

static u64 stat_sum(enum hkm_counter counter)
{
	struct hkm_class_stats sum;
	unsigned int id;
	u64 total = 0;

	for (id = 0; id < HKM_NR_CLASSES; id++) {
		hkm_stats_class(id, &sum);
		total += sum.slow[counter];
	}
	return total;
}

static void test_freelist_stress(void)
{
	void *blocks[2 * NR_STRESS_CHUNKS];
	unsigned int i, nr;

	for (i = 0; i < NR_STRESS_CHUNKS; i++) {
		self = &workers[i % NR_WORKERS];
		host_cpu = self->cpu;
		chunk_take(any_home(i));
	}
	workers_run(freelist_worker, NULL);

	for (i = 0; i < NR_WORKERS; i++) {
		self = &workers[i];
		host_cpu = self->cpu;
		nr = self->nr;
		if (nr)
			hkm_freelist_push(STRESS_CLASS, worker_give(nr), nr);
	}
	self = NULL;
	nr = 0;
	for (i = 1; i && nr < ARRAY_SIZE(blocks); nr += i)
		i = hkm_freelist_pop(STRESS_CLASS, 0, blocks + nr, 1) ?:
		    hkm_remote_drain(STRESS_CLASS, 0, blocks + nr, 1);
	expect(nr == ARRAY_SIZE(blocks));
	for (i = 0; i < nr; i++)
		block_take(blocks[i]);
	expect(!hkm_freelist_pop(STRESS_CLASS, 0, blocks, 1));
	expect(!hkm_remote_drain(STRESS_CLASS, 0, blocks, 1));
	for (i = 0; i < nr; i++)
		block_give(blocks[i]);
	expect(hkm_freelist_push(STRESS_CLASS, blocks, nr) == nr);
	printf("# batches: %llu pushed, %llu popped; %llu remote frees, %llu retries\n",
	       stat_sum(HKM_freelist_pushes), stat_sum(HKM_freelist_pops),
	       stat_sum(HKM_remote_frees), stat_sum(HKM_cas_retries));
}

/* Takes blocks off a ring; they go back another way. */
static void *ring_worker(void *arg)
{
	void *held[16];
	unsigned int nr;

	host_cpu = 1;
	while (!READ_ONCE(stop)) {
		for (nr = 0; nr < ARRAY_SIZE(held); nr++)
			held[nr] = hkm_kmalloc(SZ_32K, 0);
		preempt_disable();
		expect(hkm_freelist_push(STRESS_CLASS, held, nr) == nr);
		preempt_enable();
	}
	return NULL;
}

/* What others see of a ring in use is no less than what was freed into it. */
static void test_ring_frees(void)
{
	const struct hkm_ring *ring = &hkm_cpu_of(1)->ring[STRESS_CLASS];
	u64 frees = hkm_ring_frees(ring);
	time_t end = time(NULL) + seconds;
	pthread_t thread;
	unsigned int i;

	/* The counts are plain. */
	if (HOST_TSAN)
		return;
	WRITE_ONCE(stop, false);
	pthread_create(&thread, NULL, ring_worker, NULL);
	while (time(NULL) <= end)
		for (i = 0; i < 100000; i++)
			expect((s64)(hkm_ring_frees(ring) - frees) >= 0);
	WRITE_ONCE(stop, true);
	pthread_join(thread, NULL);
}

static void test_api_stress(void)
{
	const struct sigaction action = { .sa_handler = on_signal };
	u64 nested = stat_sum(HKM_remote_frees), rejects = stat_sum(HKM_rejects);
	struct hkm_class_stats sum;
	unsigned int i;

	sigaction(SIGUSR1, &action, NULL);
	workers_run(api_worker, trim_worker);
	for (i = 0; i < NR_MAILBOXES; i++) {
		if (mailbox[i])
			owner_set(mailbox[i], 0);
		hkm_kfree(mailbox[i]);
		mailbox[i] = NULL;
	}
	expect(stat_sum(HKM_rejects) == rejects);
	expect(nr_trimmed > 0);
	expect(stat_sum(HKM_reuses) > 0);
	for (i = 0; i < HKM_NR_CLASSES; i++) {
		/* The other tests go around the counters of these. */
		if (i == STRESS_CLASS || i == UNIT_CLASS)
			continue;
		hkm_stats_class(i, &sum);
		expect(hkm_stats_live(&sum) == 0);
	}
	printf("# %llu refills, %llu frees in signal handlers that hit a busy section\n",
	       stat_sum(HKM_refills), stat_sum(HKM_remote_frees) - nested);
	printf("# %ld chunks trimmed, %llu taken from the inventory\n", nr_trimmed,
	       stat_sum(HKM_reuses));
}

/* Nothing is in use but the unit tests' blocks. */
static void test_trim_all(void)
{
	struct hkm_class_stats sum;
	unsigned int id, cpu;

	host_cpu = 0;
	for (cpu = 0; cpu < HOST_NR_CPUS; cpu++) {
		preempt_disable();
		hkm_cpu_flush_all(hkm_cpu_of(cpu));
		preempt_enable();
	}
	for (id = 0; id < hkm_nr_bins; id++) {
		hkm_trim_bin(id, 0);
		expect(hkm_inventory_count(id) == 0);
		expect(hkm_chunk_count(id) == (id == UNIT_CLASS));
		/* The other tests go around the counters of these. */
		if (hkm_bin_class(id) == STRESS_CLASS || hkm_bin_class(id) == UNIT_CLASS)
			continue;
		hkm_stats_read(id, &sum);
		expect(!sum.parked && !sum.shared && !sum.moving);
		expect(!hkm_inventory_blocks(id));
		expect(!hkm_chunk_unusable_bytes(id));
	}
	rcu_barrier();
	expect(chunks_used() == 1);
}

static void reserve_set(unsigned int chunks)
{
	struct hkm_policy *policy = hkm_policy_edit();

	policy->reserve_chunks = chunks;
	expect(!hkm_policy_commit(policy));
	hkm_reserve_fill(GFP_KERNEL);
}

/* Memory breaks and mends all the time: areas and chunks take each other's places. */
static void *mend_worker(void *arg)
{
	unsigned int seed = 0, turn, id;
	struct hkm_policy *policy;

	host_cpu = NR_WORKERS + 1;
	pthread_barrier_wait(&all_here);
	for (turn = 0; !READ_ONCE(stop); turn++) {
		WRITE_ONCE(host_order_max, turn % 3 ? HKM_CHUNK_ORDER - 1 - turn % 2 : UINT_MAX);
		if (turn % 16 == 0) {
			policy = hkm_policy_edit();
			policy->reserve_chunks = rnd(&seed) % 16;
			expect(!hkm_policy_commit(policy));
		}
		for (id = 0; id < hkm_nr_bins; id++)
			nr_trimmed += hkm_trim_bin(id, rnd(&seed) % 2 * 4);
		hkm_reserve_fill(GFP_KERNEL);
		rcu_barrier();
	}
	pthread_barrier_wait(&all_here);
	return NULL;
}

/* Runs the allocator beside @other until nothing is in use any more. */
static void mailboxes_stress(void *(*other)(void *arg))
{
	const struct sigaction action = { .sa_handler = on_signal };
	unsigned int i;
	struct hkm_class_stats sum;

	sigaction(SIGUSR1, &action, NULL);
	workers_run(api_worker, other);
	for (i = 0; i < NR_MAILBOXES; i++) {
		if (mailbox[i])
			owner_set(mailbox[i], 0);
		hkm_kfree(mailbox[i]);
		mailbox[i] = NULL;
	}
	for (i = 0; i < HKM_NR_CLASSES; i++) {
		if (i == STRESS_CLASS || i == UNIT_CLASS)
			continue;
		hkm_stats_class(i, &sum);
		expect(hkm_stats_live(&sum) == 0);
	}
}

static void test_mend_stress(void)
{
	reserve_set(8);
	mailboxes_stress(mend_worker);
	host_order_max = UINT_MAX;
	reserve_set(0);
}

/* Fragments come, go, and are neighbours; chunks are to be had from the reserve. */
static void test_pieces_stress(void)
{
	u64 refills = stat_sum(HKM_refills), reserved = stat_sum(HKM_reserve_refills);

	reserve_set(8);
	host_order_max = HKM_CHUNK_ORDER - 1;
	test_api_stress();
	host_order_max = UINT_MAX;
	reserve_set(0);
	expect(stat_sum(HKM_refills) > refills);
	expect(stat_sum(HKM_reserve_refills) > reserved);
}

/* Has a dynamic class serve blocks of that size; or retire. */
static void dyn_set(unsigned int i, u32 bytes)
{
	struct hkm_policy *policy = hkm_policy_edit();

	if (bytes)
		hkm_dyn_class_resize(HKM_CLASS_DYN1 + i, bytes);
	policy->dyn_bytes[i] = bytes;
	expect(!hkm_policy_commit(policy));
}

/* Dynamic classes retire, and when nobody needs them any more get another size. */
static void *size_worker(void *arg)
{
	unsigned int seed = 0, turn, id, i;
	unsigned long retired = 0, vacant;

	host_cpu = NR_WORKERS + 1;
	pthread_barrier_wait(&all_here);
	for (turn = 0; !READ_ONCE(stop); turn++) {
		WRITE_ONCE(host_order_max, turn / 64 % 2 ? HKM_CHUNK_ORDER - 1 - turn % 2 :
							  UINT_MAX);
		i = rnd(&seed) % NR_STRESS_DYNS;
		if (!(retired & BIT(i)))
			dyn_set(i, 0);
		retired |= BIT(i);
		for (id = 0; id < hkm_nr_bins; id++)
			nr_trimmed += hkm_trim_bin(id, 0);
		vacant = hkm_dyn_classes_vacant(retired);
		expect(!(vacant & ~retired));
		for (i = 0; i < NR_STRESS_DYNS; i++) {
			if (!(vacant & BIT(i)))
				continue;
			dyn_set(i, HKM_GRAIN_BYTES * (5 + rnd(&seed) % 99));
			retired &= ~BIT(i);
			nr_resized++;
		}
	}
	pthread_barrier_wait(&all_here);
	return NULL;
}

/* The page allocator takes its time. */
static void pages_wait(void)
{
	static unsigned int turn;

	if (__atomic_fetch_add(&turn, 1, __ATOMIC_RELAXED) % 4 == 0)
		usleep(200);
}

static void test_size_stress(void)
{
	reserve_set(8);
	WRITE_ONCE(hkm_test_pages_wait, pages_wait);
	mailboxes_stress(size_worker);
	WRITE_ONCE(hkm_test_pages_wait, NULL);
	host_order_max = UINT_MAX;
	reserve_set(0);
	printf("# %u times a class got another size\n", nr_resized);
	expect(nr_resized > 0);
}

/* Unit tests: one thread, four blocks of home shard 5. */
static void *block[NR_UNIT_BLOCKS];

static unsigned int push(unsigned int first, unsigned int nr)
{
	return hkm_freelist_push(UNIT_CLASS, &block[first], nr);
}

/* Whether a pop of at most @max gives @nr blocks from number @first on. */
static bool pops(unsigned int max, unsigned int first, unsigned int nr)
{
	void *got[NR_UNIT_BLOCKS];

	return hkm_freelist_pop(UNIT_CLASS, 0, got, max) == nr &&
	       !memcmp(got, &block[first], nr * sizeof(*got));
}

static void test_batches(void)
{
	expect(push(0, 1) == 1);
	expect(push(1, 3) == 3);
	expect(pops(4, 1, 3));
	expect(pops(4, 0, 1));
	expect(pops(4, 0, 0));
}

static void test_rest_goes_back(void)
{
	expect(push(0, 4) == 4);
	expect(pops(1, 0, 1));
	expect(pops(2, 1, 2));
	expect(pops(2, 3, 1));
}

static void test_remote(void)
{
	void *got[2];
	unsigned int i;

	for (i = 0; i < NR_UNIT_BLOCKS; i++)
		expect(hkm_remote_push(UNIT_CLASS, block[i]));
	expect(hkm_remote_drain(UNIT_CLASS, 9, got, 2) == 2);
	expect(got[0] == block[3] && got[1] == block[2]);
	expect(hkm_remote_drain(UNIT_CLASS, 9, got, 2) == 0);
	expect(hkm_freelist_pop(UNIT_CLASS, 9, got, 2) == 2);
	expect(got[0] == block[1] && got[1] == block[0]);
}

static void test_refused(void)
{
	void *twice[] = { block[0], block[1], block[0] };

	expect(hkm_freelist_push(UNIT_CLASS, twice, 3) == 2);
	expect(push(1, 1) == 0);
	expect(!hkm_remote_push(UNIT_CLASS, block[0]));
	expect(pops(1, 1, 1));
	expect(pops(1, 0, 1));
	expect(pops(1, 0, 0));
}

static void test_tag(void)
{
	u64 id_mask, tag;
	struct hkm_shared *shared = hkm_test_shared(UNIT_CLASS, &id_mask);
	atomic64_t *head = &shared->shard[5].head;

	tag = atomic64_read(head) & ~id_mask;
	expect(push(0, 2) == 2);
	tag += id_mask + 1;
	expect((atomic64_read(head) & ~id_mask) == tag);
	expect(pops(2, 0, 2));
	expect((atomic64_read(head) & ~id_mask) == tag);
	/* The last tag is followed by 0. */
	atomic64_set(head, ~id_mask);
	expect(push(0, 1) == 1);
	expect((atomic64_read(head) & ~id_mask) == 0);
	expect(pops(1, 0, 1));
}

static void test_masks(void)
{
	u64 id_mask;
	struct hkm_shared *shared = hkm_test_shared(UNIT_CLASS, &id_mask);

	expect(push(0, 1) == 1);
	expect(atomic64_read(&shared->nonempty) == BIT_ULL(5));
	expect(pops(1, 0, 1));
	expect(pops(1, 0, 0));
	expect(atomic64_read(&shared->nonempty) == 0);
	expect(hkm_remote_push(UNIT_CLASS, block[0]));
	expect(atomic64_read(&shared->remote_nonempty) == BIT_ULL(5));
	expect(hkm_remote_drain(UNIT_CLASS, 0, block, 1) == 1);
	expect(atomic64_read(&shared->remote_nonempty) == 0);
}

/* Trim: more chunks of that class, each of another home shard. */
static struct hkm_chunk *chunk[NR_TRIM_CHUNKS];

static void *trim_block(unsigned int c, unsigned int i)
{
	return chunk[c]->slot[i].block;
}

static void chunks_create(void)
{
	unsigned int c;

	for (c = 0; c < NR_TRIM_CHUNKS; c++)
		chunk[c] = hkm_chunk_create(UNIT_CLASS, c, NUMA_NO_NODE, GFP_KERNEL);
}

/* Frees block @first and those after it of each chunk: in batches of all, and alone. */
static void chunks_push(unsigned int first)
{
	void *batch[NR_TRIM_CHUNKS];
	unsigned int c, i;

	for (i = first; i < NR_UNIT_BLOCKS; i++) {
		for (c = 0; c < NR_TRIM_CHUNKS; c++) {
			batch[c] = trim_block((c + i) % NR_TRIM_CHUNKS, i);
			if (i % 4 == 0)
				expect(hkm_remote_push(UNIT_CLASS, batch[c]));
		}
		if (i % 4)
			expect(hkm_freelist_push(UNIT_CLASS, batch, c) == c);
	}
}

static void test_trim_whole(void)
{
	unsigned int before = chunks_used();

	chunks_create();
	chunks_push(0);
	expect(chunks_used() == before + NR_TRIM_CHUNKS);
	expect(hkm_trim_bin(UNIT_CLASS, 0) == NR_TRIM_CHUNKS);
	expect(hkm_chunk_count(UNIT_CLASS) == 1);
	rcu_barrier();
	expect(chunks_used() == before);
}

static void test_trim_live(void)
{
	unsigned int before = chunks_used(), c;
	void *got[NR_UNIT_BLOCKS];

	chunks_create();
	chunks_push(1);
	for (c = 1; c < NR_TRIM_CHUNKS; c++)
		expect(hkm_remote_push(UNIT_CLASS, trim_block(c, 0)));
	memset(trim_block(0, 0), 0xa5, SZ_8K);
	expect(hkm_trim_bin(UNIT_CLASS, 0) == NR_TRIM_CHUNKS - 1);
	rcu_barrier();
	expect(chunks_used() == before + 1);
	expect(!memchr_inv(trim_block(0, 0), 0xa5, SZ_8K));
	/* Its other blocks are to be had, as one batch. */
	expect(hkm_freelist_pop(UNIT_CLASS, 0, got, NR_UNIT_BLOCKS) ==
	       NR_UNIT_BLOCKS - 1);
	expect(!hkm_freelist_pop(UNIT_CLASS, 0, got + NR_UNIT_BLOCKS - 1, 1));
	got[NR_UNIT_BLOCKS - 1] = trim_block(0, 0);
	expect(hkm_freelist_push(UNIT_CLASS, got, NR_UNIT_BLOCKS) == NR_UNIT_BLOCKS);
	expect(hkm_trim_bin(UNIT_CLASS, 0) == 1);
	rcu_barrier();
	expect(chunks_used() == before);
}

static void test_inventory(void)
{
	unsigned int before = chunks_used();
	struct hkm_chunk *kept;

	chunks_create();
	chunks_push(0);
	expect(hkm_trim_bin(UNIT_CLASS, 3) == NR_TRIM_CHUNKS - 3);
	expect(hkm_inventory_count(UNIT_CLASS) == 3);
	expect(hkm_trim_bin(UNIT_CLASS, 3) == 0);
	expect(hkm_trim_bin(UNIT_CLASS, 2) == 1);
	expect(hkm_inventory_shrink(UNIT_CLASS, 1, LONG_MAX) == 1);
	kept = hkm_inventory_get(UNIT_CLASS);
	expect(kept);
	expect(!hkm_inventory_get(UNIT_CLASS));
	hkm_chunk_release(kept);
	rcu_barrier();
	expect(chunks_used() == before);
}

/* A double free that the key missed, of blocks that trim has taken. */
static void test_trim_refused(void)
{
	unsigned int c;
	void *freed;

	chunks_create();
	chunks_push(0);
	expect(hkm_trim_bin(UNIT_CLASS, NR_TRIM_CHUNKS) == 0);
	for (c = 0; c < NR_TRIM_CHUNKS; c++) {
		freed = trim_block(c, 1);
		expect(hkm_freelist_push(UNIT_CLASS, &freed, 1) == 0);
		expect(!hkm_remote_push(UNIT_CLASS, trim_block(c, 2)));
	}
	freed = trim_block(0, 1);
	expect(hkm_trim_bin(UNIT_CLASS, 0) == NR_TRIM_CHUNKS);
	/* Of a chunk that has gone, too. */
	expect(hkm_freelist_push(UNIT_CLASS, &freed, 1) == 0);
	rcu_barrier();
	expect(chunks_used() == 1);
}

/* A refill need not sleep for what the inventory has. */
static void test_refill(void)
{
	unsigned int before, id = UNIT_CLASS;
	bool zeroed;
	void *got;

	chunks_create();
	chunks_push(0);
	expect(hkm_trim_bin(id, 1) == NR_TRIM_CHUNKS - 1);
	before = host_reclaims;
	got = hkm_alloc_refill(id, 9, NUMA_NO_NODE, GFP_KERNEL, &zeroed);
	expect(host_reclaims == before);
	expect(hkm_chunk_count(id) == 1 + hkm_policy->bundle[id]);
	expect(hkm_inventory_count(id) == 0);
	expect(chunk_of(got)->home == 9);
	expect(hkm_freelist_push(id, &got, 1) == 1);
	this_cpu_flush();
	expect(hkm_trim_bin(id, 0) == hkm_policy->bundle[id]);
	rcu_barrier();
	expect(chunks_used() == 1);
	/* Without stock it may, for what it cannot do without: a fragment. */
	host_order_max = HKM_CHUNK_ORDER - 1;
	got = hkm_alloc_refill(id, 9, NUMA_NO_NODE, GFP_KERNEL, &zeroed);
	host_order_max = UINT_MAX;
	expect(host_reclaims == before + 1);
	expect(hkm_freelist_push(id, &got, 1) == 1);
	this_cpu_flush();
	expect(hkm_trim_bin(id, 0) == 1);
	rcu_barrier();
}

/* Requests are served from the node that this CPU is on, with as few refills as ever. */
static void near_is_served(void)
{
	unsigned int nr_refills = stat_sum(HKM_refills), i;
	void *got[32];

	for (i = 0; i < ARRAY_SIZE(got); i++) {
		got[i] = hkm_kmalloc(SZ_8K, GFP_KERNEL);
		expect(page_to_nid(virt_to_page(got[i])) == numa_mem_id());
	}
	expect(stat_sum(HKM_refills) - nr_refills <= ARRAY_SIZE(got) * SZ_8K / HKM_CHUNK_BYTES);
	while (i--)
		hkm_kfree(got[i]);
	this_cpu_flush();
	for (i = HKM_CLASS_8K; i < hkm_nr_bins; i += HKM_NR_CLASSES)
		hkm_trim_bin(i, 0);
	rcu_barrier();
}

/* CPUs may be on another node when they come back. */
static void test_cpu_moves(void)
{
	near_is_served();
	host_first_nid = 1;
	reserve_set(0);
	near_is_served();
	host_first_nid = 0;
	hkm_policy_cpu_comes(host_cpu);
	near_is_served();
	reserve_set(0);
}

static void pool_init(void)
{
	unsigned int i;

	expect(!hkm_size_classes_init(10752));
	hkm_harden_init();
	expect(!hkm_policy_init());
	expect(!hkm_chunk_map_init());
	hkm_reserve_init();
	/* So that all chunks are some class's. */
	reserve_set(0);
	expect(!hkm_shared_init());
	expect(!hkm_cpu_init());
	expect(!hkm_map_watch_init());
	for (i = 0; i < NR_WORKERS; i++) {
		workers[i].cpu = i + 1;
		workers[i].seed = i;
		workers[i].signal_seed = i + NR_WORKERS;
	}
}

static void test_init(void)
{
	struct hkm_chunk *chunk;
	unsigned int i;

	pool_init();
	chunk = hkm_chunk_create(UNIT_CLASS, 5, NUMA_NO_NODE, GFP_KERNEL);
	for (i = 0; i < NR_UNIT_BLOCKS; i++)
		block[i] = chunk->slot[i].block;
	expect(chunk->nr_blocks == NR_UNIT_BLOCKS);
}

/* All chunks go back: every block is in the pool's hands exactly once. */
static void test_exit(void)
{
	unsigned int id;

	host_cpu = 0;
	expect(push(0, NR_UNIT_BLOCKS) == NR_UNIT_BLOCKS);
	hkm_map_watch_exit();
	hkm_pool_drain();
	for (id = 0; id < hkm_nr_bins; id++)
		expect(hkm_chunk_count(id) == 0);
	hkm_chunk_map_exit();
	hkm_reserve_exit();
	hkm_cpu_exit();
	hkm_shared_exit();
	hkm_policy_exit();
	expect(chunks_used() == 0);
}

static const struct {
	const char *name;
	void (*run)(void);
} cases[] = {
	{ "init", test_init },
	{ "batches come back whole, last one first", test_batches },
	{ "what is over the most wanted goes back", test_rest_goes_back },
	{ "a remote stack is drained whole", test_remote },
	{ "a block is not taken twice", test_refused },
	{ "a push takes a new tag, which may wrap", test_tag },
	{ "mask bits follow the stock", test_masks },
	{ "trim releases whole chunks", test_trim_whole },
	{ "trim leaves a chunk with a live block", test_trim_live },
	{ "the inventory keeps no more than asked", test_inventory },
	{ "a block that trim has taken is not taken twice", test_trim_refused },
	{ "a refill that found a kept chunk does not sleep", test_refill },
	{ "a CPU on another node than before is served there", test_cpu_moves },
	{ "shared tier under threads", test_freelist_stress },
	{ "the count of a ring's frees, read by others, is never too low", test_ring_frees },
	{ "allocator under threads and signals", test_api_stress },
	{ "all chunks can be trimmed once all is free", test_trim_all },
	{ "the same where memory is in pieces", test_pieces_stress },
	{ "all fragments can be trimmed, too", test_trim_all },
	{ "the same while memory breaks and mends", test_mend_stress },
	{ "and all of that can be trimmed", test_trim_all },
	{ "the same while classes get other sizes", test_size_stress },
	{ "and all of these can be trimmed", test_trim_all },
	{ "exit gives everything back", test_exit },
};

int main(int argc, char **argv)
{
	unsigned int i;

	if (argc > 1)
		seconds = atoi(argv[1]);
	setvbuf(stdout, NULL, _IOLBF, 0);
	printf("KTAP version 1\n1..%zu\n", ARRAY_SIZE(cases));
	for (i = 0; i < ARRAY_SIZE(cases) && !faults; i++) {
		cases[i].run();
		printf("%s %u %s\n", faults ? "not ok" : "ok", i + 1, cases[i].name);
	}
	/* On broken lists, the next case might not end. */
	if (faults)
		printf("Bail out!\n");
	return faults != 0;
}
