// SPDX-License-Identifier: GPL-2.0
/*
 * The latest decisions, for people: one at a time as tracepoint policy_change, the
 * last in sysfs, all that are kept in debugfs (hakmem/history). Not in sysfs, where
 * a file holds one value; and a list to look at, in whatever form, is no
 * interface to rely on.
 */
#include <linux/build_bug.h>
#include <linux/debugfs.h>
#include <linux/kernel.h>
#include <linux/lockdep.h>
#include <linux/math64.h>
#include <linux/mutex.h>
#include <linux/seq_file.h>
#include <linux/time64.h>
#include <trace/events/hakmem.h>

#include "history.h"
#include "../include/hkm_compat.h"

/* Tracepoints name classes, subjects and reasons by their numbers. */
static_assert(HKM_CLASS_64K == 14 && HKM_NR_CLASSES == 19);
static_assert(HKM_NR_SUBJECTS == 3 && HKM_NR_REASONS == 14);

/* Protects what follows. */
static DEFINE_MUTEX(history_lock);
static struct hkm_event events[HKM_HISTORY_EVENTS];
static u64 nr_events;		/* ever; the next goes to this one's remainder */

static struct dentry *debugfs_dir;

/**
 * hkm_history_add() - remember a decision
 * @event: the decision
 *
 * The oldest one that is kept gives way.
 *
 * Context: Task.
 */
void hkm_history_add(const struct hkm_event *event)
{
	trace_policy_change(event->subject, event->class_id, event->value_old,
			    event->value_new, event->reason, event->before,
			    event->after);
	mutex_lock(&history_lock);
	events[nr_events++ % HKM_HISTORY_EVENTS] = *event;
	mutex_unlock(&history_lock);
}
EXPORT_SYMBOL_IF_KUNIT(hkm_history_add);

static bool event_get(unsigned int nr, struct hkm_event *event)
{
	lockdep_assert_held(&history_lock);
	if (nr >= HKM_HISTORY_EVENTS || nr >= nr_events)
		return false;
	*event = events[(nr_events - 1 - nr) % HKM_HISTORY_EVENTS];
	return true;
}

/**
 * hkm_history_get() - look up a decision
 * @nr: 0 for the latest, 1 for the one before it, and so on
 * @event: filled in
 *
 * Context: Task.
 * Return: false if there is none, or none any more.
 */
bool hkm_history_get(unsigned int nr, struct hkm_event *event)
{
	bool found;

	mutex_lock(&history_lock);
	found = event_get(nr, event);
	mutex_unlock(&history_lock);
	return found;
}
EXPORT_SYMBOL_IF_KUNIT(hkm_history_get);

/**
 * hkm_history_nr() - tell how many decisions there were
 *
 * Context: Task.
 * Return: their number since the module was loaded.
 */
u64 hkm_history_nr(void)
{
	u64 nr;

	mutex_lock(&history_lock);
	nr = nr_events;
	mutex_unlock(&history_lock);
	return nr;
}
EXPORT_SYMBOL_IF_KUNIT(hkm_history_nr);

static const char *class_name(unsigned int class_id)
{
	return class_id < HKM_NR_CLASSES ? hkm_classes[class_id].name : "-";
}

/**
 * hkm_event_print() - make a line of a decision
 * @event: the decision
 * @line: filled with when, in seconds; about what; class; the value before and
 *	after; why; the figure that was decided by, before and after
 *
 * Context: Any.
 */
void hkm_event_print(const struct hkm_event *event, char line[HKM_EVENT_CHARS])
{
	static const char * const subjects[HKM_NR_SUBJECTS] = {
		[HKM_SUBJECT_CAP]	= "cap",
		[HKM_SUBJECT_W_MAX]	= "w_max",
		[HKM_SUBJECT_SIZE]	= "size",
	};
	u32 ms;
	u64 seconds = div_u64_rem(event->at_ms, MSEC_PER_SEC, &ms);

	scnprintf(line, HKM_EVENT_CHARS, "%llu.%03u %s %s %u %u %s %u %u", seconds,
		  ms, subjects[event->subject], class_name(event->class_id),
		  event->value_old, event->value_new,
		  hkm_reason_name(event->reason), event->before, event->after);
}
EXPORT_SYMBOL_IF_KUNIT(hkm_event_print);

static int history_show(struct seq_file *seq, void *unused)
{
	unsigned int nr = HKM_HISTORY_EVENTS;
	char line[HKM_EVENT_CHARS];
	struct hkm_event event;

	mutex_lock(&history_lock);
	while (nr--) {
		if (!event_get(nr, &event))
			continue;
		hkm_event_print(&event, line);
		seq_printf(seq, "%s\n", line);
	}
	mutex_unlock(&history_lock);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(history);

void __init hkm_history_init(void)
{
	debugfs_dir = debugfs_create_dir("hakmem", NULL);
	debugfs_create_file("history", 0444, debugfs_dir, NULL, &history_fops);
}

void hkm_history_exit(void)
{
	debugfs_remove(debugfs_dir);
}
