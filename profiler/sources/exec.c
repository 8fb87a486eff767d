/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Programs that are executed once for each request: CGI, OpenFaaS's classic watchdog, and of-watchdog's serializing and
 * streaming modes. The request's headers stand in the environment (Http_X_Call_Id, or in CGI's spelling
 * HTTP_X_CALL_ID), so a process is an invocation from its exec on, whoever started it.
 */
#include "profiler/sources/source.h"

enum { CALL_ID, TRACEPARENT, METHOD, PATH, GATEWAY, FUNCTION, FIELDS };

static const struct fnp_environment_field fields[FIELDS] = {
	[CALL_ID] = {.name = "Http_X_Call_Id", .any_case = true},
	[TRACEPARENT] = {.name = "Http_Traceparent", .any_case = true},
	[METHOD] = {.name = "Http_Method"},
	[PATH] = {.name = "Http_Path"},
	[GATEWAY] = {.name = "GATEWAY_INTERFACE"},
	[FUNCTION] = {.name = "OPENFAAS_NAME"},
};

static bool claim(const struct fnp_environment *environment, struct fnp_claim *ret)
{
	struct fnp_span values[FIELDS];

	fnp_environment_read(environment, fields, FIELDS, values);
	if (values[CALL_ID].len == 0 && !(values[METHOD].data && values[PATH].data) && !values[GATEWAY].data)
		return false;
	ret->kind = FNP_CLAIM_PROCESS;
	if (values[CALL_ID].len > 0)
		ret->identity.id = fnp_span_dup(values[CALL_ID]);
	if (values[FUNCTION].len > 0)
		ret->identity.function = fnp_span_dup(values[FUNCTION]);
	fnp_identity_set_traceparent(&ret->identity, values[TRACEPARENT]);
	return true;
}

const struct fnp_source_ops fnp_source_exec = {
	.name = "exec",
	.claim = claim,
};
