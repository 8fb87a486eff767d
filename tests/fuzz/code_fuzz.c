/* SPDX-License-Identifier: Apache-2.0 */
/* Instructions that nobody would write, followed. */
#include "symbolizer/code_rules.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static enum fnp_code_returns returns(void *self, uint64_t address)
{
	(void)self;
	return (enum fnp_code_returns)(address % 3);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fnp_code code = {.bytes = data, .address = 0x1000, .size = size};
	struct fnp_code_found found = {0};
	struct fnp_code_rules *rules;

	if (fnp_code_rules_create(returns, NULL, &rules) < 0)
		return 0;
	for (int i = 0; i < 4; i++) {
		code.entry = i < 2 ? 0 : size / 2;
		if (fnp_code_rules_follow(rules, &code, i % 2, &found) < 0)
			continue;
		for (size_t offset = 0, n; offset < size; offset += n) {
			struct fnp_rule rule;

			if (fnp_code_rules_at(rules, offset, &rule, &n))
				__asm__ volatile("" : : "r"(rule.cfa_offset));
		}
		__asm__ volatile("" : : "r"(fnp_code_rules_returns(rules)), "r"(fnp_code_rules_end(rules)));
	}
	fnp_code_rules_destroy(rules);
	fnp_vec_deinit(&found.calls);
	fnp_vec_deinit(&found.pointers);
	return 0;
}
