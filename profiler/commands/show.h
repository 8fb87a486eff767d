/* SPDX-License-Identifier: Apache-2.0 */
/* The paragraphs of `show`: what is known of one row, and what the rows of each function come to. */
#ifndef FNP_PROFILER_COMMANDS_SHOW_H
#define FNP_PROFILER_COMMANDS_SHOW_H

#include "base/buffer.h"
#include "profiler/commands/selection.h"

/* Facts, ledger and events of a row by its line. */
void fnp_show_row(const struct fnp_recording *recording, const json_t *line, struct fnp_buffer *ret);

/* Ledger and events of a cold invocation's init, for which its user waited, too; nothing for other rows. */
void fnp_show_init(const struct fnp_recording *recording, const json_t *line, struct fnp_buffer *ret);

/*
 * A line for each function of the selection, with its percentiles; where there is one function, also where its time
 * went. 0 or -errno, said.
 */
int fnp_show_groups(const struct fnp_selection *selection, struct fnp_buffer *ret);

#endif
