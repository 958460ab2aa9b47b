// SPDX-License-Identifier: GPL-2.0
/*
 * Front end: per CPU and bin a ring of free blocks and two active pages.
 *
 * Everything in struct hkm_cpu but the ages of rings belongs to its CPU and is
 * changed only inside a busy section (hkm_cpu_enter()): preemption is off, so no
 * other task gets in, and an interrupt or NMI that comes meanwhile finds a
 * stand-in and goes to the shared tier. No lock, no atomic operation, no masked
 * interrupts, and no test for being interrupted on the hot path.
 *
 * What a CPU holds is bounded in bytes. Every ring slot that may be filled and
 * every active page installed is granted out of one budget per CPU. Rings start
 * at nothing and double each time they run full or empty, as long as there is room;
 * room is taken from bins that were idle since the hand last passed them (a
 * clock, as for page replacement). So a CPU's whole budget serves the bins that
 * it uses now, and busy bins do not rob each other. A bin of large blocks may
 * hold half of the budget at most: of the default one none of 1 MiB, which come from
 * the shared tier and go there.
 *
 * Requests take from the rings of the CPU's own node. Which those are costs them
 * nothing: each CPU's class table (policy.h) names its own node's bins. A block
 * of another node, freed here, lands in that bin's ring, which its descriptor
 * names as any other, and goes home with others, in a batch.
 */
#include <linux/kmemleak.h>
#include <linux/log2.h>
#include <linux/mm.h>
#include <linux/nodemask.h>
#include <linux/string.h>
#include <linux/topology.h>

#include "chunk.h"
#include "cpu_cache.h"
#include "freelist.h"
#include "harden.h"
#include "../include/hkm_compat.h"
#include "../learner/policy.h"

#define HKM_BATCH_MAX	(HKM_RING_SLOTS / 2)
#define HKM_GROW_PAUSE	8

/* Set at init. */
struct hkm_counters __percpu *hkm_counters;
EXPORT_SYMBOL_IF_KUNIT(hkm_counters);
struct hkm_histogram __percpu *hkm_histogram;
EXPORT_SYMBOL_IF_KUNIT(hkm_histogram);

DEFINE_PER_CPU(struct hkm_cpu *, hkm_cpu_mine);

/* Never written to: no block in any ring, and no room for one. */
struct hkm_cpu hkm_cpu_busy;
EXPORT_SYMBOL_IF_KUNIT(hkm_cpu_busy);
struct hkm_cpu hkm_cpu_watched;
EXPORT_SYMBOL_IF_KUNIT(hkm_cpu_watched);

DEFINE_PER_CPU(struct hkm_cpu *, hkm_cpu_this);
#if IS_ENABLED(CONFIG_KUNIT)
EXPORT_PER_CPU_SYMBOL_GPL(hkm_cpu_mine);
EXPORT_PER_CPU_SYMBOL_GPL(hkm_cpu_this);
#endif

/* Fields that hkm_stats_read() looks at from elsewhere are written in one go. */
static void ring_put(struct hkm_ring *ring, void *block)
{
	ring->slot[ring->nr] = block;
	hkm_ring_nr_set(ring, ring->nr + 1);
}

/* Moves the @nr blocks longest in the ring to the shared tier. */
static void ring_flush(struct hkm_ring *ring, unsigned int bin,
		       unsigned int nr)
{
	unsigned long i;

	/* A block that is refused was no free: it leaves the count of frees. */
	data_race(ring->flushed += hkm_freelist_push(bin, ring->slot, nr));
	hkm_ring_nr_set(ring, ring->nr - nr);
	/* Two at a time, and so perhaps one too many: the array has a spare. */
	for (i = 0; i < ring->nr; i += 2) {
		ring->slot[i] = ring->slot[i + nr];
		ring->slot[i + 1] = ring->slot[i + nr + 1];
	}
}

static void run_retire(struct hkm_cpu *cpu, struct hkm_run *run)
{
	hkm_cpu_budget(cpu)->parked_bytes -= run->span_bytes;
	WRITE_ONCE(run->end, NULL);
}

