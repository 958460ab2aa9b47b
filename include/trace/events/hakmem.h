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
			 { 5, "52k" }, { 6, "dyn1" },			\
			 { 7, "64k" }, { 8, "128k" }, { 9, "256k" },	\
			 { 10, "512k" }, { 11, "1m" })

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
