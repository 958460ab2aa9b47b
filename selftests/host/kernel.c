// SPDX-License-Identifier: GPL-2.0
/*
 * Kernel services of the user-space build: per-CPU memory, RCU, pages.
 */
#include <sanitizer/asan_interface.h>
#include <sched.h>
#include <sys/mman.h>

#include "sample.h"

#define NR_PAGES	(HOST_ARENA_BYTES / PAGE_SIZE)
#define ARENA_ALIGN	(32UL * SZ_1M)

__thread unsigned int host_cpu;
__thread bool host_in_nmi;
char *host_arena;
unsigned int host_reclaims;
unsigned int host_order_max = UINT_MAX;
unsigned int host_first_nid;
struct notifier_block *host_memory_nb;

void *host_alloc_percpu(size_t size)
{
	size_t bytes = HOST_NR_CPUS * HOST_PERCPU_BYTES;
	void *p;

	if (size > HOST_PERCPU_BYTES)
		abort();
	p = aligned_alloc(PAGE_SIZE, bytes);
	return p ? memset(p, 0, bytes) : NULL;
}

/*
 * RCU. A CPU's count is odd while it is in a section. A signal handler may
 * enter and leave between any two instructions of the functions below: that may
 * leave the count odd outside of sections, never even inside of one.
 */
static struct {
	unsigned long seq;
} __aligned(64) rcu_cpu[HOST_NR_CPUS];

static __thread unsigned int preempt_depth;
static struct rcu_head *rcu_queue;

void preempt_disable(void)
{
	unsigned long *seq = &rcu_cpu[host_cpu].seq;
	unsigned long now;

	preempt_depth++;
	barrier();
	now = READ_ONCE(*seq);
	/* Pairs with the exchange in synchronize_rcu(). */
	if (!(now & 1))
		xchg(seq, now + 1);
}

void preempt_enable(void)
{
	unsigned long *seq = &rcu_cpu[host_cpu].seq;

	barrier();
	preempt_depth--;
	barrier();
	if (!preempt_depth)
		/* Pairs with the acquire in synchronize_rcu(). */
		smp_store_release(seq, (READ_ONCE(*seq) | 1) + 1);
}

void synchronize_rcu(void)
{
	unsigned int cpu;

	for (cpu = 0; cpu < HOST_NR_CPUS; cpu++) {
		unsigned long *seq = &rcu_cpu[cpu].seq;
		unsigned long then;

		then = __atomic_fetch_add(seq, 0, __ATOMIC_SEQ_CST);
		while ((then & 1) &&
		       __atomic_load_n(seq, __ATOMIC_ACQUIRE) == then)
			sched_yield();
	}
}

void call_rcu(struct rcu_head *head, void (*func)(struct rcu_head *head))
{
	head->func = func;
	head->next = READ_ONCE(rcu_queue);
	while (!try_cmpxchg_release(&rcu_queue, &head->next, head))
		;
}

/* Nobody runs callbacks but the callers of this. */
void rcu_barrier(void)
{
	struct rcu_head *head = xchg(&rcu_queue, NULL), *next;

	synchronize_rcu();
	for (; head; head = next) {
		next = head->next;
		head->func(head);
	}
}

/* Pages: naturally aligned runs. The first is never given out. */
static struct page pages[NR_PAGES];
static bool used[NR_PAGES] = { true };
static pthread_mutex_t page_lock = PTHREAD_MUTEX_INITIALIZER;

__attribute__((constructor)) static void arena_map(void)
{
	char *p = mmap(NULL, HOST_ARENA_BYTES + ARENA_ALIGN,
		       PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (p == MAP_FAILED)
		abort();
	host_arena = p + (-(unsigned long)p & (ARENA_ALIGN - 1));
	ASAN_POISON_MEMORY_REGION(host_arena, HOST_ARENA_BYTES);
}

/* Of the @from-th page and those after it, up to @to. */
static struct page *pages_find(unsigned int from, unsigned int to, gfp_t gfp,
			       unsigned int order)
{
	unsigned int nr = 1U << order, i;
	struct page *page = NULL;

	pthread_mutex_lock(&page_lock);
	host_reclaims += !!(gfp & __GFP_DIRECT_RECLAIM);
	if (order > READ_ONCE(host_order_max))
		to = from;
	for (i = from; i < to && !page; i += nr) {
		if (memchr(used + i, true, nr))
			continue;
		memset(used + i, true, nr);
		page = &pages[i];
		page->refs = 1;
	}
	pthread_mutex_unlock(&page_lock);
	if (page) {
		ASAN_UNPOISON_MEMORY_REGION(page_address(page), nr * PAGE_SIZE);
		if (gfp & __GFP_ZERO)
			memset(page_address(page), 0, nr * PAGE_SIZE);
	}
	return page;
}

struct page *alloc_pages(gfp_t gfp, unsigned int order)
{
	return pages_find(0, NR_PAGES, gfp, order);
}

struct page *alloc_pages_node(int nid, gfp_t gfp, unsigned int order)
{
	struct page *page;

	page = pages_find(nid * NR_PAGES / HOST_NR_NODES,
			  (nid + 1) * NR_PAGES / HOST_NR_NODES, gfp, order);
	return page || (gfp & __GFP_THISNODE) ? page : alloc_pages(gfp, order);
}

int page_to_nid(const struct page *page)
{
	return (page - pages) * HOST_NR_NODES / NR_PAGES;
}

void __free_pages(struct page *page, unsigned int order)
{
	unsigned int nr = 1U << order;

	if (--page->refs)
		return;
	ASAN_POISON_MEMORY_REGION(page_address(page), nr * PAGE_SIZE);
	pthread_mutex_lock(&page_lock);
	memset(used + (page - pages), false, nr);
	pthread_mutex_unlock(&page_lock);
}

/* The page of a pool address; NULL for one of the C library's. */
struct page *virt_to_page(const void *p)
{
	unsigned long offset = (const char *)p - host_arena;

	return offset < HOST_ARENA_BYTES ? &pages[offset / PAGE_SIZE] : NULL;
}

void *page_address(const struct page *page)
{
	return host_arena + (page - pages) * PAGE_SIZE;
}

/* Pages given out and not yet back. */
unsigned int host_pages_used(void)
{
	unsigned int sum = 0, i;

	for (i = 1; i < NR_PAGES; i++)
		sum += used[i];
	return sum;
}

/* Samples: there are none here. */
struct hkm_sample *hkm_sample_gate;

void *hkm_sample_alloc(struct hkm_sample *sample, size_t size, gfp_t flags,
		       unsigned int bin, unsigned long site)
{
	return NULL;
}

bool hkm_sample_free(const void *p, unsigned long site)
{
	return false;
}

bool hkm_sample_owns(const void *p)
{
	return false;
}

size_t hkm_sample_size(const void *p)
{
	return 0;
}

void *hkm_sample_block_of(const void *p)
{
	return NULL;
}