/* Moves what is left of an active page to the shared tier. */
static void run_flush(struct hkm_cpu *cpu, struct hkm_run *run,
		      unsigned int bin)
{
	u32 size = hkm_classes[bin].size_bytes;
	void *blocks[HKM_BATCH_MAX];
	unsigned int nr;

	while (run->next < run->end) {
		for (nr = 0; nr < HKM_BATCH_MAX && run->next < run->end; nr++) {
			blocks[nr] = run->next;
			WRITE_ONCE(run->next, run->next + size);
		}
		hkm_freelist_push(bin, blocks, nr);
	}
	run_retire(cpu, run);
}

/* Takes back everything that was granted to a bin. */
static void bin_flush(struct hkm_cpu *cpu, unsigned int bin)
{
	struct hkm_ring *ring = &cpu->ring[bin];
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(ring->run); i++)
		if (ring->run[i].end)
			run_flush(cpu, &ring->run[i], bin);
	if (ring->nr)
		ring_flush(ring, bin, ring->nr);
	if (!ring->limit)
		return;
	hkm_cpu_budget(cpu)->parked_bytes -= ring->limit * hkm_classes[bin].size_bytes;
	WRITE_ONCE(ring->limit, 0);
}

/* Moves the hand by one bin, and takes that one's room if it is idle. */
static void hand_move(struct hkm_cpu *cpu, unsigned int bin)
{
	struct hkm_cpu_budget *budget = hkm_cpu_budget(cpu);
	struct hkm_ring *ring = &cpu->ring[budget->hand];
	u64 uses = hkm_ring_uses(ring);

	if (budget->hand != bin && uses == ring->seen)
		bin_flush(cpu, budget->hand);
	ring->seen = uses;
	if (++budget->hand == hkm_nr_bins)
		budget->hand = 0;
}

/*
 * Bytes that @bin may be granted now, @want at most. The hand moves only
 * when that is too little, one step each time, which keeps a full budget cheap.
 */
static u32 budget_room(struct hkm_cpu *cpu, unsigned int bin, u32 want)
{
	u32 most = rcu_dereference_sched(hkm_policy)->cpu_budget_bytes;
	const struct hkm_cpu_budget *budget = hkm_cpu_budget(cpu);

	if (budget->parked_bytes + want > most)
		hand_move(cpu, bin);
	if (budget->parked_bytes >= most)
		return 0;
	return min(want, most - budget->parked_bytes);
}

/*
 * Slots by which a ring may still grow, whatever the other bins hold. Another
 * node's blocks only wait to go home: no more than make a batch.
 */
static u32 ring_room(struct hkm_cpu *cpu, unsigned int bin)
{
	const struct hkm_policy *policy = rcu_dereference_sched(hkm_policy);
	u32 most = policy->ring_limit[hkm_bin_class(bin)];

	if (hkm_bin_on(bin, __this_cpu_read(hkm_near_nid)) != bin)
		most = min_t(u32, most, HKM_BATCH_MAX);
	if (hkm_bin_is_large(bin))
		most = min(most, policy->cpu_budget_bytes / 2 / hkm_classes[bin].size_bytes);
	return most - min_t(u32, most, cpu->ring[bin].limit);
}

/* Doubles the limit of a ring as far as the budget allows. */
static noinline void ring_grow(struct hkm_cpu *cpu, unsigned int bin)
{
	struct hkm_ring *ring = &cpu->ring[bin];
	u32 size = hkm_classes[bin].size_bytes;
	u32 want = min_t(u32, ring->limit ?: 1, ring_room(cpu, bin)), more;

	more = budget_room(cpu, bin, want * size) / size;
	hkm_cpu_budget(cpu)->parked_bytes += more * size;
	WRITE_ONCE(ring->limit, ring->limit + more);
	if (!more || more < want)
		ring->pause = HKM_GROW_PAUSE;
}

/* A ring ran full or empty. */
static void ring_strained(struct hkm_cpu *cpu, unsigned int bin)
{
	struct hkm_ring *ring = &cpu->ring[bin];

	if (ring->limit == HKM_RING_SLOTS)
		return;
	if (ring->pause)
		ring->pause--;
	else
		ring_grow(cpu, bin);
}

/*
 * Blocks that a ring and the shared tier move at a time: three quarters of a
 * small ring, half of the largest. More would make small rings swing between
 * full and empty; less, go to the shared tier too often.
 */
static unsigned int batch_size(const struct hkm_ring *ring)
{
	return min_t(unsigned int, ring->limit - ring->limit / 4, HKM_BATCH_MAX);
}

