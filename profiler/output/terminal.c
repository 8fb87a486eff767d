/* SPDX-License-Identifier: Apache-2.0 */
#include "profiler/output/terminal.h"

#include <sys/ioctl.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/text.h"

#define REDRAW_NS (FNP_NS_PER_S / 4)
#define WIPE "\r\033[K"

/* The terminal that has a line to wipe: messages come from everywhere and know nothing of it. */
static struct fnp_terminal *drawn;

/* Nobody listens: nothing else suffers from that. */
static void put(int fd, const void *data, size_t len)
{
	if (fnp_file_write_all(fd, data, len) < 0)
		return;
}

static void wipe(void)
{
	if (!drawn)
		return;
	put(drawn->fd, WIPE, strlen(WIPE));
	drawn->next_ns = 0; /* the message scrolled; the line comes back at once */
	drawn = NULL;
}

void fnp_terminal_init(struct fnp_terminal *terminal, bool always_summary)
{
	const char *kind = getenv("TERM");

	*terminal = (struct fnp_terminal){.fd = STDERR_FILENO, .always_summary = always_summary};
	terminal->is_terminal = isatty(terminal->fd) == 1 && (!kind || strcmp(kind, "dumb") != 0);
	fnp_log_set_before(wipe);
}

void fnp_terminal_deinit(struct fnp_terminal *terminal)
{
	if (drawn == terminal)
		wipe();
	fnp_log_set_before(NULL);
}

void fnp_terminal_live_text(const struct fnp_live *live, const struct fnp_live *base, size_t width,
			    struct fnp_buffer *ret)
{
	uint64_t elapsed_ns = live->elapsed_ns - base->elapsed_ns;
	double share = 100.0 * (double)(live->own_cpu_ns - base->own_cpu_ns) / (double)FNP_MAX(elapsed_ns, 1u);
	char invocations[32], samples[32], losses[32], text[256];

	snprintf(text, sizeof(text), "%llu s  %s invocations  %s samples  %s lost  own cost %.2f %% of a CPU",
		 (unsigned long long)(live->elapsed_ns / FNP_NS_PER_S),
		 fnp_report_number(live->invocations, invocations), fnp_report_number(live->samples, samples),
		 fnp_report_number(live->losses, losses), share);
	fnp_report_name(ret, text, width, false);
}

size_t fnp_terminal_columns(int fd)
{
	struct winsize size = {0};

	if (isatty(fd) != 1)
		return 0;
	if (ioctl(fd, TIOCGWINSZ, &size) < 0 || size.ws_col < 20)
		return 80;
	return size.ws_col;
}

void fnp_terminal_update(struct fnp_terminal *terminal, const struct fnp_live *live)
{
	uint64_t now = terminal->is_terminal ? fnp_clock_ns() : 0;
	fnp_autobuffer struct fnp_buffer text = {0};

	if (!terminal->is_terminal || now < terminal->next_ns)
		return;
	terminal->next_ns = now + REDRAW_NS;
	if (!terminal->has_base)
		terminal->base = *live;
	terminal->has_base = true;
	/* The cursor goes back to the start, so that what the command prints stands at the start of a line. */
	fnp_buffer_text(&text, WIPE);
	/* A full last column would begin a new line. */
	fnp_terminal_live_text(live, &terminal->base, fnp_terminal_columns(terminal->fd) - 1, &text);
	fnp_buffer_byte(&text, '\r');
	put(terminal->fd, text.data, text.len);
	drawn = terminal;
}

void fnp_terminal_finish(struct fnp_terminal *terminal, const struct fnp_report *report)
{
	struct fnp_report fitting = *report;
	fnp_autobuffer struct fnp_buffer text = {0};

	fitting.columns = fnp_terminal_columns(terminal->fd);
	if (drawn == terminal)
		wipe();
	fnp_buffer_text(&text, "fnprof: ");
	if (terminal->is_terminal || terminal->always_summary)
		fnp_report_summary(&fitting, &text);
	else
		fnp_report_line(report, &text);
	put(terminal->fd, text.data, text.len);
}
