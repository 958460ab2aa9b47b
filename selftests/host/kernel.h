/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What pool/ needs of the kernel, in user space. Included ahead of each source;
 * the <linux/...> headers that the sources name are made as empty files.
 *
 * A thread is a CPU, a signal handler an interrupt, an arena the direct map.
 *
 * Atomic operations get the order that their kernel names say. Two things have
 * no counterpart here. A kernel reader relies on the address dependency from a
 * pointer to what it points at; C has nothing that fits, so that loads of
 * pointers are acquires. And smp_mb__after_atomic() is a compiler barrier, as
 * on x86, where a locked instruction is a full barrier already: the thread
 * sanitizer sees that data is handed over in order, but not a lost wake-up of
 * the mask protocol. That is for ../models.
 */
#ifndef _HKM_HOST_KERNEL_H
#define _HKM_HOST_KERNEL_H

#ifndef __x86_64__
#error "smp_mb__after_atomic() is right for x86-64 only"
#endif

#include <errno.h>
#include <limits.h>
#include <malloc.h>
#include <math.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Types and annotations */
typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;
typedef long long s64;
typedef unsigned int gfp_t;
typedef struct { s64 counter; } atomic64_t;
typedef struct { long counter; } atomic_long_t;

#define __init
#define __ro_after_init
#define __percpu
#define __rcu
#define __malloc
#define __alloc_size(...)
#define __realloc_size(...)
#define __must_check		__attribute__((warn_unused_result))
#define __aligned(x)		__attribute__((aligned(x)))
#define ____cacheline_aligned	__aligned(64)
#define noinline		__attribute__((noinline))
#define __printf(fmt, args)	__attribute__((format(printf, fmt, args)))
#define likely(x)		__builtin_expect(!!(x), 1)
#define unlikely(x)		__builtin_expect(!!(x), 0)
#define EXPORT_SYMBOL_GPL(sym)
#define EXPORT_SYMBOL_IF_KUNIT(sym)
#define _RET_IP_		((unsigned long)__builtin_return_address(0))

#define KERNEL_VERSION(a, b, c)	(((a) << 16) + ((b) << 8) + (c))
#define LINUX_VERSION_CODE	KERNEL_VERSION(7, 0, 0)

/* IS_ENABLED(): 1 for an option that is defined as 1. */
#define CONFIG_KUNIT		1
#define __ARG_PLACEHOLDER_1	0,
#define __second(ignored, val, ...) val
#define __is_one(arg_or_junk)	__second(arg_or_junk 1, 0)
#define __is_defined(val)	__is_one(__ARG_PLACEHOLDER_##val)
#define IS_ENABLED(option)	__is_defined_expanded(option)
#define __is_defined_expanded(val) __is_defined(val)

/* Arithmetic */
#define SZ_1K			0x400
#define SZ_2K			0x800
#define SZ_4K			0x1000
#define SZ_8K			0x2000
#define SZ_16K			0x4000
#define SZ_32K			0x8000
#define SZ_64K			0x10000
#define SZ_128K			0x20000
#define SZ_256K			0x40000
#define SZ_512K			0x80000
#define SZ_1M			0x100000
#define U32_MAX			0xffffffffU
#define U64_MAX			0xffffffffffffffffULL
#define ARRAY_SIZE(a)		(sizeof(a) / sizeof((a)[0]))
#define BIT(n)			(1UL << (n))
#define BIT_ULL(n)		(1ULL << (n))
#define GENMASK_ULL(h, l)	((2ULL << (h)) - (1ULL << (l)))
#define for_each_set_bit(bit, map, nr)					\
	for ((bit) = 0; (bit) < (nr); (bit)++)				\
		if ((map)[(bit) / 64] & BIT((bit) % 64))
#define min(a, b)		((a) < (b) ? (a) : (b))
#define min_t(type, a, b)	min((type)(a), (type)(b))
#define max(a, b)		((a) > (b) ? (a) : (b))
#define max_t(type, a, b)	((type)(a) > (type)(b) ? (type)(a) : (type)(b))
#define clamp(x, low, high)	min(max(x, low), high)
#define clamp_t(type, x, low, high) \
	((type)(x) < (type)(low) ? (type)(low) : min_t(type, x, high))
