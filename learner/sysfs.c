// SPDX-License-Identifier: GPL-2.0
/*
 * /sys/kernel/hakmem, as Documentation/ABI/testing/sysfs-kernel-hakmem has it.
 */
#include <linux/completion.h>
#include <linux/kernel.h>
#include <linux/kobject.h>
#include <linux/minmax.h>
#include <linux/slab.h>
#include <linux/sysfs.h>

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
 * @applied: called after a change that calls for more, with the class
 */
struct knob {
	struct kobj_attribute attr;
	size_t offset;
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
	return sysfs_emit(buf, "%u\n", value);
}

static ssize_t knob_store(struct kobject *kobj, struct kobj_attribute *attr,
			  const char *buf, size_t count)
{
	const struct knob *knob = container_of(attr, struct knob, attr);
	struct hkm_policy *policy;
	u32 value;
	int err;

	if (kstrtou32(buf, 10, &value))
		return -EINVAL;
	policy = hkm_policy_edit();
	if (!policy)
		return -ENOMEM;
	*knob_value(policy, kobj, knob) = value;
	err = hkm_policy_commit(policy);
	if (err)
		return err;
	if (knob->applied)
		knob->applied(is_class_dir(kobj) ? class_id_of(kobj) : 0);
	return count;
}

#define KNOB(name, field, applied_fn)					\
static struct knob name##_knob = {					\
	.attr = __ATTR(name, 0644, knob_show, knob_store),		\
	.offset = offsetof(struct hkm_policy, field),			\
	.applied = applied_fn,						\
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

KNOB(cap, cap_requested, NULL);
KNOB_RO(cap_effective, cap_chunks);
KNOB(ring_limit, ring_limit, parked_changed);

KNOB_RO(generation, generation);
KNOB(reserve_chunks, reserve_chunks, reserve_changed);
KNOB(cpu_budget_bytes, cpu_budget_bytes, all_parked_changed);
KNOB(idle_ms, idle_ms, NULL);
KNOB(refill_bundle, refill_bundle, NULL);
KNOB(w_max_pct, w_max_pct, NULL);
#undef KNOB
#undef KNOB_RO

/* Over all nodes. */
static long class_sum(unsigned int class_id, long (*count)(unsigned int bin))
{
	unsigned int bin;
	long sum = 0;

	for (bin = class_id; bin < hkm_nr_bins; bin += HKM_NR_CLASSES)
		sum += count(bin);
	return sum;
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

CLASS_ATTR(size_bytes, "%u", hkm_classes[id].size_bytes);
CLASS_ATTR(chunks, "%ld", class_sum(id, hkm_chunk_count));
CLASS_ATTR(inventory_chunks, "%ld", class_sum(id, hkm_inventory_count));
CLASS_ATTR(objects_live, "%lld", hkm_stats_live(&sum));
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
	NULL
};

static const struct attribute_group policy_group = {
	.name	= "policy",
	.attrs	= policy_attrs,
};

/* Read while CPUs go on counting, a term may be a few blocks short of none. */
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
	if (!sysfs_streq(buf, "1"))
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

/* The directories are static, and may be gone only after their last user. */
static void class_dir_put(unsigned int id)
{
	kobject_put(&hkm_class_dir[id]);
	wait_for_completion(&hkm_class_dir_gone[id]);
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
		goto put_root;
	err = -ENOMEM;
	hkm_classes_dir = kobject_create_and_add("classes", hkm_root);
	if (!hkm_classes_dir)
		goto put_root;
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
	do
		class_dir_put(id);
	while (id--);
	kobject_put(hkm_classes_dir);
put_root:
	kobject_put(hkm_root);
	return err;
}

void hkm_sysfs_exit(void)
{
	unsigned int id;

	for (id = 0; id < HKM_NR_CLASSES; id++)
		class_dir_put(id);
	kobject_put(hkm_classes_dir);
	kobject_put(hkm_root);
}
