/* The command line, and what it can print without starting.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "conf/conf.h"

#define SL_MAIN_SETS_MAX 128

enum sl_main_mode {
	SL_MAIN_RUN,
	SL_MAIN_CHECK_CONFIG,
	SL_MAIN_PRINT_CONFIG,
	SL_MAIN_PRINT_SAMPLE,
	SL_MAIN_PRINT_MANUAL,
	SL_MAIN_PRINT_CONFORMANCE,
	SL_MAIN_PIN, /* main_orders.h, from here... */
	SL_MAIN_UNPIN,
	SL_MAIN_PINS,
	SL_MAIN_DELETE_STUDY,
	SL_MAIN_DELETE_OBJECT,
	SL_MAIN_COMPACT, /* ...to here */
	SL_MAIN_REBUILD_INDEX, /* main_work.h, this... */
	SL_MAIN_VERIFY,        /* ...and this */
	SL_MAIN_HELP,    /* was printed */
	SL_MAIN_VERSION, /* was printed */
	SL_MAIN_USAGE,   /* wrong; the complaint was printed */
};

struct sl_main_args {
	const char *config; /* --config, or NULL; borrows argv */
	const char *sets[SL_MAIN_SETS_MAX];
	size_t sets_n;
	bool is_full;    /* --verify=full */
	bool is_json;    /* --json */
	const char *uid; /* what an order is about, or NULL; borrows argv */
};

struct sl_main_conf;

enum sl_main_mode sl_main_args_parse(struct sl_main_args *args, int argc, char **argv);

/* Prints what the mode asks for to standard output. False when that fails. */
bool sl_main_print(
	enum sl_main_mode mode, const struct sl_conf *conf, const struct sl_main_conf *main_conf);
