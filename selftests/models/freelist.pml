/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Model of one shard of pool/freelist.c, for Spin: every interleaving of
 * PROCS contexts that do OPS operations between them on BLOCKS blocks.
 *
 * Steps
 *	A step is one access to a word that others may look at: a head, a mask
 *	bit, the next word of a block. Link words are looked at by the owner of
 *	their block alone, and go with another step. An interrupt, which runs to
 *	its end inside another context, is one of the interleavings.
 *
 * Memory order
 *	The model is sequentially consistent. In the mask protocol each side
 *	writes one word (head, mask bit) and then reads the other's, which a
 *	store buffer could undo. But those writes are locked instructions on
 *	x86, and smp_mb__after_atomic() follows them elsewhere, so that the
 *	model is exact there. NO_BARRIER_A and NO_BARRIER_B do the read before
 *	the write, as a machine may without the barrier. A next word is stored
 *	before the release of a head and loaded through an address that depends
 *	on the head: that order needs no other barrier.
 *
 * Left out
 *	Chunks that leave the pool, the choice among shards, double frees.
 *
 * Variants that must fail, one macro each
 *	NO_TAG		a push keeps the tag; OWNERS_ONLY leaves it to the owners to
 *			find that out
 *	NARROW_TAG	two pushes bring the tag round
 *	NO_RECHECK	a popper does not look again after it cleared the bit
 *	PLAIN_ORDER	a pusher sets the bit before it pushes
 *	LATE_CLEAR	a drainer clears the bit after it exchanged the head
 *	NO_BARRIER_A	a pusher reads the bit before it pushes
 *	NO_BARRIER_B	a popper looks again before it clears the bit
 */
#ifndef PROCS
#define PROCS		3
#endif
#ifndef OPS
#define OPS		6
#endif

/* An operation pushes once at most, so that OPS + 1 tags never come round. */
#ifdef NARROW_TAG
#define TAGS		2
#else
#define TAGS		(OPS + 1)
#endif
#ifdef NO_TAG
#define TAG_STEP	0
#else
#define TAG_STEP	1
#endif

#define BLOCKS		3
#define LINK_NONE	0
#define LINK_END	(BLOCKS + 1)
#define SHARED		0	/* owner of blocks in the shared tier */
#define HELD(x)		(owner[x] == _pid)
#define OTHER(x)	(x % BLOCKS + 1)

/* The shard. Block 0 is none. */
byte head, head_tag, remote;
bool nonempty, remote_nonempty;
byte link[BLOCKS + 1], next[BLOCKS + 1];

/* For the properties. */
byte owner[BLOCKS + 1];
byte ops_left = OPS;
byte busy;

/* Scratch of a d_step, not part of the state. */
hidden byte b, batch, count;

/* A chain changes hands: all of it was @from's. */
inline chain_hand_over(first_, from, to)
{
	b = first_;
	do
	:: b == LINK_END -> break
	:: else ->
		assert(b != LINK_NONE && owner[b] == from);
		owner[b] = to;
		b = link[b]
	od
}

/* Around a push; barrier (A) precedes the read of the bit. */
inline before_push(mask)
{
#ifdef PLAIN_ORDER
	mask = true
#elif defined(NO_BARRIER_A)
	saw = mask
#else
	skip
#endif
}

inline mask_set(mask)
{
#ifdef PLAIN_ORDER
	skip
#elif defined(NO_BARRIER_A)
	if
	:: saw -> saw = false
	:: else -> mask = true
	fi
#else
	if
	:: mask -> skip
	:: else -> mask = true
	fi
#endif
}

/* Puts the chain at @first on the freelist. */
inline batch_push()
{
	d_step { old = head; old_tag = head_tag };
	do
	:: next[first] = old;
	   before_push(nonempty);
	   atomic {
		if
		:: head == old && head_tag == old_tag ->
			d_step {
				head = first;
				head_tag = (old_tag + TAG_STEP) % TAGS;
				chain_hand_over(first, _pid, SHARED);
				first = 0;
				old = 0;
				old_tag = 0
			};
			break
		:: else ->
			d_step { old = head; old_tag = head_tag }
		fi
	   }
	od;
	mask_set(nonempty)
}

/* Keeps the first block of an owned chain and leaves the rest in @first. */
inline chain_take()
{
	d_step {
		b = first;
		first = (link[b] == LINK_END -> 0 : link[b]);
		link[b] = LINK_NONE
	}
}

