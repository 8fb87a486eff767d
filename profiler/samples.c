/* SPDX-License-Identifier: Apache-2.0 */
#include "profiler/samples.h"

#include <errno.h>

#include "base/log.h"
#include "formats/mapping_names.h"
#include "profiler/records.h"
#include "profiler/runtimes.h"
#include "profiler/targets/resume.h"

#define FRAMES_MAX (FNP_USER_WORDS_MAX + FNP_KERNEL_FRAMES_MAX)
#define FRAMES_SCARCE 256 /* of a stack while there is little room */

struct fnp_samples {
	struct fnp_objects *objects;
	struct fnp_resumer *resumer;
	struct fnp_runtimes *runtimes;
	struct fnp_stack_epoch *epoch;
	/* The stack that is being put together; the path of a sample allocates nothing. */
	struct fnp_frame frames[FRAMES_MAX];
	uint32_t n_frames;
	struct fnp_runtime_frame unnamed;
	char unnamed_text[64];
	uint64_t managed[(sizeof(struct fnp_managed_frame) +
			  FNP_RUNTIME_LINES_MAX * sizeof(struct fnp_managed_line)) /
			 8];
};

int fnp_samples_create(struct fnp_objects *objects, struct fnp_resumer *resumer,
		       struct fnp_runtimes *runtimes, struct fnp_samples **ret)
{
	FNP_CLEANUP(fnp_samples_destroyp) struct fnp_samples *samples = calloc(1, sizeof(*samples));
	int r;

	if (!samples)
		return -ENOMEM;
	samples->objects = objects;
	samples->resumer = resumer;
	samples->runtimes = runtimes;
	r = fnp_stack_epoch_create(&samples->epoch);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(samples);
	return 0;
}

void fnp_samples_destroy(struct fnp_samples *samples)
{
	if (!samples)
		return;
	fnp_stack_epoch_destroy(samples->epoch);
	free(samples);
}

struct fnp_stack_epoch *fnp_samples_epoch(struct fnp_samples *samples)
{
	return samples->epoch;
}

void fnp_samples_tidy(struct fnp_samples *samples, struct fnp_invocations *invocations)
{
	if (fnp_stack_epoch_turn(&samples->epoch, invocations) < 0)
		fnp_debug("the stack table could not be tidied");
}

size_t fnp_samples_bytes(const struct fnp_samples *samples)
{
	return sizeof(*samples) + fnp_stack_epoch_bytes(samples->epoch);
}

static void push(struct fnp_samples *samples, struct fnp_frame frame)
{
	if (samples->n_frames < FRAMES_MAX)
		samples->frames[samples->n_frames++] = frame;
}

static void push_kernel(struct fnp_samples *samples, const struct fnp_record *record)
{
	struct fnp_record_part part = fnp_record_section(record, FNP_SECTION_KERNEL_STACK);
	const uint64_t *addresses = part.data;

	/* All but the first are return addresses: the call stands before them. */
	for (size_t i = 0; i < part.size / sizeof(*addresses); i++)
		push(samples, (struct fnp_frame){.address = addresses[i] - (i > 0), .kind = FNP_FRAME_KERNEL});
}

/* Puts a named frame's texts into the epoch. 0 or -errno. */
static int intern_managed(struct fnp_samples *samples, const struct fnp_runtime_frame *named, uint32_t *ret)
{
	struct fnp_managed_frame *managed = (struct fnp_managed_frame *)samples->managed;
	struct fnp_intern *strings = samples->epoch->strings;
	uint32_t n = FNP_MIN(named->n_lines, (size_t)FNP_RUNTIME_LINES_MAX);
	int r;

	managed->address = named->address;
	managed->n_lines = n;
	r = fnp_intern_text(strings, named->mapping, &managed->mapping);
	for (uint32_t i = 0; i < n; i++) {
		managed->lines[i].start_line = named->lines[i].start_line;
		managed->lines[i].line = named->lines[i].line;
		r = r ?: fnp_intern_text(strings, named->lines[i].name, &managed->lines[i].name);
		r = r ?: fnp_intern_text(strings, named->lines[i].file, &managed->lines[i].file);
	}
	return r
		       ?: fnp_intern_add(samples->epoch->managed, managed,
					 sizeof(*managed) + n * sizeof(managed->lines[0]), ret);
}

/* Code that no ELF file holds has a name when its process writes a jitdump or a perf map; else `unnamed` is shown. */
static int push_jit(struct fnp_samples *samples, struct fnp_process *process, struct fnp_frame unnamed,
		    uint64_t address, uint64_t time_ns)
{
	const struct fnp_runtime_frame *named = fnp_runtimes_name_jit(samples->runtimes, process, address,
								      time_ns);
	struct fnp_frame frame = unnamed;
	int r = 0;

	if (named) {
		frame = (struct fnp_frame){.kind = FNP_FRAME_NATIVE, .tier = FNP_TIER_JIT};
		r = intern_managed(samples, named, &frame.object);
	}
	if (r == 0)
		push(samples, frame);
	return r;
}