#define ilog2(n)		(31 - __builtin_clz(n))
#define roundup_pow_of_two(n)	(1UL << (64 - __builtin_clzl((n) - 1)))
#define int_sqrt64(n)		((u32)sqrtl(n))
#define is_power_of_2(n)	((n) && !((n) & ((n) - 1)))
#define __ffs64(word)		((unsigned long)__builtin_ctzll(word))
#define ror32(word, n)		(((u32)(word) >> ((n) & 31)) | ((u32)(word) << (-(n) & 31)))
#define container_of(p, type, member) \
	((type *)((char *)(p) - offsetof(type, member)))
#define DIV_ROUND_UP(n, d)	(((n) + (d) - 1) / (d))
#define struct_size(p, member, n) \
	(sizeof(*(p)) + (n) * sizeof(*(p)->member))
#define array_size(n, size)	((n) * (size))
#define check_mul_overflow(a, b, p) __builtin_mul_overflow(a, b, p)
#define hash_long(val, bits)	((val) * 0x61C8864680B583EBull >> (64 - (bits)))

/* Memory order: HOST_ACQUIRE can be weakened, to see that TSan notices. */
#ifndef HOST_ACQUIRE
#define HOST_ACQUIRE		__ATOMIC_ACQUIRE
#endif
#define POINTER_TYPE_CLASS	5
#define LOAD_ORDER(x)						\
	(__builtin_classify_type(x) == POINTER_TYPE_CLASS ?	\
	 __ATOMIC_ACQUIRE : __ATOMIC_RELAXED)
#define barrier()		__asm__ __volatile__("" ::: "memory")
#define data_race(x)		(x)
/* ThreadSanitizer takes no notice of data_race(). */
#ifdef __SANITIZE_THREAD__
#define HOST_TSAN		true
#else
#define HOST_TSAN		false
#endif
#define OPTIMIZER_HIDE_VAR(x)	__asm__ ("" : "+r" (x))
#define READ_ONCE(x)		__atomic_load_n(&(x), LOAD_ORDER(x))
#define WRITE_ONCE(x, val)	__atomic_store_n(&(x), val, __ATOMIC_RELAXED)
#define smp_store_release(p, val) __atomic_store_n(p, val, __ATOMIC_RELEASE)
#define smp_mb__after_atomic()	barrier()
#define smp_wmb()		barrier()
#define smp_rmb()		barrier()

#define try_cmpxchg_order(p, old, new, order)				\
	__atomic_compare_exchange_n(p, old, new, false, order, __ATOMIC_RELAXED)
#define xchg(p, val)		__atomic_exchange_n(p, val, __ATOMIC_SEQ_CST)
#define try_cmpxchg_relaxed(p, old, new) \
	try_cmpxchg_order(p, old, new, __ATOMIC_RELAXED)
/* What a failed one returns is a loaded pointer, too. */
#define cmpxchg_release(p, old, new)					\
({									\
	__typeof__(*(p)) old_ = (old);					\
									\
	__atomic_compare_exchange_n(p, &old_, new, false,		\
				    __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE); \
	old_;								\
})
#define try_cmpxchg_release(p, old, new) \
	try_cmpxchg_order(p, old, new, __ATOMIC_RELEASE)
#define atomic64_try_cmpxchg_release(v, old, new) \
	try_cmpxchg_order(&(v)->counter, old, new, __ATOMIC_RELEASE)
#define atomic64_try_cmpxchg_acquire(v, old, new) \
	try_cmpxchg_order(&(v)->counter, old, new, HOST_ACQUIRE)
#define atomic64_read(v)	READ_ONCE((v)->counter)
#define atomic64_set(v, val)	WRITE_ONCE((v)->counter, val)
#define atomic64_or(mask, v) \
	(void)(__atomic_fetch_or(&(v)->counter, mask, __ATOMIC_RELAXED))
#define atomic64_andnot(mask, v) \
	(void)(__atomic_fetch_and(&(v)->counter, ~(mask), __ATOMIC_RELAXED))
