// SPDX-License-Identifier: GPL-2.0
/*
 * The policy in force.
 */
#include <linux/mutex.h>
#include <linux/percpu.h>
#include <linux/slab.h>

#include "policy.h"
#include "../pool/cpu_cache.h"
#include "../include/hkm_compat.h"

#define HKM_CPU_BUDGET_BYTES	SZ_1M
#define HKM_IDLE_MS		10000
#define HKM_CAP_CHUNKS		64
#define HKM_RESERVE_CHUNKS	4
#define HKM_W_MAX_PCT		150
#define HKM_INTERVAL_MS		1000

struct hkm_policy __rcu *hkm_policy;
EXPORT_SYMBOL_IF_KUNIT(hkm_policy);

DEFINE_PER_CPU(const u8 *, hkm_bin_of);
DEFINE_PER_CPU(int, hkm_near_nid);

/* Held from hkm_policy_edit() to hkm_policy_commit() or hkm_policy_abort(). */
static DEFINE_MUTEX(edit_lock);

/*
 * A refill takes two spans, to become active pages A and B; four where a span
 * is a single chunk of so few blocks that two would soon be used up. Large ones
 * are taken one by one.
 */
static unsigned int bundle_spans(unsigned int class_id, u32 chunks)
{
	const struct hkm_class *cl = &hkm_classes[class_id];
	unsigned int spans = cl->nr_blocks > 4 ? 2 : 4;

	if (hkm_class_is_large(class_id))
		return 1;
	return clamp(chunks >> cl->span_order, 1U, spans);
}

/**
 * hkm_policy_set_w_max() - put in force the W_MAX that was asked for
 * @policy: a policy that is being edited
 *
 * The learner, if enabled, goes on from there.
 *
 * Context: Any.
 */
void hkm_policy_set_w_max(struct hkm_policy *policy)
{
	policy->w_max[0] = policy->w_max_pct;
	policy->w_max[1] = policy->w_max_pct;
	policy->w_max_epoch++;
}
EXPORT_SYMBOL_IF_KUNIT(hkm_policy_set_w_max);

/* Works out what follows from what was asked for. */
static void policy_compile(struct hkm_policy *policy)
{
	unsigned long dyns = 0;
	unsigned int id, nid, i;

	for (i = 0; i < HKM_NR_DYN; i++)
		if (policy->dyn_bytes[i])
			__set_bit(i, &dyns);
	for (id = 0; id < HKM_NR_CLASSES; id++) {
		policy->next_class[id] = hkm_class_next(id, dyns);
		if (!policy->learner_enabled)
			policy->cap_chunks[id] = policy->cap_requested[id];
		policy->bundle[id] = bundle_spans(id, policy->refill_bundle);
	}
	if (!policy->learner_enabled)
		policy->learner_epoch++;
	if (!policy->learner_enabled || policy->w_max_mode == HKM_WMAX_OFF)
		hkm_policy_set_w_max(policy);
	policy->decide.idle_ms = policy->idle_ms;
	for (nid = 0; nid < HKM_MAX_NODES; nid++)
		hkm_class_table_build(policy->bin_of[nid], nid, dyns);
}

/* Has a CPU's requests go by a policy. Its node may be another than last time. */
static void cpu_publish(const struct hkm_policy *policy, int cpu)
{
	int nid = hkm_cpu_nid(cpu);

	WRITE_ONCE(per_cpu(hkm_near_nid, cpu), nid);
	/* Pairs with the dependency in hkm_policy_bins(). */
	smp_store_release(&per_cpu(hkm_bin_of, cpu), policy->bin_of[nid % HKM_MAX_NODES]);
}

/**
 * hkm_policy_publish() - make a policy the one in force
 * @policy: the new one, which stays as it is from here on
 *
 * The old one may be freed after a grace period.
 *
 * Context: Task; nobody else publishes meanwhile.
 */
void hkm_policy_publish(struct hkm_policy *policy)
{
	int i;

	rcu_assign_pointer(hkm_policy, policy);
	for_each_possible_cpu(i)
		cpu_publish(policy, i);
}
EXPORT_SYMBOL_IF_KUNIT(hkm_policy_publish);

/**
 * hkm_policy_cpu_comes() - a CPU is to be served from the node that it is on now
 * @cpu: the CPU, which is not online yet
 *
 * The kernel knows for sure only once the CPU has been plugged in.
 *
 * Context: Task; may sleep.
 */
void hkm_policy_cpu_comes(int cpu)
{
	mutex_lock(&edit_lock);
	cpu_publish(rcu_dereference_protected(hkm_policy, true), cpu);
	mutex_unlock(&edit_lock);
}

static bool within(u32 value, u32 min, u32 max)
{
	return value >= min && value <= max;
}

static bool learner_is_valid(const struct hkm_policy *policy)
{
	const struct hkm_decide_params *decide = &policy->decide;

	return policy->learner_enabled <= 1 &&
	       within(policy->learner_interval_ms, HKM_INTERVAL_MS_MIN,
		      HKM_INTERVAL_MS_MAX) &&
	       decide->dwell_mid_ms <= HKM_DWELL_MS_MAX &&
	       decide->dwell_large_ms <= HKM_DWELL_MS_MAX &&
	       policy->dyn_mode < HKM_NR_DYN_MODES &&
	       policy->dyn_max <= HKM_NR_DYN &&
	       decide->global_budget_chunks <= HKM_BUDGET_CHUNKS_MAX &&
	       hkm_decide_params_valid(decide);
}