static int push_native(struct fnp_samples *samples, struct fnp_process *process, uint64_t address,
		       uint64_t time_ns)
{
	const struct fnp_mapping *mapping = fnp_process_find_mapping(process, address, time_ns);
	const struct fnp_target_object *object = mapping ? fnp_objects_get(samples->objects, mapping->object)
							 : NULL;
	struct fnp_frame frame = {.kind = FNP_FRAME_NATIVE, .address = address};

	if (!object) {
		uint64_t original = fnp_runtimes_original(process, address);

		mapping = original ? fnp_process_find_mapping(process, original, time_ns) : NULL;
		object = mapping ? fnp_objects_get(samples->objects, mapping->object) : NULL;
		if (!object)
			return push_jit(samples, process, frame, address, time_ns);
		address = original;
	}
	uint64_t offset = address - mapping->start + mapping->offset;
	frame.object = object->id;
	frame.address = offset;
	if (!object->elf) /* code in a memfd, say */
		return push_jit(samples, process, frame, address, time_ns);
	(void)fnp_object_address_of_offset(object->elf, offset, &frame.address);
	push(samples, frame);
	return 0;
}

/* A frame whose function is gone, or was never known: shown by what is known, its place. */
static const struct fnp_runtime_frame *unnamed(struct fnp_samples *samples, uint8_t kind, uint64_t value)
{
	static const char *const runtimes[] = {
		[FNP_FRAME_PYTHON] = "python", [FNP_FRAME_JVM] = "jvm", [FNP_FRAME_V8] = "v8"};
	static const char *const mappings[] = {
		[FNP_FRAME_PYTHON] = FNP_MAPPING_PYTHON, [FNP_FRAME_JVM] = FNP_MAPPING_JVM, [FNP_FRAME_V8] = FNP_MAPPING_V8};

	snprintf(samples->unnamed_text, sizeof(samples->unnamed_text), "[%s+0x%lx]", runtimes[kind], value);
	samples->unnamed = (struct fnp_runtime_frame){.n_lines = 1, .mapping = mappings[kind], .address = value};
	samples->unnamed.lines[0] = (struct fnp_runtime_line){.name = samples->unnamed_text, .file = ""};
	return &samples->unnamed;
}

static int push_managed(struct fnp_samples *samples, struct fnp_process *process, const uint64_t *words,
			size_t n_words)
{
	static const uint8_t kinds[] = {
		[FNP_WORD_PYTHON] = FNP_FRAME_PYTHON, [FNP_WORD_HOTSPOT] = FNP_FRAME_JVM, [FNP_WORD_V8] = FNP_FRAME_V8};
	const struct fnp_runtime_frame *named;
	struct fnp_frame frame = {0};
	uint64_t kind = words[0] >> FNP_WORD_KIND_SHIFT;
	int r;

	if (kind >= FNP_ARRAY_SIZE(kinds) || kinds[kind] == 0)
		return 0;
	named = fnp_runtimes_name(samples->runtimes, process, words, n_words);
	if (!named)
		named = unnamed(samples, kinds[kind], words[0] & FNP_WORD_VALUE_MASK);
	r = intern_managed(samples, named, &frame.object);
	frame.kind = kinds[kind];
	frame.tier = named->tier;
	if (r == 0)
		push(samples, frame);
	return r;
}

/* Managed frames are named now, and remembered by their runtime: the process may be gone when the stack is whole. */
static void name_ahead(struct fnp_samples *samples, struct fnp_process *process, const uint64_t *words, size_t n)
{
	for (size_t i = 0, more; i < n; i += 1 + more) {
		uint64_t kind = words[i] >> FNP_WORD_KIND_SHIFT;

		more = words[i] >> FNP_WORD_MORE_SHIFT & 7;
		if (more > n - i - 1)
			break;
		if (kind != FNP_WORD_NATIVE && kind != FNP_WORD_MARKER && kind != FNP_WORD_LABEL)
			fnp_runtimes_name(samples->runtimes, process, &words[i], 1 + more);
	}
}

/* The user stack as it came, or as it is once the walk was ended on our side. -EAGAIN. */
static int user_stack(struct fnp_samples *samples, const struct fnp_sample_record *record,
		      struct fnp_process *process, bool may_wait, struct fnp_resume_stack *ret)
{
	int r = 0;
	struct fnp_record_part words = fnp_record_section(&record->head, FNP_SECTION_USER_STACK);
	struct fnp_record_part resume = fnp_record_section(&record->head, FNP_SECTION_RESUME);
	struct fnp_record_part python = fnp_record_section(&record->head, FNP_SECTION_RESUME_PYTHON);
	struct fnp_resume_stack stack = {.words = words.data,
					 .n_words = (uint32_t)(words.size / sizeof(uint64_t)),
					 .truncation = record->truncation,
					 .may_wait = may_wait,
					 .python = python.data,
					 .python_size = python.size};

