// SPDX-License-Identifier: GPL-2.0
/*
 * The demo: streams a file through a pipeline of two stages.
 *
 * Stage one reads the file in records of mixed sizes, 2 to 52 KiB each with its
 * header. Stage two, on another CPU where there is one, checks each record,
 * writes its data out and frees it. Loading the module runs the pipeline to its
 * end, or to that of insmod, and fails with the pipeline's error. After success
 * the results can be read from the parameters.
 */
#include <linux/completion.h>
#include <linux/cpumask.h>
#include <linux/err.h>
#include <linux/fs.h>
#include <linux/jhash.h>
#include <linux/kfifo.h>
#include <linux/kthread.h>
#include <linux/ktime.h>
#include <linux/math64.h>
#include <linux/module.h>
#include <linux/prandom.h>
#include <linux/sched/task.h>
#include <linux/sizes.h>
#include <linux/string.h>
#include <linux/timex.h>
#include <linux/wait.h>
#include <hakmem.h>

#define RECORD_MIN_BYTES	(2 * SZ_1K)
#define RECORD_MAX_BYTES	(52 * SZ_1K)
#define FIFO_RECORDS		64

/**
 * struct record - one buffer on its way through the pipeline
 * @seq: position in the stream, from 0
 * @bytes: length of @data
 * @hash: of @data
 * @data: contents of the file
 */
struct record {
	u64 seq;
	u32 bytes;
	u32 hash;
	u8 data[];
};

/**
 * struct stage - one of the two threads
 * @task: its thread
 * @file: what it reads or writes
 * @cycles: time that it spent in the allocator
 * @err: why it ended early
 */
struct stage {
	struct task_struct *task;
	struct file *file;
	cycles_t cycles;
	int err;
};

static char *input = "";
module_param(input, charp, 0444);
MODULE_PARM_DESC(input, "file to read");

static char *output = "";
module_param(output, charp, 0444);
MODULE_PARM_DESC(output, "file to write");

static char *alloc = "hkm";
module_param(alloc, charp, 0444);
MODULE_PARM_DESC(alloc, "allocator: hkm (default) or kmalloc");

static uint seed = 1;
module_param(seed, uint, 0444);
MODULE_PARM_DESC(seed, "seed of the record sizes (default 1)");

static unsigned long records;
module_param(records, ulong, 0444);
MODULE_PARM_DESC(records, "result: records written");

static unsigned long bytes;
module_param(bytes, ulong, 0444);
MODULE_PARM_DESC(bytes, "result: bytes written");

static unsigned long mismatches;
module_param(mismatches, ulong, 0444);
MODULE_PARM_DESC(mismatches, "result: records that arrived damaged");

static unsigned long total_ns;
module_param(total_ns, ulong, 0444);
MODULE_PARM_DESC(total_ns, "result: time from start to end");

static unsigned long alloc_ns;
module_param(alloc_ns, ulong, 0444);
MODULE_PARM_DESC(alloc_ns, "result: time spent in allocation and free, of both stages");

static const char * const alloc_names[] = { "hkm", "kmalloc" };

static struct stage source, sink;
static bool use_hkm;
static DEFINE_KFIFO(fifo, struct record *, FIFO_RECORDS);
static DECLARE_WAIT_QUEUE_HEAD(fifo_wait);
static DECLARE_COMPLETION(sink_done);
/* No more records follow. */
static bool source_ended;
/* Both stages are to end now. */
static bool stop;

static struct record *record_alloc(struct stage *stage, size_t size)
{
	cycles_t start = get_cycles();
	struct record *rec;

	rec = use_hkm ? hkm_kmalloc(size, GFP_KERNEL) : kmalloc(size, GFP_KERNEL);
	stage->cycles += get_cycles() - start;
	return rec;
}

static void record_free(struct stage *stage, struct record *rec)
{
	cycles_t start = get_cycles();

	if (use_hkm)
		hkm_kfree(rec);
	else
		kfree(rec);
	stage->cycles += get_cycles() - start;
}

static bool fifo_put(struct record *rec)
{
	if (!kfifo_put(&fifo, rec))
		return false;
	wake_up(&fifo_wait);
	return true;
}

static bool fifo_get(struct record **rec)
{
	if (!kfifo_get(&fifo, rec))
		return false;
	wake_up(&fifo_wait);
	return true;
}

/* Reads one record; an ERR_PTR() on failure, NULL at the end of the file. */
static struct record *record_read(struct rnd_state *rnd, u64 seq, loff_t *pos)
{
	size_t size = RECORD_MIN_BYTES + prandom_u32_state(rnd) %
		      (RECORD_MAX_BYTES - RECORD_MIN_BYTES + 1);
	struct record *rec = record_alloc(&source, size);
	ssize_t got;

	if (!rec)
		return ERR_PTR(-ENOMEM);
	got = kernel_read(source.file, rec->data, size - sizeof(*rec), pos);
	if (got <= 0) {
		record_free(&source, rec);
		return ERR_PTR(got);
	}
	rec->seq = seq;
	rec->bytes = got;
	rec->hash = jhash(rec->data, got, seq);
	return rec;
}