#define atomic_long_read(v)	READ_ONCE((v)->counter)
#define atomic_long_add(n, v) \
	(void)(__atomic_fetch_add(&(v)->counter, n, __ATOMIC_RELAXED))
#define atomic_long_sub(n, v)	atomic_long_add(-(n), v)

static inline bool test_and_set_bit(long nr, unsigned long *word)
{
	unsigned long bit = 1UL << nr;

	return __atomic_fetch_or(word, bit, __ATOMIC_SEQ_CST) & bit;
}

/* CPUs */
#define HOST_NR_CPUS		8
#define HOST_PERCPU_BYTES	(64 * SZ_1K)

extern __thread unsigned int host_cpu;
extern __thread bool host_in_nmi;

void *host_alloc_percpu(size_t size);

#define alloc_percpu(type)	host_alloc_percpu(sizeof(type))
#define __alloc_percpu(size, align) ((void)(align), host_alloc_percpu(size))
#define free_percpu(p)		free(p)
#define per_cpu_ptr(p, cpu) \
	((__typeof__(p))((char *)(p) + (cpu) * HOST_PERCPU_BYTES))
#define smp_processor_id()	host_cpu
#define this_cpu_ptr(p)		per_cpu_ptr(p, host_cpu)
#define this_cpu_inc(x) \
	(void)(__atomic_fetch_add(this_cpu_ptr(&(x)), 1, __ATOMIC_RELAXED))
#define this_cpu_dec(x)		this_cpu_add(x, -1)
#define this_cpu_add(x, n) \
	(void)(__atomic_fetch_add(this_cpu_ptr(&(x)), n, __ATOMIC_RELAXED))
#define DECLARE_PER_CPU(type, name) extern __typeof__(type) name[HOST_NR_CPUS]
#define DEFINE_PER_CPU(type, name) __typeof__(type) name[HOST_NR_CPUS]
#define EXPORT_PER_CPU_SYMBOL_GPL(name)
#define per_cpu(name, cpu)	((name)[cpu])
#define __this_cpu_read(name)	READ_ONCE(per_cpu(name, host_cpu))
#define raw_cpu_read(name)	__this_cpu_read(name)
#define this_cpu_read(name)	__this_cpu_read(name)
#define smp_processor_id()	host_cpu
#define __this_cpu_write(name, val) WRITE_ONCE(per_cpu(name, host_cpu), val)
#define for_each_possible_cpu(cpu) \
	for ((cpu) = 0; (cpu) < HOST_NR_CPUS; (cpu)++)

#define in_nmi()		host_in_nmi
#define might_alloc(gfp)	((void)(gfp))
#define cond_resched()		do { } while (0)

/* Locks. A signal handler acts as an NMI, and so takes none. */
struct mutex {
	pthread_mutex_t lock;
};

typedef struct mutex raw_spinlock_t;

#define __RAW_SPIN_LOCK_UNLOCKED(name) { PTHREAD_MUTEX_INITIALIZER }
#define DEFINE_MUTEX(name)	struct mutex name = { PTHREAD_MUTEX_INITIALIZER }
#define mutex_lock(m)		pthread_mutex_lock(&(m)->lock)
#define mutex_unlock(m)		pthread_mutex_unlock(&(m)->lock)
#define DEFINE_RAW_SPINLOCK(name) DEFINE_MUTEX(name)
#define raw_spin_lock_init(l)	pthread_mutex_init(&(l)->lock, NULL)
#define raw_spin_lock_irqsave(l, flags) ((flags) = 0, mutex_lock(l))
#define raw_spin_unlock_irqrestore(l, flags) ((void)(flags), mutex_unlock(l))
#define lockdep_assert_held(l)	((void)(l))

/* RCU: a section is what lies between preempt_disable() and _enable(). */
struct rcu_head {
	struct rcu_head *next;
	void (*func)(struct rcu_head *head);
};

void preempt_disable(void);
void preempt_enable(void);
void synchronize_rcu(void);
void rcu_barrier(void);
void call_rcu(struct rcu_head *head, void (*func)(struct rcu_head *head));
#define call_rcu_hurry call_rcu

