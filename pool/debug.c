// SPDX-License-Identifier: GPL-2.0
/*
 * Poison, red zones and sites, chosen by the letters that SLUB has for them.
 *
 * All requests are then watched (watch.c), and so come by here. A free
 * block is the pool's, a live one its caller's; what is kept of it lies in the
 * chunk's descriptor, behind the slots, and belongs to whoever the block belongs to.
 */
#include <linux/kernel.h>
#include <linux/poison.h>
#include <linux/printk.h>
#include <linux/string.h>

#include "chunk.h"
#include "debug.h"
#include "harden.h"
#include "tools.h"
#include "../include/hkm_compat.h"

/* Set at init. */
unsigned int hkm_debug __ro_after_init;
EXPORT_SYMBOL_IF_KUNIT(hkm_debug);
bool hkm_random_order __ro_after_init;

/* What a block is filled with while it is free, and behind the bytes asked for. */
#define HKM_POISON	POISON_FREE
#define HKM_RED		SLUB_RED_ACTIVE

/* Bytes of a block that hold its key, see hkm_block_mark(). */
#define HKM_KEY_START	sizeof(unsigned long)
#define HKM_KEY_END	(2 * sizeof(unsigned long))

/**
 * hkm_debug_init() - choose the checks
 * @letters: P, Z, U in any number and order; NULL or "" for none
 * @random_order: hand out the blocks of a new chunk in random order
 *
 * Return: 0, or -EINVAL if there is any other letter.
 */
int __init hkm_debug_init(const char *letters, bool random_order)
{
	unsigned int checks = 0;

	hkm_random_order = random_order;
	for (; letters && *letters; letters++) {
		switch (*letters) {
		case 'P':
			checks |= HKM_DEBUG_POISON;
			break;
		case 'Z':
			checks |= HKM_DEBUG_REDZONE;
			break;
		case 'U':
			checks |= HKM_DEBUG_SITES;
			break;
		default:
			return -EINVAL;
		}
	}
	hkm_debug = checks;
	return 0;
}

/**
 * hkm_debug_track_bytes() - room that a chunk's descriptor needs for debugging
 * @nr_blocks: blocks in the chunk
 *
 * Return: bytes behind the slots.
 */
size_t hkm_debug_track_bytes(unsigned int nr_blocks)
{
	return hkm_debug ? nr_blocks * sizeof(struct hkm_track) : 0;
}

/* Whether the block is the pool's, as far as is known. */
static bool track_is_free(const struct hkm_track *track)
{
	return !track->alloc_site || track->free_site;
}

static struct hkm_track *track_of(const struct hkm_chunk *chunk,
				  unsigned int index)
{
	unsigned int nr_slots = hkm_chunk_is_fragment(chunk) ? 0 : chunk->nr_blocks + 1;

	return (struct hkm_track *)&chunk->slot[nr_slots] + index;
}

static void poison(void *block, u32 bytes)
{
	memset(block, HKM_POISON, HKM_KEY_START);
	memset(block + HKM_KEY_END, HKM_POISON, bytes - HKM_KEY_END);
}

/* First byte of a free block that was written to, or NULL. */
static const void *poison_damage(const void *block, u32 bytes)
{
	const void *bad = memchr_inv(block, HKM_POISON, HKM_KEY_START);

	if (!bad && !hkm_block_is_marked(block))
		bad = block + HKM_KEY_START;
	return bad ?: memchr_inv(block + HKM_KEY_END, HKM_POISON,
				 bytes - HKM_KEY_END);
}

/* Looks at a free block, which KASAN must know as accessible. */
static void poison_check(const void *block, const struct hkm_chunk *chunk)
{
	const void *bad = poison_damage(block, hkm_classes[chunk->bin].size_bytes);

	if (bad)
		hkm_report(HKM_WRITE_AFTER_FREE, block, 0, "offset %zu",
			   (size_t)(bad - block));
}

/**
 * hkm_debug_create() - prepare a new chunk
 * @chunk: the chunk, its blocks not marked as free yet
 */
void hkm_debug_create(struct hkm_chunk *chunk)
{
	if (hkm_debug & HKM_DEBUG_POISON)
		memset(chunk->base, HKM_POISON, hkm_chunk_bytes(chunk));
}

/**
 * hkm_debug_release() - check the blocks of a chunk that is given back
 * @chunk: the chunk, all its blocks free
 */
