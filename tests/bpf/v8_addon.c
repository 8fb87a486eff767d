/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An addon by Node-API for v8_test.py: exports.call(function, number) calls the function with the number three times, and
 * answers what it answered last. Declares what it needs itself, so that no headers of Node.js are needed.
 */
#include <stddef.h>

typedef void *handle;
extern int napi_create_function(handle env, const char *name, size_t len, handle (*call)(handle, handle),
				void *data, handle *ret);
extern int napi_set_named_property(handle env, handle object, const char *name, handle value);
extern int napi_get_cb_info(handle env, handle info, size_t *n, handle *arguments, handle *self, void **data);
extern int napi_get_global(handle env, handle *ret);
extern int napi_call_function(handle env, handle self, handle function, size_t n, const handle *arguments,
			      handle *ret);

static handle calls_back(handle env, handle info)
{
	handle arguments[2] = {NULL}, self = NULL, result = NULL;
	size_t n = 2;

	if (napi_get_cb_info(env, info, &n, arguments, NULL, NULL) || n < 2 || napi_get_global(env, &self))
		return NULL;
	for (int i = 0; i < 3; i++) {
		if (napi_call_function(env, self, arguments[0], 1, &arguments[1], &result))
			return NULL;
	}
	return result;
}

handle napi_register_module_v1(handle env, handle exports);

handle napi_register_module_v1(handle env, handle exports)
{
	handle function = NULL;

	if (napi_create_function(env, "call", (size_t)-1, calls_back, NULL, &function) == 0)
		napi_set_named_property(env, exports, "call", function);
	return exports;
}