#define rcu_dereference_sched(p)	READ_ONCE(p)
#define rcu_dereference_protected(p, cond) (p)
#define rcu_assign_pointer(p, val)	smp_store_release(&(p), val)
#define RCU_INIT_POINTER(p, val)	WRITE_ONCE(p, val)

/* Pages */
#define MAX_PHYSMEM_BITS	HOST_PHYSMEM_BITS
#ifndef HOST_PHYSMEM_BITS
#define HOST_PHYSMEM_BITS	46
#endif
#define PAGE_SHIFT		12
#define PAGE_SIZE		(1UL << PAGE_SHIFT)
#define PCPU_MIN_UNIT_SIZE	(32 * 1024)
#define static_assert(cond)	_Static_assert(cond, #cond)
#define PAGE_OFFSET		((unsigned long)host_arena)
#define HOST_ARENA_BYTES	(256UL * SZ_1M)
#define high_memory		((void *)(host_arena + HOST_ARENA_BYTES))

enum {
	__GFP_ZERO = 1,
	__GFP_COMP = 2,
	__GFP_NOWARN = 4,
	__GFP_NORETRY = 8,
	__GFP_NOFAIL = 16,
	__GFP_RETRY_MAYFAIL = 32,
	__GFP_MEMALLOC = 64,
	__GFP_HIGH = 128,
	__GFP_NOMEMALLOC = 65536,
	__GFP_DIRECT_RECLAIM = 256,
	__GFP_DMA = 512,
	__GFP_DMA32 = 1024,
	__GFP_HIGHMEM = 2048,
	__GFP_MOVABLE = 4096,
	__GFP_RECLAIMABLE = 8192,
	__GFP_ACCOUNT = 16384,
	__GFP_THISNODE = 32768,
	__GFP_IO = 131072,
	GFP_KERNEL = __GFP_DIRECT_RECLAIM | __GFP_IO,
	GFP_ATOMIC = __GFP_HIGH,
	GFP_NOWAIT = 0,
};

#define gfpflags_allow_blocking(gfp) (!!((gfp) & __GFP_DIRECT_RECLAIM))

static inline unsigned int get_order(unsigned long size)
{
	unsigned int order = 0;

	while (PAGE_SIZE << order < size)
		order++;
	return order;
}

struct list_head {
	struct list_head *next, *prev;
};

struct page {
	int refs;
	struct list_head lru;
};

extern char *host_arena;
/* Page requests so far that might have slept. */
extern unsigned int host_reclaims;
/* There are no pages of a higher order. */
extern unsigned int host_order_max;

struct page *alloc_pages(gfp_t gfp, unsigned int order);
struct page *alloc_pages_node(int nid, gfp_t gfp, unsigned int order);
int page_to_nid(const struct page *page);
void __free_pages(struct page *page, unsigned int order);
struct page *virt_to_page(const void *p);
void *page_address(const struct page *page);
unsigned int host_pages_used(void);

#define page_ref_count(page)	((page)->refs)
#define page_ref_add(page, nr)	((void)((page)->refs += (nr)))
#define page_ref_sub(page, nr)	((void)((page)->refs -= (nr)))
#define set_page_private(page, v)	((void)(page))
#define kmemleak_alloc(p, size, min_count, gfp) ((void)(gfp))
#define kmemleak_free(p)	((void)(p))
#define kmemleak_no_scan(p)	((void)(p))
#define kmemleak_scan_area(p, size, gfp) ((void)(p), (void)(gfp))
#define debug_check_no_locks_freed(p, n) do { } while (0)

/* Tracepoints */
#define trace_alloc(...)	do { } while (0)
#define trace_free(...)		do { } while (0)
#define trace_refill(...)	do { } while (0)
#define trace_trim(...)		do { } while (0)
#define trace_misuse(...)	do { } while (0)
#define virt_to_head_page(p)	virt_to_page(p)
#define virt_addr_valid(p)	true
#define PageSlab(page)		(!(page))
#define PageLargeKmalloc(page)	false
#define PFN_PHYS(pfn)		((u64)(pfn) << PAGE_SHIFT)
#define __va(phys)		((void *)(PAGE_OFFSET + (phys)))
#define want_init_on_alloc(gfp)	((gfp) & __GFP_ZERO)
#define want_init_on_free()	false

