/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Why the JVM collects: a number in its heap (CollectedHeap::_gc_cause), which it does not publish. It stands a little
 * behind the counter of collections, which is published: 17 to 25 have one more counter between them, 26 and 27 a clock
 * as well (src/hotspot/share/gc/shared/collectedHeap.hpp). What the numbers mean is that version's list (gcCause.hpp),
 * and the words are those of -Xlog:gc. Of versions that are not in the table the cause is not told.
 */
#include "symbolizer/hotspot.h"

static const char *const causes17[] = {
	[0] = "System.gc()",
	[4] = "JvmtiEnv ForceGarbageCollection",
	[5] = "GCLocker Initiated GC",
	[6] = "Heap Inspection Initiated GC",
	[7] = "Heap Dump Initiated GC",
	[15] = "Allocation Failure",
	[16] = "Tenured Generation Full",
	[17] = "Metadata GC Threshold",
	[18] = "Metadata GC Clear Soft References",
	[21] = "Ergonomics",
	[22] = "G1 Evacuation Pause",
	[23] = "G1 Compaction Pause",
	[24] = "G1 Humongous Allocation",
	[25] = "G1 Periodic Collection",
};

static const char *const causes21[] = {
	[0] = "System.gc()",
	[4] = "JvmtiEnv ForceGarbageCollection",
	[5] = "GCLocker Initiated GC",
	[6] = "Heap Inspection Initiated GC",
	[7] = "Heap Dump Initiated GC",
	[13] = "Allocation Failure",
	[14] = "CodeCache GC Threshold",
	[15] = "CodeCache GC Aggressive",
	[16] = "Metadata GC Threshold",
	[17] = "Metadata GC Clear Soft References",
	[18] = "Ergonomics",
	[19] = "G1 Evacuation Pause",
	[20] = "G1 Compaction Pause",
	[21] = "G1 Humongous Allocation",
	[22] = "G1 Periodic Collection",
	[23] = "Diagnostic Command",
};

static const char *const causes25[] = {
	[0] = "System.gc()",
	[4] = "JvmtiEnv ForceGarbageCollection",
	[5] = "Heap Inspection Initiated GC",
	[6] = "Heap Dump Initiated GC",
	[12] = "Allocation Failure",
	[13] = "CodeCache GC Threshold",
	[14] = "CodeCache GC Aggressive",
	[15] = "Metadata GC Threshold",
	[16] = "Metadata GC Clear Soft References",
	[17] = "G1 Evacuation Pause",
	[18] = "G1 Compaction Pause",
	[19] = "G1 Humongous Allocation",
	[20] = "G1 Periodic Collection",
	[21] = "Diagnostic Command",
};

/* 26 and 27 agree: 25's without "no cause specified", which stood before the failures of allocations. */
static const char *const causes26[] = {
	[0] = "System.gc()",
	[4] = "JvmtiEnv ForceGarbageCollection",
	[5] = "Heap Inspection Initiated GC",
	[6] = "Heap Dump Initiated GC",
	[11] = "Allocation Failure",
	[12] = "CodeCache GC Threshold",
	[13] = "CodeCache GC Aggressive",
	[14] = "Metadata GC Threshold",
	[15] = "Metadata GC Clear Soft References",
	[16] = "G1 Evacuation Pause",
	[17] = "G1 Compaction Pause",
	[18] = "G1 Humongous Allocation",
	[19] = "G1 Periodic Collection",
	[20] = "Diagnostic Command",
};

static const struct version {
	unsigned int major;
	uint32_t behind_counter; /* bytes from the counter of collections to the cause */
	const char *const *causes;
	size_t n;
} versions[] = {{17, 8, causes17, FNP_ARRAY_SIZE(causes17)},
		{21, 8, causes21, FNP_ARRAY_SIZE(causes21)},
		{25, 8, causes25, FNP_ARRAY_SIZE(causes25)},
		{26, 16, causes26, FNP_ARRAY_SIZE(causes26)},
		{27, 16, causes26, FNP_ARRAY_SIZE(causes26)}};

static const struct version *find_version(unsigned int major)
{
	for (size_t i = 0; i < FNP_ARRAY_SIZE(versions); i++) {
		if (versions[i].major == major)
			return &versions[i];
	}
	return NULL;
}

int fnp_hotspot_cause_place(const struct fnp_hotspot_place *place, unsigned int major, uint64_t *ret_heap,
			    uint32_t *ret_offset)
{
	const struct version *version = find_version(major);
	struct fnp_hotspot_tables tables;
	int r = version ? fnp_hotspot_tables_read(place, &tables) : -ENOENT;

	if (r < 0)
		return r;
	if (!fnp_hotspot_has(&tables, FNP_HOTSPOT_HEAP) ||
	    !fnp_hotspot_has(&tables, FNP_HOTSPOT_HEAP_COLLECTIONS) ||
	    tables.values[FNP_HOTSPOT_HEAP_COLLECTIONS] > 4096)
		return -ENOENT;
	*ret_heap = tables.values[FNP_HOTSPOT_HEAP] - place->bias;
	*ret_offset = (uint32_t)tables.values[FNP_HOTSPOT_HEAP_COLLECTIONS] + version->behind_counter;
	return 0;
}

const char *fnp_hotspot_cause(unsigned int major, uint64_t number)
{
	const struct version *version = find_version(major);

	return version && number < version->n ? version->causes[number] : NULL;
}
