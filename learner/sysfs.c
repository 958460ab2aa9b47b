// SPDX-License-Identifier: GPL-2.0
/*
 * /sys/kernel/hakmem, as Documentation/ABI/testing/sysfs-kernel-hakmem has it.
 */
#include <linux/completion.h>
#include <linux/kernel.h>
#include <linux/kobject.h>
#include <linux/minmax.h>
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/sysfs.h>

#include "history.h"
#include "learner.h"
#include "policy.h"
#include "sysfs.h"
#include "../pool/chunk.h"
#include "../pool/inventory.h"
#include "../pool/reclaim.h"
#include "../pool/reserve.h"
#include "../pool/size_class.h"
#include "../pool/stats.h"

static struct kobject *hkm_root;
static struct kobject *hkm_classes_dir;
static struct kobject hkm_class_dir[HKM_NR_CLASSES];
static struct completion hkm_class_dir_gone[HKM_NR_CLASSES];

static unsigned int class_id_of(const struct kobject *kobj)
{
	return kobj - hkm_class_dir;
}

/**
 * struct knob - a file that shows a number of the policy, and may change it
 * @attr: the file
 * @offset: of a u32 in struct hkm_policy, or of an array of them, one per class
 * @names: what stands for 0, 1 and so on; NULL after the last. NULL for a number
 * @edit: changes what else of the policy is to change, with the class
 * @applied: called after a change that calls for more, with the class
 */
struct knob {
	struct kobj_attribute attr;
	size_t offset;
	const char * const *names;
	void (*edit)(struct hkm_policy *policy, unsigned int class_id);
	void (*applied)(unsigned int class_id);
};

static bool is_class_dir(const struct kobject *kobj)
{
	return kobj >= hkm_class_dir && kobj < hkm_class_dir + HKM_NR_CLASSES;
}

static u32 *knob_value(struct hkm_policy *policy, const struct kobject *kobj,
		       const struct knob *knob)
{
	unsigned int index = is_class_dir(kobj) ? class_id_of(kobj) : 0;

	return (u32 *)((void *)policy + knob->offset) + index;
}

static ssize_t knob_show(struct kobject *kobj, struct kobj_attribute *attr, char *buf)
{
	const struct knob *knob = container_of(attr, struct knob, attr);
	u32 value;

	preempt_disable();
	value = *knob_value(rcu_dereference_sched(hkm_policy), kobj, knob);
	preempt_enable();
	if (knob->names)
		return sysfs_emit(buf, "%s\n", knob->names[value]);
	return sysfs_emit(buf, "%u\n", value);
}

/*
 * Whether a parser sees all that was written: nothing is behind a 0 byte, nor in a
 * further piece, as what is longer than a page comes in pieces.
 */
static bool is_whole(const char *buf, size_t count)
{
	return count < PAGE_SIZE && strnlen(buf, count) == count;
}

static int knob_parse(const struct knob *knob, const char *buf, u32 *value)
{
	int index;

	if (!knob->names)
		return kstrtou32(buf, 10, value);
	index = __sysfs_match_string(knob->names, -1, buf);
	*value = index;
	return min(index, 0);
}

static ssize_t knob_store(struct kobject *kobj, struct kobj_attribute *attr,
			  const char *buf, size_t count)
{
	const struct knob *knob = container_of(attr, struct knob, attr);
	unsigned int class_id = is_class_dir(kobj) ? class_id_of(kobj) : 0;
	struct hkm_policy *policy;
	u32 value;
	int err;

	if (!is_whole(buf, count) || knob_parse(knob, buf, &value))
		return -EINVAL;
	policy = hkm_policy_edit();
	if (!policy)
		return -ENOMEM;
	*knob_value(policy, kobj, knob) = value;
	if (knob->edit)
		knob->edit(policy, class_id);
	err = hkm_policy_commit(policy);
	if (err)
		return err;
	if (knob->applied)
		knob->applied(class_id);
	return count;
}

#define KNOB(name, field, ...)						\
static struct knob name##_knob = {					\
	.attr = __ATTR(name, 0644, knob_show, knob_store),		\
	.offset = offsetof(struct hkm_policy, field),			\
	__VA_ARGS__							\
}

#define KNOB_RO(name, field)						\
static struct knob name##_knob = {					\
	.attr = __ATTR(name, 0444, knob_show, NULL),			\
	.offset = offsetof(struct hkm_policy, field),			\
}

