/* SPDX-License-Identifier: Apache-2.0 */
#include "profiler/commands/filter.h"

#include "base/text.h"

void fnp_filter_deinit(struct fnp_filter *filter)
{
	for (size_t i = 0; i < filter->conditions.len; i++)
		free(filter->conditions.items[i].key);
	fnp_vec_deinit(&filter->conditions);
}

static int add(struct fnp_filter *filter, struct fnp_filter_condition condition, const char *key, size_t key_len)
{
	fnp_autofree char *own = strndup(key, key_len);
	int r;

	if (!own)
		return -ENOMEM;
	condition.key = own;
	r = fnp_vec_push(&filter->conditions, condition);
	if (r == 0)
		own = NULL;
	return r;
}

int fnp_filter_add_equal(struct fnp_filter *filter, const char *key, const char *text)
{
	return add(filter, (struct fnp_filter_condition){.how = '=', .text = text}, key, strlen(key));
}

int fnp_filter_add(struct fnp_filter *filter, const char *text)
{
	size_t len = strcspn(text, "=~<>");
	struct fnp_filter_condition condition = {.how = text[len]};

	if (len == 0 || !text[len])
		return -EINVAL;
	condition.text = text + len + 1;
	if ((condition.how == '<' || condition.how == '>') &&
	    fnp_text_parse_u64(condition.text, UINT64_MAX, &condition.number) < 0)
		return -EINVAL;
	return add(filter, condition, text, len);
}

/* The text that a member is compared as; numbers and truth values as they stand in JSON. */
static const char *text_of(const json_t *value, char room[static 32])
{
	if (json_is_string(value))
		return json_string_value(value);
	if (json_is_boolean(value))
		return json_is_true(value) ? "true" : "false";
	if (!json_is_integer(value))
		return NULL;
	snprintf(room, 32, "%lld", (long long)json_integer_value(value));
	return room;
}

/* The member of a key; "ledger.lock" is the member of a member. */
static const json_t *member(const json_t *line, const char *key)
{
	const char *dot = strchr(key, '.');
	const json_t *value = json_object_get(line, key);
	char outer[64];

	if (value || !dot || (size_t)(dot - key) >= sizeof(outer))
		return value;
	snprintf(outer, sizeof(outer), "%.*s", (int)(dot - key), key);
	return json_object_get(json_object_get(line, outer), dot + 1);
}

static bool holds(const struct fnp_filter_condition *condition, const json_t *line)
{
	const json_t *value = member(line, condition->key);
	char room[32];
	const char *text = text_of(value, room);

	if (!text)
		return false;
	if (condition->how == '=')
		return strcmp(text, condition->text) == 0;
	if (condition->how == '~')
		return strstr(text, condition->text) != NULL;
	if (!json_is_integer(value) || json_integer_value(value) < 0)
		return false;
	uint64_t number = (uint64_t)json_integer_value(value);
	return condition->how == '<' ? number < condition->number : number > condition->number;
}

bool fnp_filter_keep(const json_t *line, void *filter)
{
	const struct fnp_filter *f = filter;

	for (size_t i = 0; i < f->conditions.len; i++) {
		if (!holds(&f->conditions.items[i], line))
			return false;
	}
	return true;
}
