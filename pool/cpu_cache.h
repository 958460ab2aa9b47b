/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Front end: what each CPU holds for itself.
 */
#ifndef _HKM_CPU_CACHE_H
#define _HKM_CPU_CACHE_H

#include <linux/cache.h>
#include <linux/percpu.h>
#include <linux/types.h>

#include "size_class.h"
#include "stats.h"

#define HKM_RING_SLOTS	32

/**
 * struct hkm_run - active page: blocks of a span never handed out so far
 * @next: first of them
 * @end: just past the last; NULL if there is no active page
 * @span_bytes: room it counts for in the CPU's budget
 * @zeroed: the page allocator cleared the blocks
 */
struct hkm_run {
	void *next;
	void *end;
	u32 span_bytes;
	bool zeroed;
};

/**
 * struct hkm_ring - front end of one class on one CPU
 * @nr: blocks in @slot
 * @limit: most blocks that @slot may hold now
 * @pause: times that it may run full or empty before it tries to grow again
 * @hits: requests served from @slot
 * @hits_active: requests served from @run
 * @stocked: blocks that came into @slot other than by a free
 * @flushed: blocks that left @slot other than by a request
 * @seen: hkm_ring_uses() when the budget's hand last passed
 * @idle_uses: hkm_ring_uses() at reclaim's latest tick; under hkm_trim_lock
 * @idle_ticks: ticks for which that has been the same; under hkm_trim_lock
 * @run: active pages A and B
 * @slot: LIFO stack of free blocks; one more, which is only moved about
 *
 * Owned by its CPU, inside a busy section. The blocks freed into @slot follow
 * from the other counts (hkm_ring_frees()), so that a free counts nothing. The
 * size is a power of two: a shift finds the ring of a bin.
 */
struct hkm_ring {
	unsigned long nr;
	unsigned long limit;
	u32 pause;
	u64 hits;
	u64 hits_active;
	u64 stocked;
	u64 flushed;
	u64 seen;
	u64 idle_uses;
	u32 idle_ticks;
	struct hkm_run run[2];
	void *slot[HKM_RING_SLOTS + 1];
} __aligned(512);

/**
 * struct hkm_cpu - one CPU's front end
 * @ring: per bin; those of other nodes' bins gather what is to go home
 *
 * Allocated for hkm_nr_bins only, and behind them a struct hkm_cpu_budget: what
 * stood in front of the rings would cost each request an addition.
 */
struct hkm_cpu {
	struct hkm_ring ring[HKM_MAX_BINS];
};

/**
 * struct hkm_cpu_budget - what a CPU may park, and does
 * @hand: bin that the search for idle room looks at next
 * @parked_bytes: granted to rings and active pages; kept to the policy's budget
 */
struct hkm_cpu_budget {
	u8 hand;
	u32 parked_bytes;
};

static inline struct hkm_cpu_budget *hkm_cpu_budget(const struct hkm_cpu *cpu)
{
	return (void *)cpu + hkm_nr_bins * sizeof(struct hkm_ring);
}

/**
 * struct hkm_counters - what one CPU counts for one bin
 * @shared: blocks put in the shared tier, less those taken out
 * @moving: blocks on their way between tiers, less those that have arrived
 * @holds: requests that hold the class, see hkm_class_hold()
 * @asked: requests whose size was noted
 * @asked_bytes: what these asked for
 * @slow: HKM_SLOW_COUNTERS
 *
 * By this_cpu_add() from any context. What one CPU puts in another may take out:
 * @shared, @moving and @holds tell something in sum only.
 */
struct hkm_counters {
	s64 shared;
	s64 moving;
	s64 holds;
	u64 asked;
	u64 asked_bytes;
	u64 slow[HKM_NR_COUNTERS];
};

/* The most that the kernel allocates for each CPU. */
static_assert(HKM_MAX_BINS * sizeof(struct hkm_counters) <= PCPU_MIN_UNIT_SIZE);

/**
 * struct hkm_histogram - requests that one CPU served off the hot path
 * @nr: by hkm_size_step() of the size asked for
 */
struct hkm_histogram {
	u64 nr[HKM_NR_STEPS];
};

extern struct hkm_histogram __percpu *hkm_histogram;

/* By bin. */
extern struct hkm_counters __percpu *hkm_counters;
/* Each CPU's own; constant. */
DECLARE_PER_CPU(struct hkm_cpu *, hkm_cpu_mine);
/* Stands for a front end in use by the context that was interrupted. */
extern struct hkm_cpu hkm_cpu_busy;
/* Stands for this CPU's own while requests are watched; see watch.c. */
extern struct hkm_cpu hkm_cpu_watched;
/* What hkm_cpu_enter() gets: this CPU's front end, or one of the stand-ins. */
DECLARE_PER_CPU(struct hkm_cpu *, hkm_cpu_this);

/**
 * hkm_count() - count one event off the hot path
 * @bin: bin it belongs to
 * @counter: which
 *
 * Context: Any.
 */
static inline void hkm_count(unsigned int bin, enum hkm_counter counter)
{
	this_cpu_inc(hkm_counters[bin].slow[counter]);
}

/**
 * hkm_count_shared() - count blocks that enter the shared tier
 * @bin: their bin
 * @nr: their number; less than 0 for blocks that leave it
 *
 * Context: Any. Where this and what counts the same blocks elsewhere lie in one
 * section with preemption off, stopped CPUs agree on where all blocks are.
 */
static inline void hkm_count_shared(unsigned int bin, long nr)
{
	this_cpu_add(hkm_counters[bin].shared, nr);
}

/**
 * hkm_count_moving() - count blocks that are in no tier and no caller's
 * @bin: their bin
 * @nr: their number; less than 0 for blocks that arrive somewhere
 *
 * Those of a chunk that hkm_chunk_create() or hkm_inventory_get() returns are
 * counted; whoever finds a place for them takes them out of the count.
 *
 * Context: As hkm_count_shared().
 */