static void reserve_changed(unsigned int class_id)
{
	hkm_reserve_fill(GFP_KERNEL);
}

static void parked_changed(unsigned int class_id)
{
	hkm_reclaim_unpark(class_id);
}

static void all_parked_changed(unsigned int class_id)
{
	for (class_id = 0; class_id < HKM_NR_CLASSES; class_id++)
		hkm_reclaim_unpark(class_id);
}

/* The learner, if enabled, goes on from there. */
static void cap_edit(struct hkm_policy *policy, unsigned int class_id)
{
	policy->cap_chunks[class_id] = policy->cap_requested[class_id];
}

static void w_max_edit(struct hkm_policy *policy, unsigned int class_id)
{
	hkm_policy_set_w_max(policy);
}

static void learner_changed(unsigned int class_id)
{
	hkm_learner_wake();
}

KNOB(cap, cap_requested, .edit = cap_edit);
KNOB_RO(cap_effective, cap_chunks);
KNOB(ring_limit, ring_limit, .applied = parked_changed);

KNOB_RO(generation, generation);
KNOB(reserve_chunks, reserve_chunks, .applied = reserve_changed);
KNOB(cpu_budget_bytes, cpu_budget_bytes, .applied = all_parked_changed);
KNOB(idle_ms, idle_ms);
KNOB(refill_bundle, refill_bundle);
KNOB(w_max_pct, w_max_pct, .edit = w_max_edit);
KNOB_RO(w_max_pct_effective, w_max[0]);

static const char * const controller_names[] = {
	[HKM_CONTROLLER_STEP]	= "step",
	[HKM_CONTROLLER_COST]	= "cost",
	NULL
};

static const char * const w_max_mode_names[] = {
	[HKM_WMAX_OFF]	= "off",
	[HKM_WMAX_UCB1]	= "ucb1",
	NULL
};

#define LEARNER_KNOB(name, field, ...) \
	KNOB(name, field, .applied = learner_changed, __VA_ARGS__)

static const char * const dyn_mode_names[] = {
	[HKM_DYN_OFF]	= "off",
	[HKM_DYN_ON]	= "on",
	NULL
};

LEARNER_KNOB(enabled, learner_enabled);
LEARNER_KNOB(controller, decide.controller, .names = controller_names);
LEARNER_KNOB(interval_ms, learner_interval_ms);
LEARNER_KNOB(target_mid_bp, decide.target_mid_bp);
LEARNER_KNOB(target_large_bp, decide.target_large_bp);
LEARNER_KNOB(band_bp, decide.band_bp);
LEARNER_KNOB(cap_step, decide.cap_step);
LEARNER_KNOB(cap_min, decide.cap_min);
LEARNER_KNOB(cap_max, decide.cap_max);
LEARNER_KNOB(dwell_mid_ms, decide.dwell_mid_ms);
LEARNER_KNOB(dwell_large_ms, decide.dwell_large_ms);
LEARNER_KNOB(global_budget_chunks, decide.global_budget_chunks);
LEARNER_KNOB(w_max_mode, w_max_mode, .names = w_max_mode_names);
LEARNER_KNOB(dyn_mode, dyn_mode, .names = dyn_mode_names);
LEARNER_KNOB(dyn_max, dyn_max);
#undef LEARNER_KNOB
#undef KNOB
#undef KNOB_RO

/* A dynamic class that serves nothing, nor has a block left, has no size. */
static u32 class_bytes(unsigned int class_id)
{
	u32 bytes;

	if (!hkm_class_is_dyn(class_id))
		return hkm_classes[class_id].size_bytes;
	/* One section: a class with blocks keeps its size until its end. */
	preempt_disable();
	bytes = rcu_dereference_sched(hkm_policy)->dyn_bytes[class_id - HKM_CLASS_DYN1];
	if (!bytes && hkm_class_held(class_id))
		bytes = hkm_classes[class_id].size_bytes;
	preempt_enable();
	return bytes;
}

#define CLASS_ATTR(name, format, value)					\
static ssize_t name##_show(struct kobject *kobj,			\
			   struct kobj_attribute *attr, char *buf)	\
{									\
	unsigned int id = class_id_of(kobj);				\
	struct hkm_class_stats sum;					\
									\
	hkm_stats_class(id, &sum);					\
	return sysfs_emit(buf, format "\n", value);			\
}									\
static struct kobj_attribute name##_attr = __ATTR_RO(name)