static int source_run(void *unused)
{
	struct rnd_state rnd;
	struct record *rec;
	bool queued = true;
	loff_t pos = 0;
	u64 seq;

	prandom_seed_state(&rnd, seed);
	for (seq = 0; queued; seq++) {
		rec = record_read(&rnd, seq, &pos);
		if (IS_ERR_OR_NULL(rec)) {
			source.err = PTR_ERR_OR_ZERO(rec);
			break;
		}
		wait_event(fifo_wait, (queued = fifo_put(rec)) || READ_ONCE(stop));
		if (!queued)
			record_free(&source, rec);
	}
	/* Pairs with the load in sink_ready(): the fifo is filled before. */
	smp_store_release(&source_ended, true);
	wake_up(&fifo_wait);
	return 0;
}

/* True with a record, or with NULL when there is nothing to wait for. */
static bool sink_ready(struct record **rec)
{
	/* Pairs with the store in source_run(). */
	bool ended = smp_load_acquire(&source_ended);

	*rec = NULL;
	return READ_ONCE(stop) || fifo_get(rec) || ended;
}

static int record_write(const struct record *rec, u64 seq, loff_t *pos)
{
	size_t done = 0;
	ssize_t put;

	if (rec->seq != seq || rec->bytes > RECORD_MAX_BYTES - sizeof(*rec) ||
	    rec->hash != jhash(rec->data, rec->bytes, rec->seq)) {
		mismatches++;
		return -EBADMSG;
	}
	while (done < rec->bytes) {
		put = kernel_write(sink.file, rec->data + done,
				   rec->bytes - done, pos);
		if (put <= 0)
			return put ?: -EIO;
		done += put;
	}
	records++;
	bytes += done;
	return 0;
}

static int sink_run(void *unused)
{
	struct record *rec;
	loff_t pos = 0;
	u64 seq;

	for (seq = 0; !sink.err; seq++) {
		wait_event(fifo_wait, sink_ready(&rec));
		if (!rec)
			break;
		sink.err = record_write(rec, seq, &pos);
		record_free(&sink, rec);
	}
	complete(&sink_done);
	return 0;
}

static int stage_create(struct stage *stage, int (*fn)(void *), int cpu,
			const char *name)
{
	struct task_struct *task = kthread_create(fn, NULL, "hkm_pipe_%s", name);

	if (IS_ERR(task))
		return PTR_ERR(task);
	kthread_bind(task, cpu);
	/* It may end before stage_join(). */
	stage->task = get_task_struct(task);
	return 0;
}

static void stage_join(struct stage *stage)
{
	kthread_stop(stage->task);
	put_task_struct(stage->task);
}

/* Runs both stages to their end, or to that of the calling process. */
static int stages_run(void)
{
	int first = cpumask_first(cpu_online_mask);
	int other = cpumask_next(first, cpu_online_mask);
	struct record *rec;
	int err;

	err = stage_create(&source, source_run, first, "source");
	if (err)
		return err;
	err = stage_create(&sink, sink_run,
			   other < nr_cpu_ids ? other : first, "sink");
	if (err) {
		/* It never ran, and so never will. */
		stage_join(&source);
		return err;
	}
	wake_up_process(source.task);
	wake_up_process(sink.task);

	err = wait_for_completion_killable(&sink_done);
	WRITE_ONCE(stop, true);
	wake_up_all(&fifo_wait);
	stage_join(&source);
	stage_join(&sink);
	while (fifo_get(&rec))
		record_free(&sink, rec);

	return err ?: source.err ?: sink.err;
}

static int files_open(void)
{
	source.file = filp_open(input, O_RDONLY | O_LARGEFILE, 0);
	if (IS_ERR(source.file))
		return PTR_ERR(source.file);
	sink.file = filp_open(output, O_WRONLY | O_CREAT | O_TRUNC | O_LARGEFILE,
			      0600);
	if (IS_ERR(sink.file)) {
		filp_close(source.file, NULL);
		return PTR_ERR(sink.file);
	}
	return 0;
}

/* filp_close() tells what was not written after all, on some file systems. */
static int files_close(void)
{
	int err = filp_close(sink.file, NULL);

	filp_close(source.file, NULL);
	return err;
}

static int pipe_run(void)
{
	cycles_t cycles;
	int err, close_err;
	ktime_t start;

	err = files_open();
	if (err)
		return err;

	start = ktime_get();
	cycles = get_cycles();
	err = stages_run();
	cycles = get_cycles() - cycles;
	total_ns = ktime_to_ns(ktime_sub(ktime_get(), start));
	/* The cycle counter is far cheaper to read than the clock. */
	alloc_ns = mul_u64_u64_div_u64(source.cycles + sink.cycles, total_ns,
				       max_t(u64, cycles, 1));

	close_err = files_close();
	return err ?: close_err;
}

static int __init pipe_init(void)
{
	int err = match_string(alloc_names, ARRAY_SIZE(alloc_names), alloc);

	if (err >= 0) {
		use_hkm = !err;
		err = pipe_run();
	}
	if (err)
		pr_err("%s to %s with %s: error %d after %lu records\n", input,
		       output, alloc, err, records);
	return err;
}

static void __exit pipe_exit(void)
{
}

module_init(pipe_init);
module_exit(pipe_exit);
MODULE_DESCRIPTION("Streams a file through a pipeline of hakmem buffers");
MODULE_LICENSE("GPL");