/* Nodes: equal parts of the arena. CPUs belong to each in turn, from this one on. */
extern unsigned int host_first_nid;
#ifndef HOST_NR_NODES
#define HOST_NR_NODES		2
#endif
#define NUMA_NO_NODE		(-1)
#define N_NORMAL_MEMORY		0
#define nr_node_ids		((unsigned int)HOST_NR_NODES)
#define cpu_to_mem(cpu)		((int)((cpu) + host_first_nid) % HOST_NR_NODES)
#define numa_mem_id()		cpu_to_mem(host_cpu)
#define node_state(nid, state)	true
#define first_node(mask)	0
#define node_distance(a, b)	((a) == (b) ? 10 : 20)
#define for_each_node_state(nid, state) \
	for ((nid) = 0; (nid) < HOST_NR_NODES; (nid)++)

/* Memory hotplug: the one notifier there is. */
#define NOTIFY_OK		1
#define MEM_GOING_ONLINE	8

struct notifier_block {
	int (*notifier_call)(struct notifier_block *nb, unsigned long action,
			     void *data);
};

struct memory_notify {
	unsigned long start_pfn;
	unsigned long nr_pages;
};

extern struct notifier_block *host_memory_nb;

static inline int register_memory_notifier(struct notifier_block *nb)
{
	host_memory_nb = nb;
	return 0;
}

#define unregister_memory_notifier(nb) ((void)(nb))

/* What only reclaim.c uses: bitmaps, calls to other CPUs, and events that never come. */
#define DECLARE_BITMAP(name, nr)	unsigned long name[((nr) + 63) / 64]
#define BITMAP_BYTES(nr)	(((nr) + 63) / 64 * 8)
#define bitmap_fill(map, nr)	memset(map, 0xff, BITMAP_BYTES(nr))
#define bitmap_zero(map, nr)	memset(map, 0, BITMAP_BYTES(nr))
#define __set_bit(bit, map)	((void)((map)[(bit) / 64] |= BIT((bit) % 64)))
#define __clear_bit(bit, map)	((void)((map)[(bit) / 64] &= ~BIT((bit) % 64)))
#define __test_and_clear_bit(bit, map) ({				\
	bool was = test_bit(bit, map);					\
									\
	__clear_bit(bit, map);						\
	was;								\
})
#define test_bit(bit, map)	(!!((map)[(bit) / 64] & BIT((bit) % 64)))

static inline bool bitmap_empty(const unsigned long *map, unsigned int nr)
{
	unsigned int i;

	for (i = 0; i < (nr + 63) / 64; i++)
		if (map[i])
			return false;
	return true;
}

#define for_each_online_cpu(cpu) for_each_possible_cpu(cpu)

/* For programs of one thread: it becomes the other CPU for a while. */
static inline int smp_call_function_single(unsigned int cpu, void (*fn)(void *),
					   void *arg, int wait)
{
	unsigned int here = host_cpu;

	host_cpu = cpu;
	preempt_disable();
	fn(arg);
	preempt_enable();
	host_cpu = here;
	return 0;
}

struct work_struct {
	void (*fn)(struct work_struct *work);
};

#define DECLARE_DELAYED_WORK(name, fn) struct work_struct name = { fn }
#define queue_delayed_work(queue, work, delay) ((void)(work))
#define delayed_work_pending(work)	((void)(work), true)
#define cancel_delayed_work_sync(work)	((void)(work))
#define msecs_to_jiffies(ms)	(ms)
#define mutex_trylock(m)	(!pthread_mutex_trylock(&(m)->lock))
#define current_is_kswapd()	false
#define schedule_timeout_uninterruptible(jiffies) ((void)(jiffies))
#define HZ			1000
#define register_oom_notifier(nb)	((void)(nb), 0)
#define unregister_oom_notifier(nb)	((void)(nb))
#define CPUHP_BP_PREPARE_DYN	0
#define cpuhp_setup_state_nocalls(state, name, up, down) ((void)(up), (void)(down), 0)
#define cpuhp_remove_state_nocalls(state) ((void)(state))