CLASS_ATTR(size_bytes, "%u", class_bytes(id));
CLASS_ATTR(chunks, "%ld", hkm_class_sum(id, hkm_chunk_count));
CLASS_ATTR(inventory_chunks, "%ld", hkm_class_sum(id, hkm_inventory_count));
/* Read while CPUs go on counting, it may be a few blocks short of none. */
CLASS_ATTR(objects_live, "%lld", max_t(s64, hkm_stats_live(&sum), 0));
CLASS_ATTR(hits_ring, "%llu", sum.hits_ring);
CLASS_ATTR(hits_active, "%llu", sum.hits_active);
CLASS_ATTR(frees, "%llu", sum.frees);
CLASS_ATTR(misses, "%llu", sum.slow[HKM_slow_allocs] + sum.slow[HKM_unserved]);
#define X(name, what) CLASS_ATTR(name, "%llu", sum.slow[HKM_##name]);
HKM_SLOW_COUNTERS(X)
#undef X
#undef CLASS_ATTR

static struct attribute *class_attrs[] = {
	&size_bytes_attr.attr,
	&chunks_attr.attr,
	&cap_knob.attr.attr,
	&cap_effective_knob.attr.attr,
	&ring_limit_knob.attr.attr,
	&inventory_chunks_attr.attr,
	&objects_live_attr.attr,
	&hits_ring_attr.attr,
	&hits_active_attr.attr,
	&frees_attr.attr,
	&misses_attr.attr,
#define X(name, what) &name##_attr.attr,
	HKM_SLOW_COUNTERS(X)
#undef X
	NULL
};
ATTRIBUTE_GROUPS(class);

static ssize_t reserve_chunks_effective_show(struct kobject *kobj,
					     struct kobj_attribute *attr, char *buf)
{
	return sysfs_emit(buf, "%ld\n", hkm_reserve_count());
}

static struct kobj_attribute reserve_chunks_effective_attr =
	__ATTR_RO(reserve_chunks_effective);

static struct attribute *policy_attrs[] = {
	&generation_knob.attr.attr,
	&reserve_chunks_knob.attr.attr,
	&reserve_chunks_effective_attr.attr,
	&cpu_budget_bytes_knob.attr.attr,
	&idle_ms_knob.attr.attr,
	&refill_bundle_knob.attr.attr,
	&w_max_pct_knob.attr.attr,
	&w_max_pct_effective_knob.attr.attr,
	NULL
};

static const struct attribute_group policy_group = {
	.name	= "policy",
	.attrs	= policy_attrs,
};

static ssize_t decisions_show(struct kobject *kobj, struct kobj_attribute *attr,
			      char *buf)
{
	return sysfs_emit(buf, "%llu\n", hkm_history_nr());
}

static ssize_t last_decision_show(struct kobject *kobj,
				  struct kobj_attribute *attr, char *buf)
{
	struct hkm_event event;
	char line[HKM_EVENT_CHARS];

	if (!hkm_history_get(0, &event))
		return sysfs_emit(buf, "none\n");
	hkm_event_print(&event, line);
	return sysfs_emit(buf, "%s\n", line);
}

static struct kobj_attribute decisions_attr = __ATTR_RO(decisions);
static struct kobj_attribute last_decision_attr = __ATTR_RO(last_decision);

static struct attribute *learner_attrs[] = {
	&enabled_knob.attr.attr,
	&controller_knob.attr.attr,
	&interval_ms_knob.attr.attr,
	&target_mid_bp_knob.attr.attr,
	&target_large_bp_knob.attr.attr,
	&band_bp_knob.attr.attr,
	&cap_step_knob.attr.attr,
	&cap_min_knob.attr.attr,
	&cap_max_knob.attr.attr,
	&dwell_mid_ms_knob.attr.attr,
	&dwell_large_ms_knob.attr.attr,
	&global_budget_chunks_knob.attr.attr,
	&w_max_mode_knob.attr.attr,
	&dyn_mode_knob.attr.attr,
	&dyn_max_knob.attr.attr,
	&decisions_attr.attr,
	&last_decision_attr.attr,
	NULL
};

