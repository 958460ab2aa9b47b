// SPDX-License-Identifier: GPL-2.0
/*
 * Watching: all requests take the slow path, where tracepoints and debug checks
 * look at them. The hot path tests for neither.
 *
 * Each CPU's hkm_cpu_this is made to name a second stand-in, &hkm_cpu_watched.
 * Like &hkm_cpu_busy it is empty and full at once, but the slow path, finding
 * it, goes on with the CPU's own front end (hkm_cpu_own()). So the tiers work as
 * ever, only out of line.
 *
 * The pointer belongs to its CPU, and to the busy section that read it: when that
 * ends, it puts back what it read. So an interrupt on the CPU changes the pointer,
 * and a section that it hit may change it back. After a grace period such a section
 * has ended, for preemption is off in it; then a second interrupt looks whether the
 * change has lasted, and makes it again if not. Once all CPUs are found changed,
 * all sections begin with the new pointer.
 */
#include <linux/cpu.h>
#include <linux/mutex.h>
#include <linux/percpu.h>
#include <linux/rcupdate.h>
#include <linux/smp.h>

#include "cpu_cache.h"
#include "watch.h"
#include "../include/hkm_compat.h"

#define CREATE_TRACE_POINTS
#include <trace/events/hakmem.h>

static DEFINE_MUTEX(watch_lock);
/* Protected by watch_lock. */
static unsigned int nr_watchers;
static bool started;

struct watch_switch {
	bool watch;
	atomic_t nr_changed;
};

static struct hkm_cpu *front_end(const struct watch_switch *to, int cpu)
{
	return to->watch ? &hkm_cpu_watched : hkm_cpu_of(cpu);
}

static void this_cpu_switch(void *arg)
{
	struct watch_switch *to = arg;
	struct hkm_cpu *cpu = front_end(to, smp_processor_id());

	if (this_cpu_read(hkm_cpu_this) == cpu)
		return;
	atomic_inc(&to->nr_changed);
	if (this_cpu_read(hkm_cpu_this) != &hkm_cpu_busy)
		this_cpu_write(hkm_cpu_this, cpu);
}

static void switch_all(bool watch)
{
	struct watch_switch to = { .watch = watch };
	int cpu;

	cpus_read_lock();
	for_each_possible_cpu(cpu)
		if (!cpu_online(cpu))
			per_cpu(hkm_cpu_this, cpu) = front_end(&to, cpu);
	on_each_cpu(this_cpu_switch, &to, 1);
	while (atomic_xchg(&to.nr_changed, 0)) {
		synchronize_rcu();
		on_each_cpu(this_cpu_switch, &to, 1);
	}
	cpus_read_unlock();
}

/* After the front ends: events may have been turned on before. */
void __init hkm_watch_init(void)
{
	mutex_lock(&watch_lock);
	started = true;
	if (nr_watchers)
		switch_all(true);
	mutex_unlock(&watch_lock);
}

/**
 * hkm_watch_get() - have all requests take the slow path
 *
 * Context: Task; may sleep.
 * Return: 0, as tracepoints want it.
 */
int hkm_watch_get(void)
{
	mutex_lock(&watch_lock);
	if (!nr_watchers++ && started)
		switch_all(true);
	mutex_unlock(&watch_lock);
	return 0;
}
EXPORT_SYMBOL_IF_KUNIT(hkm_watch_get);

/**
 * hkm_watch_put() - undo one hkm_watch_get()
 *
 * Context: Task; may sleep. The events' own may come after the module's exit.
 */
void hkm_watch_put(void)
{
	mutex_lock(&watch_lock);
	if (!--nr_watchers && started)
		switch_all(false);
	mutex_unlock(&watch_lock);
}
EXPORT_SYMBOL_IF_KUNIT(hkm_watch_put);