/* Takes a batch and keeps one block; the rest is left in @first. */
inline freelist_pop()
{
	d_step { old = head; old_tag = head_tag };
	do
	:: old == 0 -> break
	:: else ->
		after = next[old];
		atomic {
			if
			:: head == old && head_tag == old_tag ->
				d_step {
#ifndef OWNERS_ONLY
					/* No ABA: what was read still holds. */
					assert(after == next[old]);
#endif
					first = old;
					chain_hand_over(first, SHARED, _pid);
					head = after;
					old = 0
				};
				break
			:: else ->
				d_step { old = head; old_tag = head_tag }
			fi
		}
	od;
	atomic { old_tag = 0; after = 0 };
	if
	:: first -> chain_take()
	:: else ->
#ifdef NO_BARRIER_B
		after = head;
#endif
		nonempty = false;
		/* Barrier (B). */
#ifdef NO_RECHECK
		skip
#else
#ifndef NO_BARRIER_B
		after = head;
#endif
		if
		:: after ->
			after = 0;
			if
			:: nonempty -> skip
			:: else -> nonempty = true
			fi
		:: else -> skip
		fi
#endif
	fi
}

inline remote_push()
{
	old = remote;
	do
	:: link[first] = (old -> old : LINK_END);
	   before_push(remote_nonempty);
	   atomic {
		if
		:: remote == old ->
			d_step {
				remote = first;
				assert(HELD(first));
				owner[first] = SHARED;
				first = 0;
				old = 0
			};
			break
		:: else -> old = remote
		fi
	   }
	od;
	mask_set(remote_nonempty)
}

inline remote_drain()
{
#ifndef LATE_CLEAR
	remote_nonempty = false;
	/* Barrier (B). */
#endif
	d_step {
		first = remote;
		remote = 0;
		if
		:: first -> chain_hand_over(first, SHARED, _pid)
		:: else -> skip
		fi
	};
#ifdef LATE_CLEAR
	remote_nonempty = false;
#endif
	if
	:: first -> chain_take()
	:: else -> skip
	fi
}

inline chain_count(first_)
{
	b = first_;
	do
	:: b == LINK_END -> break
	:: else ->
		assert(b != LINK_NONE && owner[b] == SHARED);
		count++;
		assert(count <= BLOCKS);
		b = link[b]
	od
}

/* No block is lost or in two places, and a mask bit shows all stock. */
inline check_quiescent()
{
	count = 0;
	batch = head;
	do
	:: batch == 0 -> break
	:: else ->
		chain_count(batch);
		batch = next[batch]
	od;
	if
	:: remote -> chain_count(remote)
	:: else -> skip
	fi;
	b = 1;
	do
	:: b > BLOCKS -> break
	:: else ->
		if
		:: owner[b] != SHARED ->
			assert(link[b] == LINK_NONE);
			count++
		:: else -> skip
		fi;
		b++
	od;
#ifndef OWNERS_ONLY
	assert(count == BLOCKS);
#endif
	assert(!head || nonempty);
	assert(!remote || remote_nonempty)
}

proctype context()
{
	byte first, old, old_tag, after;
#ifdef NO_BARRIER_A
	bool saw;
#endif

	do
	:: ops_left == 0 -> break
	:: atomic {
		ops_left > 0 ->
		ops_left--;
		busy++;
		/* Pushes a block, or two as one batch, or frees one remotely. */
		if
		:: HELD(1) -> first = 1
		:: HELD(2) -> first = 2
		:: HELD(3) -> first = 3
		:: goto take
		fi;
		link[first] = LINK_END;
		if
		:: true -> skip
		:: HELD(OTHER(first)) ->
			link[OTHER(first)] = LINK_END;
			link[first] = OTHER(first)
		:: goto free
		fi
	   };
	   goto push;
take:
	   if
	   :: nonempty -> freelist_pop()
	   :: remote_nonempty -> remote_drain()
	   :: else -> skip
	   fi;
	   goto push;
free:
	   remote_push();
push:
	   if
	   :: first -> batch_push()
	   :: else -> skip
	   fi;
	   d_step {
		busy--;
		if
		:: busy == 0 -> check_quiescent()
		:: else -> skip
		fi
	   }
	od
}

/* Blocks 1 and 2 are on the freelist, as two batches or as one. */
init
{
	byte i;

	atomic {
		head = 1;
		nonempty = true;
		link[2] = LINK_END;
		if
		:: link[1] = LINK_END; next[1] = 2; owner[3] = 1
		:: link[1] = 2; remote = 3; remote_nonempty = true; link[3] = LINK_END
		fi;
		for (i : 1 .. PROCS) {
			run context()
		}
	}
}
