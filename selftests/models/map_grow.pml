/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Model of pool/chunk.c's chunk map while its top array is replaced, for Spin.
 *
 * A refill needs a leaf, maps a chunk in it and pushes one of its blocks; a
 * popper looks that block up. Both do each step in a section that the grace
 * periods of map_grow() wait for. One leaf, one entry: the map is a bit that
 * says whether the leaf is in it.
 *
 * Variants that must fail, one macro each
 *	NO_GRACE	map_grow() copies without waiting for refills
 *	EARLY_ALLOW	leaves are allowed again before the old map's readers
 *			have gone
 */
#define REFILL	0
#define POPPER	1

byte current;			/* the map that is published: 0 old, 1 new */
bool leaf_in[2];
bool growing, pushed, done;

/* Sections entered and left: odd while inside. */
byte section[2];

inline synchronize_rcu()
{
	d_step { then[0] = section[0]; then[1] = section[1] };
	then[0] % 2 == 0 || section[0] != then[0];
	then[1] % 2 == 0 || section[1] != then[1];
	d_step { then[0] = 0; then[1] = 0 }
}

active proctype map_grow()
{
	byte then[2];

	growing = true;
#ifndef NO_GRACE
	synchronize_rcu();
#endif
	leaf_in[1] = leaf_in[0];
	current = 1;
#ifdef EARLY_ALLOW
	growing = false;
	synchronize_rcu();
#else
	synchronize_rcu();
	growing = false;
#endif
	done = true
}

/* map_leaf_get(): fails while the map grows, and the next refill tries again. */
active proctype refill()
{
	byte map;
	bool got;

	do
	:: got -> break
	:: else ->
		section[REFILL]++;
		map = current;
		if
		:: growing -> skip
		:: else ->
			leaf_in[map] = true;
			got = true
		fi;
		section[REFILL] = (section[REFILL] + 1) % 4;
		map = 0
	od;
	pushed = true
}

/* batch_pop(), which takes the map before it reads the head. */
active proctype popper()
{
	byte map;

	section[POPPER]++;
	map = current;
	if
	:: pushed -> assert(leaf_in[map])
	:: else -> skip
	fi;
	section[POPPER]++;
	/* At rest, the map in force knows the chunk. */
	pushed && done -> assert(leaf_in[current])
}
