// SPDX-License-Identifier: GPL-2.0
/*
 * hakmem: slab-style allocator for mid-size and large buffers. Ordered init and exit.
 */
#include <linux/init.h>
#include <linux/module.h>

#include "learner/history.h"
#include "learner/learner.h"
#include "learner/policy.h"
#include "learner/sysfs.h"
#include "pool/api.h"
#include "pool/chunk_map.h"
#include "pool/cpu_cache.h"
#include "pool/debug.h"
#include "pool/freelist.h"
#include "pool/harden.h"
#include "pool/reclaim.h"
#include "pool/refill.h"
#include "pool/reserve.h"
#include "pool/sample.h"
#include "pool/size_class.h"
#include "pool/tools.h"
#include "pool/watch.h"

#ifndef HAKMEM_VERSION
#define HAKMEM_VERSION "in-tree"
#endif

/*
 * Requests between two fixed classes waste up to half of the larger one. The learner
 * has classes for the sizes that are used most; this one is there from the start. The
 * default takes jumbo frames (9 KiB and some): six of them fill a chunk, where
 * kmalloc() spends 16 KiB on each. Too small a size serves nothing that the next
 * fixed class would not serve as well; one close below the next class saves little.
 */
static unsigned int dyn1_bytes = 10752;
module_param(dyn1_bytes, uint, 0444);
MODULE_PARM_DESC(dyn1_bytes,
		 "block size that class dyn1 begins with: 0 for none, or a multiple of 512 from 2560 to 52736 (default 10752)");

/*
 * For those who look for a client's mistake. A request then takes some hundred
 * instructions more, and with poison or red zones some for each word of its block.
 */
static char *debug = "";
module_param(debug, charp, 0444);
MODULE_PARM_DESC(debug,
		 "checks, by letters: P poison of free blocks, Z red zones, U sites of allocation and free (default none)");

/*
 * Makes the address of the next block hard to guess, for those who fear attacks on
 * a client's overflow; costs about 1 000 instructions with each refill, and blocks that
 * are used one after another lie apart.
 */
static bool random_order;
module_param(random_order, bool, 0444);
MODULE_PARM_DESC(random_order,
		 "hand out the blocks of a new chunk in random order (default N)");

/*
 * Finds mistakes in production. Each sample costs interrupts on all CPUs and some
 * milliseconds on the slow path: 100 is a good value, 1 slows all else down.
 */
static unsigned int sample_interval_ms;
module_param(sample_interval_ms, uint, 0444);
MODULE_PARM_DESC(sample_interval_ms,
		 "serve one request in this many ms (up to 3600000) with memory that faults when misused; not where buffers are used for DMA or scatterlists (default 0: none)");

static int __init hakmem_init(void)
{
	int err;

	err = hkm_debug_init(debug, random_order);
	if (err) {
		pr_err("debug=%s: not made of the letters P, Z and U\n", debug);
		if (!IS_BUILTIN(CONFIG_HAKMEM))
			return err;
	}
	err = hkm_size_classes_init(dyn1_bytes);
	if (err) {
		pr_err("dyn1_bytes=%u: not 0, nor a multiple of 512 from 2560 to 52736 that is no other class's size\n",
		       dyn1_bytes);
		/* Built in, there are callers anyway. */
		if (!IS_BUILTIN(CONFIG_HAKMEM))
			return err;
		hkm_size_classes_init(0);
	}
	err = hkm_sample_init(sample_interval_ms);
	if (err) {
		pr_err("sample_interval_ms=%u: not from 0 to 3600000\n", sample_interval_ms);
		if (!IS_BUILTIN(CONFIG_HAKMEM))
			return err;
	}
	hkm_harden_init();
	err = hkm_policy_init();
	if (err)
		goto fail;
	err = hkm_chunk_map_init();
	if (err)
		goto policy;
	hkm_reserve_init();
	err = hkm_shared_init();
	if (err)
		goto reserve;
	err = hkm_cpu_init();
	if (err)
		goto shared;
	err = hkm_map_watch_init();
	if (err)
		goto cpu;
	err = hkm_reclaim_init();
	if (err)
		goto map_watch;
	err = hkm_learner_init();
	if (err)
		goto reclaim;
	err = hkm_sysfs_init();
	if (err)
		goto learner;
	hkm_history_init();
	hkm_watch_init();
	if (hkm_debug)
		hkm_watch_get();
	hkm_sample_start();
	return 0;

learner:
	hkm_learner_exit();
reclaim:
	hkm_reclaim_exit();
map_watch:
	hkm_map_watch_exit();
cpu:
	hkm_cpu_exit();
shared:
	hkm_shared_exit();
reserve:
	hkm_reserve_exit();
	hkm_chunk_map_exit();
policy:
	hkm_policy_exit();
fail:
	/* As for the kernel's own caches that it cannot boot without. */
	if (IS_BUILTIN(CONFIG_HAKMEM))
		panic("hakmem: no memory to begin with: %d\n", err);
	return err;
}

static void __exit hakmem_exit(void)
{
	hkm_history_exit();
	hkm_sysfs_exit();
	hkm_learner_exit();
	hkm_map_watch_exit();
	hkm_derived_exit();
	hkm_nmi_free_exit();
	hkm_reclaim_exit();
	hkm_sample_exit();
	hkm_pool_drain();
	hkm_cpu_exit();
	hkm_shared_exit();
	hkm_chunk_map_exit();
	hkm_reserve_exit();
	hkm_policy_exit();
}

/* Before the device drivers, where hakmem is built in. */
postcore_initcall(hakmem_init);
module_exit(hakmem_exit);
MODULE_DESCRIPTION("Slab-style allocator for mid-size and large buffers");
MODULE_AUTHOR("hakmem developers");
MODULE_VERSION(HAKMEM_VERSION);
MODULE_LICENSE("GPL");