#define DEFAULT_SEEKS		2
#define SHRINK_STOP		(~0UL)
#define SHRINK_EMPTY		(~0UL - 1)
#define shrinker_alloc(flags, ...) ((struct shrinker *)calloc(1, sizeof(struct shrinker)))
#define shrinker_register(s)	((void)(s))
#define shrinker_free(s)	free(s)

struct shrink_control {
	unsigned long nr_to_scan;
};

struct shrinker {
	unsigned long (*count_objects)(struct shrinker *s, struct shrink_control *sc);
	unsigned long (*scan_objects)(struct shrinker *s, struct shrink_control *sc);
	int seeks;
};

/* The kernel allocator */
#define ZERO_SIZE_PTR		((void *)16)
#define ZERO_OR_NULL_PTR(p)	((unsigned long)(p) <= 16)
#define kmalloc(size, gfp)	((void)(gfp), malloc(size))
#define kzalloc(size, gfp)	((void)(gfp), calloc(1, size))
#define kmemdup(p, size, gfp)						\
({									\
	void *p_ = kmalloc(size, gfp);					\
									\
	p_ ? memcpy(p_, p, size) : NULL;				\
})
#define kmalloc_node(size, gfp, node) kmalloc(size, gfp)
#define krealloc(p, size, gfp)	((void)(gfp), realloc((void *)(p), size))
#define kvmalloc(size, gfp)	kmalloc(size, gfp)
#define kvzalloc_node(size, gfp, nid)					\
({									\
	size_t size_ = (size);						\
	void *p_ = aligned_alloc(size_, size_);				\
									\
	(void)(gfp), (void)(nid), p_ ? memset(p_, 0, size_) : NULL;	\
})
#define kvcalloc(n, size, gfp)	((void)(gfp), calloc(n, size))
#define kfree(p)		free((void *)(p))
#define kvfree(p)		free((void *)(p))
#define kfree_sensitive(p)	free((void *)(p))
#define ksize(p)		malloc_usable_size((void *)(p))
#define memzero_explicit(p, n)	explicit_bzero(p, n)

/* Lists */
#define LIST_HEAD(name)		struct list_head name = { &(name), &(name) }
#define list_first_entry(head, type, member) \
	container_of((head)->next, type, member)
#define list_for_each_entry_safe(pos, n, head, member)			\
	for ((pos) = list_first_entry(head, __typeof__(*(pos)), member);	\
	     &(pos)->member != (head) &&				\
	     ((n) = list_first_entry(&(pos)->member, __typeof__(*(pos)), member), true); \
	     (pos) = (n))

static inline void INIT_LIST_HEAD(struct list_head *head)
{
	head->next = head;
	head->prev = head;
}

static inline void list_add(struct list_head *entry, struct list_head *head)
{
	entry->next = head->next;
	entry->prev = head;
	head->next->prev = entry;
	head->next = entry;
}

static inline void list_del(struct list_head *entry)
{
	entry->prev->next = entry->next;
	entry->next->prev = entry->prev;
}

static inline void list_move(struct list_head *entry, struct list_head *head)
{
	list_del(entry);
	list_add(entry, head);
}

#define POISON_FREE		0x6b
#define SLUB_RED_ACTIVE		0xcc

static inline const void *memchr_inv(const void *start, int byte, size_t nr)
{
	const u8 *p = start;

	for (; nr; nr--, p++)
		if (*p != (u8)byte)
			return p;
	return NULL;
}

struct va_format {
	const char *fmt;
	va_list *va;
};

#define pr_err(fmt, ...)	fprintf(stderr, "# " fmt, ##__VA_ARGS__)
#define pr_warn(fmt, ...)	pr_err(fmt, ##__VA_ARGS__)
#define get_random_u64()	0x9e3779b97f4a7c15UL

struct rnd_state {
	u64 s;
};

#define prandom_seed_state(state, seed) ((void)((state)->s = (seed)))
#define prandom_u32_state(state) \
	((u32)(((state)->s = (state)->s * 6364136223846793005UL + 1) >> 32))
#define get_random_long()	0x5bd1e9955bd1e995UL

#endif /* _HKM_HOST_KERNEL_H */