static const struct attribute_group learner_group = {
	.name	= "learner",
	.attrs	= learner_attrs,
};

/* As objects_live. */
#define TOTAL_ATTR(term)						\
static ssize_t bytes_##term##_show(struct kobject *kobj,		\
				   struct kobj_attribute *attr, char *buf) \
{									\
	struct hkm_totals totals;					\
									\
	hkm_totals_read(&totals);					\
	return sysfs_emit(buf, "%lld\n", max_t(s64, totals.term, 0));	\
}									\
static struct kobj_attribute bytes_##term##_attr = __ATTR_RO(bytes_##term)

TOTAL_ATTR(held);
TOTAL_ATTR(live);
TOTAL_ATTR(parked);
TOTAL_ATTR(shared);
TOTAL_ATTR(inventory);
TOTAL_ATTR(moving);
TOTAL_ATTR(unusable);
TOTAL_ATTR(requested);
#undef TOTAL_ATTR

static struct attribute *total_attrs[] = {
	&bytes_held_attr.attr,
	&bytes_live_attr.attr,
	&bytes_parked_attr.attr,
	&bytes_shared_attr.attr,
	&bytes_inventory_attr.attr,
	&bytes_moving_attr.attr,
	&bytes_unusable_attr.attr,
	&bytes_requested_attr.attr,
	NULL
};

static const struct attribute_group total_group = {
	.name	= "stats",
	.attrs	= total_attrs,
};

static ssize_t trim_store(struct kobject *kobj, struct kobj_attribute *attr,
			  const char *buf, size_t count)
{
	if (!is_whole(buf, count) || !sysfs_streq(buf, "1"))
		return -EINVAL;
	hkm_reclaim_all();
	return count;
}

static struct kobj_attribute trim_attr = __ATTR_WO(trim);

static struct attribute *root_attrs[] = {
	&trim_attr.attr,
	NULL
};

static const struct attribute_group root_group = {
	.attrs	= root_attrs,
};

static const struct attribute_group *root_groups[] = {
	&root_group,
	&policy_group,
	&learner_group,
	&total_group,
	NULL
};

static void class_dir_release(struct kobject *kobj)
{
	complete(&hkm_class_dir_gone[class_id_of(kobj)]);
}

static const struct kobj_type class_dir_type = {
	.release	= class_dir_release,
	.sysfs_ops	= &kobj_sysfs_ops,
	.default_groups	= class_groups,
};

/* Of the first @nr classes. They are static, and may be gone only after their last user. */
static void class_dirs_put(unsigned int nr)
{
	unsigned int id;

	/* All at once, where a kernel may release objects late to find bugs. */
	for (id = 0; id < nr; id++)
		kobject_put(&hkm_class_dir[id]);
	for (id = 0; id < nr; id++)
		wait_for_completion(&hkm_class_dir_gone[id]);
}

/* Its files are gone at once, even where the kernel releases the object late. */
static void dir_remove(struct kobject *dir)
{
	kobject_del(dir);
	kobject_put(dir);
}

int __init hkm_sysfs_init(void)
{
	unsigned int id;
	int err;

	hkm_root = kobject_create_and_add("hakmem", kernel_kobj);
	if (!hkm_root)
		return -ENOMEM;
	err = sysfs_create_groups(hkm_root, root_groups);
	if (err)
		goto remove_root;
	err = -ENOMEM;
	hkm_classes_dir = kobject_create_and_add("classes", hkm_root);
	if (!hkm_classes_dir)
		goto remove_root;
	for (id = 0; id < HKM_NR_CLASSES; id++) {
		init_completion(&hkm_class_dir_gone[id]);
		err = kobject_init_and_add(&hkm_class_dir[id], &class_dir_type,
					   hkm_classes_dir, "%s",
					   hkm_classes[id].name);
		if (err)
			goto put_classes;
	}
	return 0;

put_classes:
	/* The one that failed was initialised too, and must be put. */
	class_dirs_put(id + 1);
	dir_remove(hkm_classes_dir);
remove_root:
	dir_remove(hkm_root);
	return err;
}

void hkm_sysfs_exit(void)
{
	class_dirs_put(HKM_NR_CLASSES);
	dir_remove(hkm_classes_dir);
	dir_remove(hkm_root);
}
