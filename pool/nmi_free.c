// SPDX-License-Identifier: GPL-2.0
/*
 * Frees in NMI context, on kernels with kmemleak: its locks are not for NMIs. So
 * the block waits, marked as free, until an interrupt may come. It waits on a list
 * linked through its first word: here, on a kernel for debugging, a write after
 * free may do harm; and such a free has no site.
 */
#include <linux/irq_work.h>
#include <linux/llist.h>
#include <linux/preempt.h>
#include <linux/rcupdate.h>

#include "harden.h"
#include "tools.h"
#include "../include/hakmem.h"

static LLIST_HEAD(waiting);

static void waiting_free(struct irq_work *work)
{
	struct llist_node *block, *next;

	llist_for_each_safe(block, next, llist_del_all(&waiting)) {
		hkm_block_unmark(block);
		hkm_kfree(block);
	}
}

static DEFINE_IRQ_WORK(waiting_work, waiting_free);

/**
 * hkm_nmi_free() - put off a free
 * @block: a live block
 *
 * Context: NMI. Ends the caller's preempt_disable().
 */
void hkm_nmi_free(void *block)
{
	hkm_block_mark(block);
	preempt_enable();
	if (llist_add(block, &waiting))
		irq_work_queue(&waiting_work);
}

/* After the last free. */
void hkm_nmi_free_exit(void)
{
	irq_work_sync(&waiting_work);
	/* The work may be ending on another CPU than the one waited for. */
	synchronize_rcu();
}
