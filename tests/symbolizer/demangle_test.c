/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolizer/demangle.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void assert_demangled(const char *mangled, const char *expected)
{
	fnp_autobuffer struct fnp_buffer b = {0};

	assert_int_equal(fnp_demangle(mangled, &b), 0);
	assert_string_equal((const char *)b.data, expected);
}

static void outermost_parameters_and_return_types_are_left_out(void **state)
{
	(void)state;
	assert_demangled("_ZN3foo3barEi", "foo::bar");
	assert_demangled("_ZNK3foo3bazEv", "foo::baz");
	assert_demangled("_Z3maxIiET_S0_S0_", "max<int>");
	assert_demangled("_ZNSt8functionIFviEEC2Ev", "std::function<void (int)>::function");
	assert_demangled("_ZZ4mainENKUliE_clEi", "main::{lambda(int)#1}::operator()");
}

static void parameters_inside_a_name_stay(void **state)
{
	(void)state;
	assert_demangled("_Z4callIXadL_Z5innermEEEvi", "call<&(inner(unsigned long))>");
	assert_demangled("_ZZ4workiE1xv", "work(int)::x");
	assert_demangled("_ZZN5space4workEiENKUlvE_clEv", "space::work(int)::{lambda()#1}::operator()");
}

static void qualifiers_and_clones_are_left_out(void **state)
{
	(void)state;
	assert_demangled("_ZNVK3foo3bazEv", "foo::baz");
	assert_demangled("_ZNKR3foo3bazEv", "foo::baz");
	assert_demangled("_ZNO3foo3bazEv", "foo::baz");
	assert_demangled("_ZN3foo3bazEi.part.0", "foo::baz");
	assert_demangled("_ZN3foo3bazEi.constprop.0.isra.1", "foo::baz");
}

static void operators_keep_their_names(void **state)
{
	(void)state;
	assert_demangled("_ZNK6HandleclEv", "Handle::operator()");
	assert_demangled("_ZN6HandleclE", "Handle::operator()");
	assert_demangled("_ZN6HandlecviEv", "Handle::operator int");
	assert_demangled("_ZN6HandlelsEi", "Handle::operator<<");
	assert_demangled("_ZThn8_N3foo3barEi", "non-virtual thunk to foo::bar");
	assert_demangled("_ZTV3foo", "vtable for foo");
	assert_demangled("_ZN12_GLOBAL__N_13barEv", "(anonymous namespace)::bar");
	assert_demangled("_ZNSt7__cxx114nameB5cxx11Ev", "std::__cxx11::name[abi:cxx11]");
	/* A function that returns a pointer to a function. */
	assert_demangled("_Z4pickIiEPFviEv", "pick<int>");
}

static void rust_hashes_are_left_out(void **state)
{
	(void)state;
	assert_demangled("_ZN4core3fmt5Write9write_fmt17h0123456789abcdefE", "core::fmt::Write::write_fmt");
	assert_demangled("_RNvC6_123foo3bar", "123foo::bar");
	assert_demangled("_RNvCs1234_5crate4main", "crate::main");
}

static void versions_are_left_out_and_plain_names_stay(void **state)
{
	(void)state;
	assert_demangled("memcpy@@GLIBC_2.14", "memcpy");
	assert_demangled("foo.constprop.0", "foo.constprop.0");
	assert_demangled("_Zebra", "_Zebra");
	assert_demangled("", "");
	assert_demangled("@odd", "@odd");
}

/* Each template argument holds the one before it twice: 2^30 times the text if nobody stopped it. */
static void name_that_explodes_stays_mangled(void **state)
{
	static const char digits[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ";
	char name[1024] = "_Z1fI1aIiiE";
	size_t len = strlen(name);

	(void)state;
	for (int i = 0; i < 30; i++)
		len += (size_t)snprintf(name + len, sizeof(name) - len, "S0_IS%c_S%c_E", digits[i + 1],
					digits[i + 1]);
	snprintf(name + len, sizeof(name) - len, "Evv");
	assert_demangled(name, name);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(outermost_parameters_and_return_types_are_left_out),
		cmocka_unit_test(parameters_inside_a_name_stay),
		cmocka_unit_test(qualifiers_and_clones_are_left_out),
		cmocka_unit_test(operators_keep_their_names),
		cmocka_unit_test(rust_hashes_are_left_out),
		cmocka_unit_test(versions_are_left_out_and_plain_names_stay),
		cmocka_unit_test(name_that_explodes_stays_mangled),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
