/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A ring of a fixed size. A response that overtook its request is owed one: the next request is not queued.
 */
#include "profiler/sources/http_exchanges.h"

#include <errno.h>

int fnp_http_exchanges_push(struct fnp_http_exchanges *exchanges, struct fnp_http_exchange one)
{
	if (exchanges->early > 0) {
		exchanges->early--;
		return 0;
	}
	if (exchanges->n == FNP_HTTP_EXCHANGES_MAX)
		return -ENOSPC;
	exchanges->items[(exchanges->first + exchanges->n) % FNP_HTTP_EXCHANGES_MAX] = one;
	exchanges->n++;
	return 0;
}

struct fnp_http_exchange fnp_http_exchanges_pop(struct fnp_http_exchanges *exchanges)
{
	struct fnp_http_exchange one = {0};

	if (exchanges->n == 0) {
		exchanges->early += exchanges->paired;
		return one;
	}
	one = exchanges->items[exchanges->first];
	exchanges->first = (exchanges->first + 1) % FNP_HTTP_EXCHANGES_MAX;
	exchanges->n--;
	exchanges->paired = true;
	return one;
}

void fnp_http_exchanges_forget(struct fnp_http_exchanges *exchanges)
{
	exchanges->n = exchanges->early = 0;
}
