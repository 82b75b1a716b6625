/* The conformance statement holds every row of the tables it is printed from, and nothing else.
 * SPDX-License-Identifier: Apache-2.0 */
#include "support/t.h"

#include <stdlib.h>
#include <string.h>

#include "core/dstat.h"
#include "core/impl.h"
#include "server/conformance.h"

static struct sl_nego_policy policy_of(void)
{
	struct sl_nego_policy policy;
	sl_nego_policy_init(&policy);
	return policy;
}

static struct sl_conformance_opts opts_of(const struct sl_nego_policy *policy)
{
	return (struct sl_conformance_opts){.policy = policy,
		.version = "9.8.7",
		.ae_title = "TESTTITLE",
		.port = 23456,
		.max_associations = 321,
		.max_pdu = 131072,
		.artim_ms = 30000,
		.idle_ms = 300500,
		.min_rate = 256,
		.min_rate_window_ms = 60000,
		.max_object = 17179869184u,
		.limits = SL_ELEM_LIMITS_DEFAULT,
		.durable = true,
		.duplicates = "refuse",
		.unsound = "keep"};
}

/* The statement as text. The caller frees it. Not inlined: gcc 12 at -O3 takes what open_memstream()
 * stored for a pointer to the local variable. */
static __attribute__((noinline)) char *print(const struct sl_conformance_opts *opts)
{
	char *text = NULL;
	size_t n = 0;
	FILE *f = open_memstream(&text, &n);
	assert_non_null(f);
	sl_conformance_print(f, opts);
	assert_int_equal(ferror(f), 0);
	assert_int_equal(fclose(f), 0);
	return text;
}

/* Occurrences of `what` in text, from `from` on up to `to` (NULL: the end). */
static size_t count(const char *from, const char *to, const char *what)
{
	size_t n = 0;
	for (const char *s = from; (s = strstr(s, what)) != NULL && (to == NULL || s < to); s++)
		n++;
	return n;
}

static const char *section(const char *text, const char *heading)
{
	const char *at = strstr(text, heading);
	if (at == NULL)
		fail_msg("no section %s", heading);
	return at;
}

static void S11_every_sop_class_is_in_its_table_once(void **state)
{
	(void)state;
	struct sl_nego_policy policy = policy_of();
	struct sl_conformance_opts opts = opts_of(&policy);
	char *text = print(&opts);
	size_t n, accepted = 0;
	const struct sl_sop_row *rows = sl_registry_sop_classes(&n);
	const char *taken = section(text, "### N.1.1 "), *taken_end = section(text, "### N.1.2 ");
	const char *refused = section(text, "SOP classes that are known and answered 3"),
		   *refused_end = section(text, "### N.7.3 ");
	for (size_t i = 0; i < n; i++) {
		char row[256];
		bool accepts = sl_nego_accepts_class(&policy, &rows[i]);
		accepted += accepts;
		snprintf(row, sizeof(row), "| %s%s | %s | No | Yes |\n", rows[i].name,
			rows[i].retired ? " (Retired)" : "", rows[i].uid);
		assert_int_equal(count(taken, taken_end, row), accepts ? 1 : 0);
		snprintf(row, sizeof(row), "| %s%s | %s |\n", rows[i].name,
			rows[i].retired ? " (Retired)" : "", rows[i].uid);
		assert_int_equal(count(refused, refused_end, row), accepts ? 0 : 1);
	}
	assert_int_equal(count(taken, taken_end, " | No | Yes |\n"), accepted);
	assert_int_equal(
		count(refused, refused_end, " |\n"), n - accepted + 1); /* and its heading */
	free(text);
}