/* First block of an active page, or NULL. */
static void *run_pop(struct hkm_cpu *cpu, struct hkm_ring *ring, u32 size,
		     bool *zeroed)
{
	struct hkm_run *run = &ring->run[ring->run[0].end ? 0 : 1];
	void *block = run->next;

	if (!run->end)
		return NULL;
	*zeroed = run->zeroed;
	WRITE_ONCE(run->next, block + size);
	if (run->next == run->end)
		run_retire(cpu, run);
	data_race(ring->hits_active++);
	return block;
}

/**
 * hkm_cpu_alloc() - serve a request off the hot path
 * @cpu: this CPU's front end, in a busy section
 * @bin: class of the request
 * @home: shard of its call site
 * @zeroed: set if the block is known to be clear
 *
 * The ring is empty, unless requests are being watched. Looks in the active
 * pages next, then restocks the ring from the shared tier.
 *
 * Context: Any, with preemption off.
 * Return: a block, or NULL if none is left in either.
 */
void *hkm_cpu_alloc(struct hkm_cpu *cpu, unsigned int bin,
		    unsigned int home, bool *zeroed)
{
	struct hkm_ring *ring = &cpu->ring[bin];
	unsigned int want, nr;
	void *block;

	if (unlikely(ring->nr)) {
		block = ring->slot[ring->nr - 1];
		data_race(ring->hits++);
		hkm_ring_nr_set(ring, ring->nr - 1);
		return block;
	}
	block = run_pop(cpu, ring, hkm_classes[bin].size_bytes, zeroed);
	if (block)
		return block;

	ring_strained(cpu, bin);
	want = batch_size(ring) ?: 1;
	nr = hkm_freelist_pop(bin, home, ring->slot, want);
	/* Makes full batches again of what was scattered, once they return. */
	if (unlikely(nr < want && nr))
		nr += hkm_freelist_pop(bin, home, ring->slot + nr,
				       ring->limit - nr);
	if (unlikely(!nr))
		nr = hkm_remote_drain(bin, home, ring->slot, want);
	if (unlikely(!nr))
		return NULL;
	hkm_count(bin, HKM_slow_allocs);
	hkm_ring_nr_set(ring, nr - 1);
	data_race(ring->stocked += nr - 1);
	return ring->slot[ring->nr];
}
EXPORT_SYMBOL_IF_KUNIT(hkm_cpu_alloc);

/**
 * hkm_cpu_free() - put a freed block in its ring
 * @cpu: this CPU's front end, in a busy section
 * @bin: class of the block
 * @block: the block, marked free
 *
 * Makes a full ring larger, or else moves the older part of it to the shared
 * tier.
 *
 * Context: Any, with preemption off.
 */
void hkm_cpu_free(struct hkm_cpu *cpu, unsigned int bin, void *block)
{
	struct hkm_ring *ring = &cpu->ring[bin];

	if (ring->nr >= ring->limit)
		ring_strained(cpu, bin);
	if (ring->nr >= ring->limit && ring->limit)
		ring_flush(ring, bin, batch_size(ring));
	if (likely(ring->limit))
		ring_put(ring, block);
	else
		data_race(ring->flushed += hkm_freelist_push(bin, &block, 1));
}
EXPORT_SYMBOL_IF_KUNIT(hkm_cpu_free);

/**
 * hkm_cpu_install() - make the rest of a span an active page
 * @cpu: this CPU's front end, in a busy section
 * @bin: class of the span
 * @run: its blocks
 *
 * Context: Any, with preemption off.
 * Return: false if A and B are taken or the budget has no room.
 */
bool hkm_cpu_install(struct hkm_cpu *cpu, unsigned int bin,
		     const struct hkm_run *run)
{
	struct hkm_ring *ring = &cpu->ring[bin];
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(ring->run); i++) {
		if (ring->run[i].end)
			continue;
		if (budget_room(cpu, bin, run->span_bytes) < run->span_bytes)
			return false;
		hkm_cpu_budget(cpu)->parked_bytes += run->span_bytes;
		ring->run[i].span_bytes = run->span_bytes;
		ring->run[i].zeroed = run->zeroed;
		WRITE_ONCE(ring->run[i].next, run->next);
		WRITE_ONCE(ring->run[i].end, run->end);
		return true;
	}
	return false;
}
EXPORT_SYMBOL_IF_KUNIT(hkm_cpu_install);