static inline void hkm_count_moving(unsigned int bin, long nr)
{
	this_cpu_add(hkm_counters[bin].moving, nr);
}

/**
 * hkm_count_asked() - note the size of a request
 * @bin: bin of the block that serves it
 * @bytes: size asked for
 *
 * Context: Any.
 */
static inline void hkm_count_asked(unsigned int bin, size_t bytes)
{
	size_t step = hkm_size_step(bytes);

	this_cpu_inc(hkm_counters[bin].asked);
	this_cpu_add(hkm_counters[bin].asked_bytes, bytes);
	if (likely(step < HKM_NR_STEPS))
		this_cpu_inc(hkm_histogram->nr[step]);
}

/**
 * hkm_class_hold() - keep a class as it is
 * @bin: of the class
 *
 * For a request that will leave the section in which it found the class, by a
 * policy; see dyn_class.c.
 *
 * Context: Any, with preemption off.
 */
static inline void hkm_class_hold(unsigned int bin)
{
	this_cpu_inc(hkm_counters[bin].holds);
}

/**
 * hkm_class_put() - undo one hkm_class_hold()
 * @bin: the same
 *
 * Context: Any; on any CPU.
 */
static inline void hkm_class_put(unsigned int bin)
{
	/* After chunks were counted. Pairs with smp_rmb() in bin_held(). */
	smp_wmb();
	this_cpu_dec(hkm_counters[bin].holds);
}

/* The front end of any CPU, for looking at. */
static inline struct hkm_cpu *hkm_cpu_of(int cpu)
{
	return per_cpu(hkm_cpu_mine, cpu);
}

/*
 * The blocks in a ring, on its own CPU. What they turn into is counted before, what they
 * came from after: no instruction more, only the compiler could mix them up.
 */
static __always_inline void hkm_ring_nr_set(struct hkm_ring *ring, unsigned long nr)
{
	barrier();
	WRITE_ONCE(ring->nr, nr);
	barrier();
}

/* Blocks freed into a ring: what left it, and what is in it, less the rest. */
static inline u64 hkm_ring_frees(const struct hkm_ring *ring)
{
	u64 frees = -READ_ONCE(ring->stocked);

	/* What came in is read before what it turns into: never below zero. */
	frees += READ_ONCE(ring->nr);
	frees += READ_ONCE(ring->hits);
	frees += READ_ONCE(ring->flushed);
	return frees;
}

/* Grows with every use of a ring but a free that found room. */
static inline u64 hkm_ring_uses(const struct hkm_ring *ring)
{
	return READ_ONCE(ring->hits) + READ_ONCE(ring->hits_active) +
	       READ_ONCE(ring->stocked) + READ_ONCE(ring->flushed);
}

/**
 * hkm_cpu_enter() - begin a busy section
 *
 * Preemption must be off. Until hkm_cpu_leave() the caller alone uses this CPU's
 * rings and active pages: an interrupt that comes in between gets
 * &hkm_cpu_busy, whose rings are all empty and full at once, and so ends up on
 * the slow path, which tells the difference and uses the shared tier. Plain
 * accesses are enough: an interrupting context runs to its end, and leaves the
 * pointer as it found it.
 *
 * Return: this CPU's front end, or a stand-in: &hkm_cpu_busy, or
 * &hkm_cpu_watched, for which hkm_cpu_own() is to be used.
 */
static __always_inline struct hkm_cpu *hkm_cpu_enter(void)
{
	struct hkm_cpu *cpu = __this_cpu_read(hkm_cpu_this);

	__this_cpu_write(hkm_cpu_this, &hkm_cpu_busy);
	/* Same CPU: only the compiler could move the section before the write. */
	barrier();
	return cpu;
}

static __always_inline void hkm_cpu_leave(struct hkm_cpu *cpu)
{
	/* Pairs with the barrier() in hkm_cpu_enter(), on the same CPU. */
	barrier();
	__this_cpu_write(hkm_cpu_this, cpu);
}

/* The front end that a section may use, by what hkm_cpu_enter() returned. */
static inline struct hkm_cpu *hkm_cpu_own(struct hkm_cpu *cpu)
{
	return unlikely(cpu == &hkm_cpu_watched) ? __this_cpu_read(hkm_cpu_mine) : cpu;
}

/*
 * The ring at @offset bytes into a front end: a bin's number times the size of a
 * ring. Hides from the compiler where the pointer comes from: it would compute
 * the address of each slot from the front end's start, anew.
 */
static __always_inline struct hkm_ring *hkm_cpu_ring(struct hkm_cpu *cpu,
						     unsigned long offset)
{
	struct hkm_ring *ring = (void *)cpu + offset;

	OPTIMIZER_HIDE_VAR(ring);
	return ring;
}

int hkm_cpu_nid(int cpu);
int hkm_cpu_init(void);
void hkm_cpu_exit(void);
void hkm_cpu_flush(struct hkm_cpu *cpu, const unsigned long *bins);
void hkm_cpu_flush_all(struct hkm_cpu *cpu);
bool hkm_cpu_parks(const struct hkm_cpu *cpu, unsigned int bin);

void *hkm_cpu_alloc(struct hkm_cpu *cpu, unsigned int bin,
		    unsigned int home, bool *zeroed);
void hkm_cpu_free(struct hkm_cpu *cpu, unsigned int bin, void *block);
bool hkm_cpu_install(struct hkm_cpu *cpu, unsigned int bin,
		     const struct hkm_run *run);
bool hkm_cpu_park(struct hkm_cpu *cpu, unsigned int bin, void *block);

#endif /* _HKM_CPU_CACHE_H */