static void S11_transfer_syntaxes_stand_in_the_order_of_choice(void **state)
{
	(void)state;
	struct sl_nego_policy policy = policy_of();
	struct sl_uid prefer[] = {sl_uid_of("1.2.840.10008.1.2.4.90")};
	size_t n, bad;
	const struct sl_ts_row *rows = sl_registry_transfer_syntaxes(&n);
	for (int preferring = 0; preferring < 2; preferring++) {
		if (preferring)
			assert_int_equal(sl_nego_policy_prefer(&policy, prefer, 1, &bad), SL_OK);
		struct sl_conformance_opts opts = opts_of(&policy);
		char *text = print(&opts);
		const char *table = section(text, "### N.1.6 ");
		const char *end = section(text, "\nNot accepted");
		const char *at[SL_REGISTRY_TS_MAX];
		for (size_t i = 0; i < n; i++) {
			char cell[128];
			snprintf(cell, sizeof(cell), " | %s | %s |\n", rows[i].uid,
				sl_registry_ts_rank_name(rows[i].rank));
			bool taken = policy.order[i] != SL_NEGO_NEVER;
			assert_int_equal(count(table, end, cell), taken ? 1 : 0);
			at[i] = taken ? strstr(table, cell) : NULL;
		}
		for (size_t i = 0; i < n; i++)
			for (size_t k = 0; k < n; k++)
				if (at[i] != NULL && at[k] != NULL &&
					policy.order[i] < policy.order[k])
					assert_true(at[i] < at[k]);
		assert_non_null(strstr(table, "| 1 | "));
		free(text);
	}
}

static void check_statuses(const char *text, const char *heading, const char *end_heading,
	enum sl_dstat_service service)
{
	const char *table = section(text, heading), *end = section(table, end_heading);
	size_t n, sent = 0;
	const struct sl_dstat_row *rows = sl_dstat_rows(&n);
	for (size_t i = 0; i < n; i++) {
		char cells[1024];
		if ((rows[i].services & (unsigned)service) == 0 || rows[i].sent_when[0] == '\0')
			continue;
		snprintf(cells, sizeof(cells), "| %s | %s | %04X | %s | %s |\n",
			sl_dstat_kind_name(rows[i].kind), rows[i].meaning, (unsigned)rows[i].code,
			rows[i].code == 0 ? "N/A" : "(0000,0902)", rows[i].sent_when);
		assert_int_equal(count(table, end, cells), 1);
		sent++;
	}
	assert_true(sent > 0);
	assert_int_equal(count(table, end, " |\n"), sent + 1);
}

static void S11_every_status_we_send_is_there_with_its_condition(void **state)
{
	(void)state;
	struct sl_nego_policy policy = policy_of();
	struct sl_conformance_opts opts = opts_of(&policy);
	char *text = print(&opts);
	check_statuses(text, "##### N.7.3.2.5 ", "## N.8 ", SL_DSTAT_FOR_STORE);
	check_statuses(text, "##### N.7.3.2.1 ", "##### N.7.3.2.5 ", SL_DSTAT_FOR_ECHO);
	free(text);
}

static void S3_coercion_is_neither_stated_nor_ever_answered(void **state)
{
	(void)state;
	struct sl_nego_policy policy = policy_of();
	struct sl_conformance_opts opts = opts_of(&policy);
	char *text = print(&opts);
	const struct sl_dstat_row *coerced = sl_dstat_find(0xB000, SL_DSTAT_FOR_STORE);
	assert_non_null(coerced);
	assert_string_equal(coerced->sent_when, "");
	assert_null(strstr(text, "| B000 |"));
	assert_non_null(strstr(text, "| Attribute coercion | none |\n"));
	free(text);
}

static void S11_every_refusal_is_there(void **state)
{
	(void)state;
	struct sl_nego_policy policy = policy_of();
	struct sl_conformance_opts opts = opts_of(&policy);
	char *text = print(&opts);
	size_t n;
	const struct sl_nego_decision *rows = sl_nego_outcomes(&n);
	for (size_t i = 0; i < n; i++) {
		char row[512];
		if (rows[i].verdict == SL_NEGO_ACCEPT)
			continue;
		if (rows[i].verdict == SL_NEGO_REJECT)
			snprintf(row, sizeof(row), "| A-ASSOCIATE-RJ | %u, %u, %u | %s |\n",
				rows[i].reject.result, rows[i].reject.source, rows[i].reject.reason,
				rows[i].when);
		else
			snprintf(row, sizeof(row), "| A-ABORT | -, %u, %u | %s |\n",
				rows[i].abort.source, rows[i].abort.reason, rows[i].when);
		assert_int_equal(count(text, NULL, row), 1);
	}
	free(text);
}