void hkm_debug_release(struct hkm_chunk *chunk)
{
	u32 bytes = hkm_classes[chunk->bin].size_bytes;
	unsigned int i;

	if (!(hkm_debug & HKM_DEBUG_POISON))
		return;
	for (i = 0; i < chunk->nr_blocks; i++) {
		hkm_kasan_unpoison(hkm_chunk_block(chunk, i), bytes);
		poison_check(hkm_chunk_block(chunk, i), chunk);
	}
}

/**
 * hkm_debug_alloc() - check a block that is about to be handed out
 * @block: the block, still marked as free, accessible to KASAN
 * @size: bytes asked for
 * @site: return address of the call
 *
 * Context: Any.
 */
void hkm_debug_alloc(void *block, size_t size, unsigned long site)
{
	struct hkm_chunk *chunk;
	struct hkm_track *track;
	unsigned int index;

	preempt_disable();
	chunk = hkm_chunk_lookup(block);
	hkm_chunk_block_index(chunk, block, &index);
	if (hkm_debug & HKM_DEBUG_POISON)
		poison_check(block, chunk);
	if (hkm_debug & HKM_DEBUG_REDZONE)
		memset(block + size, HKM_RED,
		       hkm_classes[chunk->bin].size_bytes - size);
	track = track_of(chunk, index);
	track->alloc_site = site;
	track->free_site = 0;
	track->size = size;
	preempt_enable();
}

/**
 * hkm_debug_free() - check a block that was freed
 * @block: the block, marked as free
 * @chunk: its chunk
 * @site: return address of the call
 *
 * Context: Any, with preemption off.
 * Return: false if the block was free before, its key overwritten, or is none; it
 * is reported.
 */
bool hkm_debug_free(void *block, const struct hkm_chunk *chunk,
		    unsigned long site)
{
	u32 bytes = hkm_classes[chunk->bin].size_bytes, red;
	struct hkm_track *track;
	unsigned int index;

	if (!hkm_chunk_block_index(chunk, block, &index)) {
		hkm_report_refused(HKM_INTERIOR_FREE, block, site);
		return false;
	}
	track = track_of(chunk, index);
	if (track_is_free(track)) {
		hkm_report_refused(HKM_DOUBLE_FREE, block, site);
		return false;
	}
	hkm_kasan_unpoison(block, bytes);
	track->free_site = site;
	/* Its key is there already, which krealloc() may have left in the red zone. */
	red = max_t(u32, track->size, HKM_KEY_END);
	if (hkm_debug & HKM_DEBUG_REDZONE &&
	    memchr_inv(block + red, HKM_RED, bytes - red))
		hkm_report(HKM_WRITE_PAST_END, block, site,
			   "%u bytes asked for", track->size);
	if (hkm_debug & HKM_DEBUG_POISON)
		poison(block, bytes);
	hkm_kasan_poison(block, bytes);
	return true;
}

/**
 * hkm_debug_resize() - note that a block is used for fewer or more bytes
 * @block: a live block, accessible to KASAN
 * @size: bytes asked for now, no more than hkm_debug_size() allows
 *
 * Context: Any.
 */
void hkm_debug_resize(void *block, size_t size)
{
	struct hkm_chunk *chunk;
	unsigned int index;

	preempt_disable();
	chunk = hkm_chunk_lookup(block);
	hkm_chunk_block_index(chunk, block, &index);
	track_of(chunk, index)->size = size;
	if (hkm_debug & HKM_DEBUG_REDZONE)
		memset(block + size, HKM_RED,
		       hkm_classes[chunk->bin].size_bytes - size);
	preempt_enable();
}

/**
 * hkm_debug_size() - bytes that the holder of a block may use
 * @chunk: the block's chunk
 * @index: its number there
 *
 * Return: the size of the class, or where red zones are the bytes asked for.
 */
size_t hkm_debug_size(const struct hkm_chunk *chunk, unsigned int index)
{
	if (hkm_debug & HKM_DEBUG_REDZONE)
		return track_of(chunk, index)->size;
	return hkm_classes[chunk->bin].size_bytes;
}

/**
 * hkm_debug_track() - what is known of who allocated and freed a block
 * @chunk: a chunk
 * @p: an address in it
 *
 * Return: the track of the block that holds @p; NULL if sites are not kept, or
 * nobody ever had it.
 */
const struct hkm_track *hkm_debug_track(const struct hkm_chunk *chunk,
					const void *p)
{
	unsigned int index = (p - chunk->base) / hkm_classes[chunk->bin].size_bytes;
	const struct hkm_track *track;

	if (!(hkm_debug & HKM_DEBUG_SITES) || index >= chunk->nr_blocks)
		return NULL;
	track = track_of(chunk, index);
	return track->alloc_site ? track : NULL;
}
