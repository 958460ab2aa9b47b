/* SPDX-License-Identifier: GPL-2.0 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM hakmem

#if !defined(_TRACE_HAKMEM_H) || defined(TRACE_HEADER_MULTI_READ)
#define _TRACE_HAKMEM_H

#include <linux/tracepoint.h>
#include <linux/types.h>
#include <trace/events/mmflags.h>

#define show_hakmem_class(class_id)					\
	__print_symbolic(class_id, { 0, "2k" }, { 1, "4k" },		\
			 { 2, "8k" }, { 3, "16k" }, { 4, "32k" },	\
			 { 5, "52k" }, { 6, "dyn1" }, { 7, "dyn2" },	\
			 { 8, "dyn3" }, { 9, "dyn4" }, { 10, "dyn5" },	\
			 { 11, "dyn6" }, { 12, "dyn7" }, { 13, "dyn8" },	\
			 { 14, "64k" }, { 15, "128k" }, { 16, "256k" },	\
			 { 17, "512k" }, { 18, "1m" }, { 19, "-" })

/* For the two events that take all requests off the hot path while they are on. */
int hkm_watch_get(void);
void hkm_watch_put(void);

TRACE_EVENT_FN(alloc,

	TP_PROTO(unsigned long site, const void *ptr, size_t bytes_req,
		 size_t bytes_alloc, gfp_t gfp_flags, unsigned int bin),

	TP_ARGS(site, ptr, bytes_req, bytes_alloc, gfp_flags, bin),

	TP_STRUCT__entry(
		__field(unsigned long, site)
		__field(const void *, ptr)
		__field(size_t, bytes_req)
		__field(size_t, bytes_alloc)
		__field(unsigned long, gfp_flags)
		__field(unsigned int, class_id)
	),

	TP_fast_assign(
		__entry->site = site;
		__entry->ptr = ptr;
		__entry->bytes_req = bytes_req;
		__entry->bytes_alloc = bytes_alloc;
		__entry->gfp_flags = (__force unsigned long)gfp_flags;
		__entry->class_id = hkm_bin_class(bin);
	),

	TP_printk("call_site=%pS ptr=%p bytes_req=%zu bytes_alloc=%zu gfp_flags=%s class=%s",
		  (void *)__entry->site, __entry->ptr, __entry->bytes_req,
		  __entry->bytes_alloc, show_gfp_flags(__entry->gfp_flags),
		  show_hakmem_class(__entry->class_id)),

	hkm_watch_get, hkm_watch_put
);

TRACE_EVENT_FN(free,

	TP_PROTO(unsigned long site, const void *ptr, unsigned int bin),

	TP_ARGS(site, ptr, bin),

	TP_STRUCT__entry(
		__field(unsigned long, site)
		__field(const void *, ptr)
		__field(unsigned int, class_id)
	),

	TP_fast_assign(
		__entry->site = site;
		__entry->ptr = ptr;
		__entry->class_id = hkm_bin_class(bin);
	),

	TP_printk("call_site=%pS ptr=%p class=%s", (void *)__entry->site,
		  __entry->ptr, show_hakmem_class(__entry->class_id)),

	hkm_watch_get, hkm_watch_put
);

DECLARE_EVENT_CLASS(hakmem_span,

	TP_PROTO(unsigned int bin, const void *base, unsigned long bytes),

	TP_ARGS(bin, base, bytes),

	TP_STRUCT__entry(
		__field(unsigned int, class_id)
		__field(const void *, base)
		__field(unsigned long, bytes)
	),

	TP_fast_assign(
		__entry->class_id = hkm_bin_class(bin);
		__entry->base = base;
		__entry->bytes = bytes;
	),

	TP_printk("class=%s base=%p bytes=%lu",
		  show_hakmem_class(__entry->class_id), __entry->base,
		  __entry->bytes)
);

/* A span came from the page allocator. */
DEFINE_EVENT(hakmem_span, refill,
	TP_PROTO(unsigned int bin, const void *base, unsigned long bytes),
	TP_ARGS(bin, base, bytes)
);

/* A span goes back to the page allocator. */
DEFINE_EVENT(hakmem_span, trim,
	TP_PROTO(unsigned int bin, const void *base, unsigned long bytes),
	TP_ARGS(bin, base, bytes)
);

/* The learner has changed something; the figures are those that it went by. */
TRACE_EVENT(policy_change,

	TP_PROTO(unsigned int subject, unsigned int class_id, u32 value_old,
		 u32 value_new, unsigned int reason, u32 before, u32 after),

	TP_ARGS(subject, class_id, value_old, value_new, reason, before, after),

	TP_STRUCT__entry(
		__field(unsigned int, subject)
		__field(unsigned int, class_id)
		__field(u32, value_old)
		__field(u32, value_new)
		__field(unsigned int, reason)
		__field(u32, before)
		__field(u32, after)
	),

	TP_fast_assign(
		__entry->subject = subject;
		__entry->class_id = class_id;
		__entry->value_old = value_old;
		__entry->value_new = value_new;
		__entry->reason = reason;
		__entry->before = before;
		__entry->after = after;
	),

	TP_printk("subject=%s class=%s old=%u new=%u reason=%s before=%u after=%u",
		  __print_symbolic(__entry->subject, { 0, "cap" },
				   { 1, "w_max" }, { 2, "size" }),
		  show_hakmem_class(__entry->class_id), __entry->value_old,
		  __entry->value_new,
		  __print_symbolic(__entry->reason, { 1, "clamp" },
				   { 2, "below_band" },
				   { 3, "above_band" },
				   { 4, "grow" },
				   { 5, "restore" },
				   { 6, "rollback" },
				   { 7, "shrink" },
				   { 8, "budget" },
				   { 9, "explore" },
				   { 10, "canary" },
				   { 11, "adopt" },
				   { 12, "learned" },
				   { 13, "retired" }),
		  __entry->before, __entry->after)
);

/* A caller's mistake: each one, where the log has the first of each kind. */
TRACE_EVENT(misuse,

	TP_PROTO(unsigned int kind, const void *ptr, unsigned long site),

	TP_ARGS(kind, ptr, site),

	TP_STRUCT__entry(
		__field(unsigned int, kind)
		__field(const void *, ptr)
		__field(unsigned long, site)
	),

	TP_fast_assign(
		__entry->kind = kind;
		__entry->ptr = ptr;
		__entry->site = site;
	),

	TP_printk("kind=%s ptr=%p call_site=%pS",
		  __print_symbolic(__entry->kind, { 0, "double_free" },
				   { 1, "interior_free" },
				   { 2, "foreign_free" },
				   { 3, "stray_kfree" },
				   { 4, "write_after_free" },
				   { 5, "write_past_end" },
				   { 6, "write_before" }),
		  __entry->ptr, (void *)__entry->site)
);

#endif /* _TRACE_HAKMEM_H */

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH trace/events
#include <trace/define_trace.h>