static void S11_limits_are_the_configured_ones(void **state)
{
	(void)state;
	static const char *const lines[] = {
		"# DICOM Conformance Statement: Sluice 9.8.7\n",
		"| Storage SCP | TESTTITLE (configurable) | 23456 (configurable) | No | Yes |\n",
		"| Implementation Class UID | " SL_IMPL_CLASS_UID " |\n",
		"| Implementation Version Name | " SL_IMPL_VERSION_NAME " |\n",
		"| Maximum PDU Length received | 131072 bytes |\n",
		"| ARTIM time-out | 30.000 s |\n",
		"| Idle time-out between messages | 300.500 s |\n",
		"| Slowest message | 256 bytes/s over 60 s |\n",
		"| Simultaneous associations | 321 |\n",
		"| Presentation contexts | 128 |\n",
		"| Asynchronous operations window, where asked for | 1,1 |\n",
		"| Level of Conformance | 2 (Full) |\n",
		"| Attribute coercion | none |\n",
		"| Largest data set | 17179869184 bytes |\n",
		"| Nested sequences | 32 |\n",
		"| Called AE Title | not checked |\n",
		"| Calling AE Title | listed peers only, from their addresses |\n",
	};
	struct sl_nego_policy policy = policy_of();
	struct sl_conformance_opts opts = opts_of(&policy);
	char *text = print(&opts);
	for (size_t i = 0; i < SL_ARRAY_N(lines); i++)
		if (count(text, NULL, lines[i]) != 1)
			fail_msg("not once: %s", lines[i]);
	free(text);
}

static void S11_switches_change_what_is_said(void **state)
{
	(void)state;
	struct sl_nego_policy policy = policy_of();
	struct sl_conformance_opts opts = opts_of(&policy);
	char *text = print(&opts);
	assert_non_null(strstr(text, "accepted as storage SOP classes"));
	assert_null(strstr(text, "leaves that promise out"));
	free(text);
	policy.accept_unknown_classes = false;
	opts.durable = false;
	opts.check_called_ae = opts.accept_unknown_peers = true;
	text = print(&opts);
	assert_null(strstr(text, "accepted as storage SOP classes"));
	assert_non_null(strstr(text, "leaves that promise out"));
	assert_non_null(strstr(text, "checked: ours or an alias"));
	assert_non_null(strstr(text, "this configuration lets unknown peers in"));
	free(text);
}

static void S11_sections_stand_in_order(void **state)
{
	(void)state;
	static const char *const headings[] = {"\n## N.1 ", "\n### N.1.1 ", "\n### N.1.7 ",
		"\n## N.2 ", "\n## N.3 ", "\n## N.4 ", "\n## N.5 ", "\n##### N.5.2.5.2 ",
		"\n## N.6 ", "\n## N.7 ", "\n##### N.7.2.1.2 ", "\n### N.7.3 ",
		"\n##### N.7.3.1.2 ", "\n## N.8 ", "\n## N.9 ", "\n## N.10 ", "\n## N.11 ",
		"\n### N.11.2 "};
	struct sl_nego_policy policy = policy_of();
	struct sl_conformance_opts opts = opts_of(&policy);
	char *text = print(&opts);
	const char *at = text;
	for (size_t i = 0; i < SL_ARRAY_N(headings); i++)
		at = section(at, headings[i]);
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(S11_every_sop_class_is_in_its_table_once),
		cmocka_unit_test(S11_transfer_syntaxes_stand_in_the_order_of_choice),
		cmocka_unit_test(S11_every_status_we_send_is_there_with_its_condition),
		cmocka_unit_test(S3_coercion_is_neither_stated_nor_ever_answered),
		cmocka_unit_test(S11_every_refusal_is_there),
		cmocka_unit_test(S11_limits_are_the_configured_ones),
		cmocka_unit_test(S11_switches_change_what_is_said),
		cmocka_unit_test(S11_sections_stand_in_order),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
