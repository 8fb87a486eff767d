/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * Frames that user space should look at now: their names are in the memory of a process that may be gone, or have unloaded
 * the class, thrown the code away or moved the function, before the next round. A sample that brings such a frame not met
 * before wakes user space at once; the first look at a JVM's nmethod, or at V8's code, reads all that is needed for its other
 * places.
 *
 * What was met is remembered in a table for all processes, two places for each key. A process with more of them than
 * that forgets some and wakes user space again; how often that may be is bounded.
 */
#ifndef FNP_BPF_WALK_NEWS_H
#define FNP_BPF_WALK_NEWS_H

#include "bpf/walk/walk.h"

#ifdef __bpf__

#define FNP_NEWS_WORDS 512	    /* words of a stack that are looked at, from the leaf */
#define FNP_NEWS_SEEN 32768	    /* a power of two */
#define FNP_NEWS_WAKE_NS 4000000ULL /* not more often */

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, FNP_NEWS_SEEN);
	__type(key, fnp_u32);
	__type(value, fnp_u64);
} fnp_news_seen SEC(".maps");

/* When user space was woken last, and whether something came since; in the elements that no key has. */
#define FNP_NEWS_SEEN_WOKEN 0
#define FNP_NEWS_SEEN_PENDING 1

FNP_INLINE fnp_u64 *fnp_news_seen_at(fnp_u32 i)
{
	return bpf_map_lookup_elem(&fnp_news_seen, &i);
}

/*
 * Is the frame whose head is words[i] one not met before? Of a JVM by where its code begins, of V8 by all that its words
 * say: where one code ends and another one begins they do not. (A later word of a frame may look like a head; it is news
 * once.)
 */
FNP_SUBPROGRAM int fnp_walk_is_news(struct fnp_walk *walk, fnp_u32 i, fnp_u64 process)
{
	fnp_u64 key, *first, *second, *oldest;

	if (!walk || i >= FNP_NEWS_WORDS)
		return 0;
	if (walk->words[i] >> FNP_WORD_MORE_SHIFT == (FNP_WORD_HOTSPOT << 3 | 1)) {
		key = process ^ walk->words[i + 1] >> 32 << 32;
	} else if (walk->words[i] >> FNP_WORD_MORE_SHIFT == (FNP_WORD_V8 << 3 | 3)) {
		key = (process ^ walk->words[i + 1]) * 0xc4ceb9fe1a85ec53ULL;
		key = (key ^ key >> 32 ^ walk->words[i + 2]) * 0xc4ceb9fe1a85ec53ULL;
		key ^= key >> 29 ^ walk->words[i + 3];
	} else {
		return 0;
	}
	key *= 0x9e3779b97f4a7c15ULL;
	key = (key ^ key >> 29 ^ walk->words[i]) * 0xff51afd7ed558ccdULL;
	key = (key ^ key >> 32) | 2;
	first = fnp_news_seen_at(key & (FNP_NEWS_SEEN - 1));
	second = fnp_news_seen_at((key & (FNP_NEWS_SEEN - 1)) ^ 1);
	if (!first || !second || *first == key || *second == key)
		return 0;
	oldest = key >> 63 ? first : second;
	*oldest = key;
	return 1;
}

/* Should user space be woken for this stack? */
FNP_SUBPROGRAM int fnp_walk_news(struct fnp_walk *walk, fnp_u64 process, fnp_u64 now_ns)
{
	fnp_u64 *woken = fnp_news_seen_at(FNP_NEWS_SEEN_WOKEN);
	fnp_u64 *pending = fnp_news_seen_at(FNP_NEWS_SEEN_PENDING);
	fnp_u64 news;

	if ((!fnp_walk_hotspot_on && !fnp_walk_v8_on) || !walk || !woken || !pending)
		return 0;
	news = *pending;
	for (fnp_u32 i = 0; i < FNP_NEWS_WORDS; i++) {
		if (i >= walk->n_words)
			break;
		news |= fnp_walk_is_news(walk, i, process);
	}
	*pending = news;
	if (!news || now_ns - *woken < FNP_NEWS_WAKE_NS)
		return 0;
	*pending = 0;
	*woken = now_ns;
	return 1;
}

#endif

#endif