static bool policy_is_valid(const struct hkm_policy *policy)
{
	unsigned int id;

	for (id = 0; id < HKM_NR_CLASSES; id++)
		if (policy->cap_requested[id] > HKM_CAP_LIMIT ||
		    policy->cap_chunks[id] > HKM_CAP_LIMIT ||
		    policy->ring_limit[id] > HKM_RING_SLOTS)
			return false;
	return policy->reserve_chunks <= HKM_RESERVE_CHUNKS_MAX &&
	       within(policy->cpu_budget_bytes, HKM_CPU_BUDGET_BYTES_MIN,
		      HKM_CPU_BUDGET_BYTES_MAX) &&
	       within(policy->idle_ms, HKM_IDLE_MS_MIN, HKM_IDLE_MS_MAX) &&
	       within(policy->refill_bundle, 1, HKM_REFILL_BUNDLE_MAX) &&
	       within(policy->w_max_pct, HKM_W_MAX_PCT_MIN, HKM_W_MAX_PCT_MAX) &&
	       within(policy->w_max[0], HKM_W_MAX_PCT_MIN, HKM_W_MAX_PCT_MAX) &&
	       within(policy->w_max[1], HKM_W_MAX_PCT_MIN, HKM_W_MAX_PCT_MAX) &&
	       policy->w_max_mode < HKM_NR_WMAX_MODES &&
	       learner_is_valid(policy);
}

static void policy_free_rcu(struct rcu_head *rcu)
{
	kfree(container_of(rcu, struct hkm_policy, rcu));
}

/**
 * hkm_policy_edit() - begin a change
 *
 * Context: Task; may sleep. Others that would change the policy wait until
 * hkm_policy_commit() or hkm_policy_abort(), if this succeeds.
 * Return: a copy of the policy in force, which is the caller's; NULL without memory.
 */
struct hkm_policy *hkm_policy_edit(void)
{
	struct hkm_policy *policy;

	mutex_lock(&edit_lock);
	policy = kmemdup(rcu_dereference_protected(hkm_policy, true),
			 sizeof(*policy), GFP_KERNEL);
	if (!policy)
		mutex_unlock(&edit_lock);
	return policy;
}
EXPORT_SYMBOL_IF_KUNIT(hkm_policy_edit);

/**
 * hkm_policy_commit() - end a change
 * @policy: what hkm_policy_edit() returned; not the caller's any more
 *
 * Context: Task.
 * Return: 0; -EINVAL if a value is out of bounds, and then nothing has changed.
 */
int hkm_policy_commit(struct hkm_policy *policy)
{
	struct hkm_policy *old = rcu_dereference_protected(hkm_policy, true);
	bool valid = policy_is_valid(policy);

	if (valid) {
		policy->generation++;
		policy_compile(policy);
		hkm_policy_publish(policy);
		call_rcu(&old->rcu, policy_free_rcu);
	} else {
		kfree(policy);
	}
	mutex_unlock(&edit_lock);
	return valid ? 0 : -EINVAL;
}
EXPORT_SYMBOL_IF_KUNIT(hkm_policy_commit);

/**
 * hkm_policy_abort() - end a change without any
 * @policy: what hkm_policy_edit() returned; not the caller's any more
 *
 * Context: Task.
 */
void hkm_policy_abort(struct hkm_policy *policy)
{
	kfree(policy);
	mutex_unlock(&edit_lock);
}

int __init hkm_policy_init(void)
{
	struct hkm_policy *policy = kzalloc(sizeof(*policy), GFP_KERNEL);
	unsigned int id;

	if (!policy)
		return -ENOMEM;
	policy->generation = 1;
	policy->cpu_budget_bytes = HKM_CPU_BUDGET_BYTES;
	policy->reserve_chunks = HKM_RESERVE_CHUNKS;
	policy->idle_ms = HKM_IDLE_MS;
	policy->refill_bundle = HKM_REFILL_BUNDLE_MAX;
	policy->w_max_pct = HKM_W_MAX_PCT;
	policy->w_max_mode = HKM_WMAX_UCB1;
	hkm_policy_set_w_max(policy);
	policy->learner_enabled = 1;
	policy->learner_interval_ms = HKM_INTERVAL_MS;
	policy->decide = hkm_decide_defaults;
	policy->dyn_mode = HKM_DYN_ON;
	policy->dyn_max = HKM_NR_DYN;
	policy->dyn_bytes[0] = hkm_classes[HKM_CLASS_DYN1].size_bytes;
	for (id = 0; id < HKM_NR_CLASSES; id++) {
		policy->cap_requested[id] = HKM_CAP_CHUNKS;
		policy->cap_chunks[id] = HKM_CAP_CHUNKS;
		policy->ring_limit[id] = HKM_RING_SLOTS;
	}
	policy_compile(policy);
	hkm_policy_publish(policy);
	return 0;
}

void hkm_policy_exit(void)
{
	kfree(rcu_dereference_protected(hkm_policy, true));
}