	fnp_runtimes_refresh(samples->runtimes, process);
	if (resume.data) {
		stack.python_layout = fnp_runtimes_layout(samples->runtimes, process, FNP_WORD_PYTHON);
		stack.hotspot_layout = fnp_runtimes_layout(samples->runtimes, process, FNP_WORD_HOTSPOT);
		stack.v8_layout = fnp_runtimes_layout(samples->runtimes, process, FNP_WORD_V8);
	}
	if (resume.data)
		r = fnp_resumer_walk(samples->resumer, process, record->head.time_ns, resume.data,
				     resume.size, &stack);
	if (r == -EAGAIN) {
		name_ahead(samples, process, stack.words, stack.n_words);
		name_ahead(samples, process, stack.ahead, stack.n_ahead);
		return r;
	}
	if (r < 0)
		fnp_debug("process %u: a stack could not be resumed", record->head.pid);
	*ret = stack;
	return 0;
}

void fnp_samples_read_ahead(struct fnp_samples *samples, const struct fnp_sample_record *record,
			    struct fnp_process *process)
{
	struct fnp_resume_stack stack;

	if (!process->runtime || process->exited)
		return;
	fnp_resumer_look_ahead(samples->resumer, true);
	if (user_stack(samples, record, process, false, &stack) == 0)
		name_ahead(samples, process, stack.words, stack.n_words);
	fnp_resumer_look_ahead(samples->resumer, false);
}

static int push_user(struct fnp_samples *samples, const struct fnp_sample_record *record,
		     struct fnp_process *process, const struct fnp_resume_stack *stack)
{
	int r = 0;

	for (size_t i = 0, more; i < stack->n_words && r == 0; i += 1 + more) {
		const uint64_t *words = &stack->words[i];
		uint64_t value = words[0] & FNP_WORD_VALUE_MASK;

		more = words[0] >> FNP_WORD_MORE_SHIFT & 7;
		if (more > stack->n_words - i - 1)
			break;
		switch (words[0] >> FNP_WORD_KIND_SHIFT) {
		case FNP_WORD_NATIVE:
			r = push_native(samples, process, value, record->head.time_ns);
			break;
		case FNP_WORD_MARKER:
			push(samples, (struct fnp_frame){.address = value, .kind = FNP_FRAME_MARKER});
			break;
		case FNP_WORD_LABEL:
			push(samples,
			     (struct fnp_frame){.object = (uint32_t)FNP_MIN(value, (uint64_t)FNP_LABEL_MAX),
						.kind = FNP_FRAME_MARKER});
			break;
		default:
			r = push_managed(samples, process, words, 1 + more);
		}
	}
	return r;
}

/* A recursion of thousands of frames, whose stacks are all different, leaves room for those of others. */
static void spare_room(struct fnp_samples *samples, struct fnp_resume_stack *user)
{
	if (samples->n_frames <= FRAMES_SCARCE || !fnp_stack_epoch_is_scarce(samples->epoch))
		return;
	samples->n_frames = FRAMES_SCARCE;
	samples->frames[FRAMES_SCARCE - 1] = (struct fnp_frame){.address = FNP_TRUNCATION_DEPTH,
								.kind = FNP_FRAME_MARKER};
	user->truncation = FNP_TRUNCATION_DEPTH;
}

int fnp_samples_take(struct fnp_samples *samples, const struct fnp_sample_record *record,
		     struct fnp_process *process, bool may_wait, struct fnp_sample_stack *ret)
{
	struct fnp_resume_stack user;
	struct fnp_record_part names = fnp_record_section(&record->head, FNP_SECTION_PYTHON_CODE);
	struct fnp_row_stack one = {.tid = record->head.tid, .count = 1, .weight_ns = record->weight_ns};
	size_t comm_len = strnlen(record->comm, sizeof(record->comm));
	int r;

	if (names.data)
		fnp_runtimes_learn(samples->runtimes, process, FNP_WORD_PYTHON, names.data, names.size);
	r = user_stack(samples, record, process, may_wait, &user);
	if (r < 0)
		return r;
	samples->n_frames = 0;
	push_kernel(samples, &record->head);
	r = push_user(samples, record, process, &user);
	spare_room(samples, &user);
	if (samples->n_frames == 0)
		push(samples, (struct fnp_frame){.address = FNP_TRUNCATION_BAD_READ, .kind = FNP_FRAME_MARKER});
	r = r ?: fnp_intern_add(samples->epoch->strings, record->comm, comm_len, &one.comm);
	r = r
		    ?: fnp_intern_add(samples->epoch->stacks, samples->frames,
				      samples->n_frames * sizeof(samples->frames[0]), &one.stack);
	if (r < 0)
		return r;
	*ret = (struct fnp_sample_stack){.one = one,
					 .truncation = user.truncation < FNP_TRUNCATION_MAX
							       ? user.truncation
							       : FNP_TRUNCATION_BAD_READ};
	return 0;
}