/**
 * hkm_cpu_park() - put a free block in its ring
 * @cpu: this CPU's front end, in a busy section
 * @bin: class of the block
 * @block: the block, marked free
 *
 * Context: Any, with preemption off.
 * Return: false if the ring is full.
 */
bool hkm_cpu_park(struct hkm_cpu *cpu, unsigned int bin, void *block)
{
	struct hkm_ring *ring = &cpu->ring[bin];

	if (ring->nr >= ring->limit)
		return false;
	ring_put(ring, block);
	data_race(ring->stocked++);
	return true;
}
EXPORT_SYMBOL_IF_KUNIT(hkm_cpu_park);

/**
 * hkm_cpu_nid() - tell which node's memory a CPU is served from
 * @cpu: the CPU
 *
 * Return: its own node, or the nearest that has memory for the kernel; for a CPU that
 * is not plugged in, any.
 */
int hkm_cpu_nid(int cpu)
{
	int own = cpu_to_mem(cpu), best = own, nid;

	if (own == NUMA_NO_NODE)
		return first_node(node_states[N_NORMAL_MEMORY]);
	if (node_state(own, N_NORMAL_MEMORY))
		return own;
	for_each_node_state(nid, N_NORMAL_MEMORY)
		if (best == own || node_distance(own, nid) < node_distance(own, best))
			best = nid;
	return best;
}

int __init hkm_cpu_init(void)
{
	size_t bytes = hkm_nr_bins * sizeof(struct hkm_ring) +
		       sizeof(struct hkm_cpu_budget);
	struct hkm_cpu *cpu;
	int i;

	hkm_counters = __alloc_percpu(hkm_nr_bins * sizeof(*hkm_counters),
				      __alignof__(*hkm_counters));
	hkm_histogram = alloc_percpu(struct hkm_histogram);
	if (!hkm_counters || !hkm_histogram) {
		hkm_cpu_exit();
		return -ENOMEM;
	}
	for_each_possible_cpu(i) {
		/* Powers of two come aligned to their size. */
		cpu = kvzalloc_node(roundup_pow_of_two(bytes), GFP_KERNEL,
				    hkm_cpu_nid(i));
		if (!cpu) {
			hkm_cpu_exit();
			return -ENOMEM;
		}
		/* What a ring names, or has named, is no reference to a block. */
		kmemleak_no_scan(cpu);
		per_cpu(hkm_cpu_mine, i) = cpu;
		per_cpu(hkm_cpu_this, i) = cpu;
	}
	return 0;
}

/**
 * hkm_cpu_flush() - move what a CPU parks to the shared tier
 * @cpu: its front end
 * @bins: of these bins, one bit each
 *
 * Context: Any, with preemption off; on that CPU in a busy section, or nobody
 * else uses it.
 */
void hkm_cpu_flush(struct hkm_cpu *cpu, const unsigned long *bins)
{
	unsigned int bin;

	for_each_set_bit(bin, bins, hkm_nr_bins)
		bin_flush(cpu, bin);
}
EXPORT_SYMBOL_IF_KUNIT(hkm_cpu_flush);

/**
 * hkm_cpu_flush_all() - move all that a CPU parks to the shared tier
 * @cpu: its front end
 *
 * Context: As hkm_cpu_flush().
 */
void hkm_cpu_flush_all(struct hkm_cpu *cpu)
{
	unsigned int bin;

	for (bin = 0; bin < hkm_nr_bins; bin++)
		bin_flush(cpu, bin);
}
EXPORT_SYMBOL_IF_KUNIT(hkm_cpu_flush_all);

/**
 * hkm_cpu_parks() - tell whether a CPU parks anything of a bin
 * @cpu: its front end
 * @bin: the bin
 *
 * Context: Any; from another CPU a guess.
 * Return: true if the CPU has room granted for it.
 */
bool hkm_cpu_parks(const struct hkm_cpu *cpu, unsigned int bin)
{
	const struct hkm_ring *ring = &cpu->ring[bin];

	return READ_ONCE(ring->limit) || READ_ONCE(ring->run[0].end) ||
	       READ_ONCE(ring->run[1].end);
}
EXPORT_SYMBOL_IF_KUNIT(hkm_cpu_parks);

void hkm_cpu_exit(void)
{
	int i;

	for_each_possible_cpu(i)
		kvfree(hkm_cpu_of(i));
	free_percpu(hkm_histogram);
	free_percpu(hkm_counters);
}
